//! What a Dockerfile means, on few lines: directives, stages with their instructions, the plan, labels, warnings and broken
//! lint rules; or the message a packager gets. One line an instruction, so that a corpus of outlines can be reviewed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use dockerfile::{
    Base, BuildPlan, CommandForm, Copy, CopySource, Dockerfile, Healthcheck, HealthcheckTest, Heredoc, InstructionKind,
    LintOptions, PlanOptions, Platform, Run, RunScript, lint, parse, plan, target_labels,
};

/// Whether the file can be built, and its outline. `GIVEN` is a build argument of every file.
pub fn outline(bytes: &[u8]) -> (bool, String) {
    let file = match parse(bytes, "Dockerfile") {
        Ok(file) => file,
        Err(error) => return (false, error.to_string()),
    };
    let options = PlanOptions {
        target: None,
        build_args: BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]),
        platform: Platform { os: "linux".into(), architecture: "s390x".into(), variant: None },
    };
    let plan = match plan(&file, &options) {
        Ok(plan) => plan,
        Err(error) => return (false, error.to_string()),
    };
    let mut out = String::new();
    write_file(&mut out, &file).expect("a String");
    write_plan(&mut out, &plan).expect("a String");
    for warning in plan.warnings.iter().filter(|w| !w.message.contains("`GIVEN`")) {
        writeln!(out, "warning {}: {}", warning.span, warning.message).expect("a String");
    }
    // Short texts break these almost always; the rules' own examples show them.
    let everywhere = ["RequiredLabelMissing", "RegistryHostMissing", "MutableBaseTag"];
    let findings = lint(bytes, "Dockerfile", &LintOptions::default()).findings;
    for finding in findings.iter().filter(|f| !everywhere.contains(&f.rule)) {
        writeln!(out, "lint {}: {}", finding.problem.span, finding.rule).expect("a String");
    }
    (true, out.trim_end().to_owned())
}

fn write_file(out: &mut String, file: &Dockerfile) -> fmt::Result {
    if file.escape != '\\' {
        writeln!(out, "escape {}", file.escape)?;
    }
    if let Some(syntax) = &file.syntax {
        writeln!(out, "syntax {syntax}")?;
    }
    for arg in &file.global_args {
        writeln!(out, "{} ARG {}{}", arg.span, arg.name, arg.default.as_ref().map(|d| format!("={d}")).unwrap_or_default())?;
    }
    for stage in &file.stages {
        let name = stage.name.as_ref().map(|n| format!(" AS {n}")).unwrap_or_default();
        let platform = stage.from.platform.as_ref().map(|p| format!(" platform={p}")).unwrap_or_default();
        writeln!(out, "{} stage {} FROM {}{platform}{name}", stage.span, stage.index, stage.from.image)?;
        for instruction in &stage.instructions {
            let last = match instruction.span {
                span if span.last_line > span.first_line => format!("-{}", span.last_line),
                _ => String::new(),
            };
            writeln!(out, "  {}{last} {} {}", instruction.span, instruction.kind.name(), arguments(&instruction.kind))?;
        }
    }
    Ok(())
}

/// Texts as in a program, so that blanks and escapes can be seen.
fn quoted(texts: &[String]) -> String {
    texts.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(" ")
}

fn form(command: &CommandForm) -> String {
    match command {
        CommandForm::Shell(text) => format!("shell {text:?}"),
        CommandForm::Exec(args) => format!("exec [{}]", quoted(args)),
    }
}

fn heredoc(heredoc: &Heredoc) -> String {
    format!("<<{:?} {:?}{}", heredoc.name, heredoc.body, if heredoc.expand { "" } else { " literal" })
}

