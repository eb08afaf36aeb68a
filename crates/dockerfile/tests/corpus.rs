//! Every `tests/corpus/NAME/Dockerfile` against what is written beside it: the parsed file and its plan, or the exact
//! message a packager gets. Names with `bad-` are files that must be refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use dockerfile::{Base, BuildPlan, Dockerfile, PlanOptions, Platform, parse, plan, target_labels};

fn outline(bytes: &[u8]) -> (bool, String) {
    let file = match parse(bytes, "Dockerfile") {
        Ok(file) => file,
        Err(error) => return (false, error.to_string()),
    };
    let mut out = String::new();
    write_file(&mut out, &file).expect("a String");
    let options = PlanOptions {
        target: None,
        build_args: BTreeMap::new(),
        platform: Platform { os: "linux".into(), architecture: "s390x".into(), variant: None },
    };
    match plan(&file, &options) {
        Ok(plan) => {
            write_plan(&mut out, &plan).expect("a String");
            (true, out)
        }
        Err(error) => (false, error.to_string()),
    }
}

fn write_file(out: &mut String, file: &Dockerfile) -> std::fmt::Result {
    writeln!(out, "escape {}", file.escape)?;
    if let Some(syntax) = &file.syntax {
        writeln!(out, "syntax {syntax}")?;
    }
    for arg in &file.global_args {
        writeln!(out, "{} ARG {} {:?}", arg.span, arg.name, arg.default)?;
    }
    for stage in &file.stages {
        let name = stage.name.as_deref().unwrap_or("-");
        writeln!(
            out,
            "\nstage {} {name} FROM {:?} platform {:?} at {}",
            stage.index, stage.from.image, stage.from.platform, stage.span
        )?;
        for instruction in &stage.instructions {
            writeln!(out, "{}-{} {:?}", instruction.span, instruction.span.last_line, instruction.kind)?;
        }
    }
    for warning in &file.warnings {
        writeln!(out, "\nwarning: {}", warning.show("Dockerfile"))?;
    }
    Ok(())
}

fn write_plan(out: &mut String, plan: &BuildPlan) -> std::fmt::Result {
    writeln!(out, "\nplan")?;
    for stage in &plan.stages {
        let base = match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Stage(index) => format!("stage {index}"),
            Base::Image(image) => format!("image {image}"),
        };
        writeln!(out, "  stage {} on {base}, platform {:?}", stage.index, stage.platform)?;
    }
    for (image, span) in plan.image_references() {
        writeln!(out, "  reads {image} at {span}")?;
    }
    match target_labels(plan, &|_| BTreeMap::new()) {
        Ok(labels) => labels.iter().try_for_each(|(key, value)| writeln!(out, "  label {key:?} = {value:?}")),
        Err(error) => writeln!(out, "  labels: {error}"),
    }
}

#[test]
fn every_file_of_the_corpus_reads_as_written_beside_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases: Vec<_> = std::fs::read_dir(&corpus).expect("the corpus").map(|e| e.expect("an entry").path()).collect();
    cases.sort();
    assert!(cases.len() >= 40, "the corpus is not where it was");
    let mut failed = Vec::new();
    for case in cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = std::fs::read(case.join("Dockerfile")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (accepted, text) = outline(&bytes);
        if accepted == name.starts_with("bad-") {
            failed.push(format!("{name}: accepted is {accepted}"));
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let compare = || settings.bind(|| insta::assert_snapshot!("outline", text));
        let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare));
        if compared.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these differ: {failed:?}");
}