fn arguments(kind: &InstructionKind) -> String {
    match kind {
        InstructionKind::Arg(args) => {
            let one = |a: &dockerfile::ArgDeclaration| match &a.default {
                Some(default) => format!("{}={default:?}", a.name),
                None => a.name.clone(),
            };
            args.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        InstructionKind::Run(run) => run_arguments(run),
        InstructionKind::Copy(copy) => copy_arguments(copy),
        InstructionKind::Add(add) => {
            let mut text = copy_arguments(&add.copy);
            let unpack = add.unpack.map(|u| format!(" unpack={u}")).unwrap_or_default();
            let checksum = add.checksum.as_ref().map(|c| format!(" checksum={c}")).unwrap_or_default();
            text.push_str(&format!("{unpack}{checksum}{}", if add.keep_git_dir { " keep-git-dir" } else { "" }));
            text
        }
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
            pairs.iter().map(|p| format!("{:?}={:?}", p.key, p.value)).collect::<Vec<_>>().join(" ")
        }
        InstructionKind::Workdir(text)
        | InstructionKind::User(text)
        | InstructionKind::StopSignal(text)
        | InstructionKind::Maintainer(text) => format!("{text:?}"),
        InstructionKind::Expose(texts) | InstructionKind::Volume(texts) | InstructionKind::Shell(texts) => quoted(texts),
        InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => form(command),
        InstructionKind::Healthcheck(check) => healthcheck_arguments(check),
        InstructionKind::OnBuild(trigger) => {
            let inner = &trigger.instruction.kind;
            format!("{:?} = {} {}", trigger.trigger, inner.name(), arguments(inner))
        }
    }
}

fn run_arguments(run: &Run) -> String {
    let mut text = match run.script() {
        RunScript::Shell(text) => format!("shell {text:?}"),
        RunScript::Exec(args) => format!("exec [{}]", quoted(&args)),
        RunScript::File { name, body } => format!("file {name:?} {body:?}"),
    };
    for mount in &run.mounts {
        match mount.resolve('\\', &|_| None) {
            Ok(m) => text.push_str(&format!(
                "\n      mount {} from={:?} source={:?} target={:?} id={:?} ro={} {:?} required={} env={:?} mode={:?} {:?}:{:?} size={:?}",
                m.kind.as_str(),
                m.from,
                m.source,
                m.target,
                m.id,
                m.read_only,
                m.sharing,
                m.required,
                m.env,
                m.mode.map(|mode| format!("{mode:o}")),
                m.uid,
                m.gid,
                m.size
            )),
            Err(error) => text.push_str(&format!("\n      mount {:?}: {error}", mount.text)),
        }
    }
    text.push_str(&run.network.map(|n| format!(" network={n:?}")).unwrap_or_default());
    text.push_str(&run.security.as_ref().map(|s| format!(" security={s}")).unwrap_or_default());
    text
}

fn copy_arguments(copy: &Copy) -> String {
    let source = |s: &CopySource| match s {
        CopySource::Path(path) => format!("{path:?}"),
        CopySource::Heredoc(text) => heredoc(text),
    };
    let mut text = copy.sources.iter().map(source).collect::<Vec<_>>().join(" ");
    text.push_str(&format!(" to {:?}", copy.dest));
    for (name, value) in [("from", &copy.from), ("chown", &copy.chown), ("chmod", &copy.chmod)] {
        text.push_str(&value.as_ref().map(|v| format!(" {name}={v}")).unwrap_or_default());
    }
    text.push_str(if copy.link { " link" } else { "" });
    text.push_str(if copy.parents { " parents" } else { "" });
    if !copy.exclude.is_empty() {
        text.push_str(&format!(" exclude {}", quoted(&copy.exclude)));
    }
    text
}

fn healthcheck_arguments(check: &Healthcheck) -> String {
    let test = match &check.test {
        HealthcheckTest::None => "none".to_owned(),
        HealthcheckTest::Command(command) => form(command),
    };
    format!(
        "{test} interval={:?} timeout={:?} start={:?}/{:?} retries={}",
        check.interval, check.timeout, check.start_period, check.start_interval, check.retries
    )
}

fn write_plan(out: &mut String, plan: &BuildPlan) -> fmt::Result {
    for stage in &plan.stages {
        let base = match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Stage(index) => format!("stage {index}"),
            Base::Image(image) => format!("image {image}"),
        };
        let platform = stage.platform.as_ref().map(|p| format!(" for {p}")).unwrap_or_default();
        writeln!(out, "build stage {} on {base}{platform}", stage.index)?;
    }
    for (image, span) in plan.image_references() {
        writeln!(out, "reads {image} at {span}")?;
    }
    match target_labels(plan, &|_| BTreeMap::new()) {
        Ok(labels) => labels.iter().try_for_each(|(key, value)| writeln!(out, "label {key:?} = {value:?}")),
        Err(error) => writeln!(out, "labels: {error}"),
    }
}
