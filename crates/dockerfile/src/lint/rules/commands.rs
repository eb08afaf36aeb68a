//! CMD, ENTRYPOINT and HEALTHCHECK, and exec forms that are none.

use std::collections::BTreeSet;

use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::scope;
use crate::{CommandForm, InstructionKind, Span};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "JSONArgsRecommended",
        sentence: "CMD and ENTRYPOINT are written in the exec form",
        why: "In the shell form the program is a child of a shell, which does not pass signals on: stopping the container waits \
              for the timeout and then kills it. A stage that sets SHELL wants the shell, and is left alone.",
        bad: image!("CMD nginx -g 'daemon off;'"),
        good: image!("CMD [\"nginx\", \"-g\", \"daemon off;\"]"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: json_args,
    },
    Rule {
        name: "MultipleInstructionsDisallowed",
        sentence: "A stage has at most one CMD, one ENTRYPOINT and one HEALTHCHECK",
        why: "An image has one of each: only the last counts, and those above it do nothing.",
        bad: image!("CMD [\"nginx\"]", "CMD [\"nginx\", \"-g\", \"daemon off;\"]"),
        good: image!("CMD [\"nginx\", \"-g\", \"daemon off;\"]"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: repeated,
    },
    Rule {
        name: "ExecFormNotJson",
        sentence: "An exec form is valid JSON",
        why: "What begins with a bracket and is no JSON is taken as shell text: the shell looks for a program named `[nginx,`.",
        bad: image!("CMD ['nginx', '-t']"),
        good: image!("CMD [\"nginx\", \"-t\"]"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::Containerbuild,
        experimental: false,
        check: not_json,
    },
];

const NOT_JSON: &str = "this is not valid JSON";

fn json_args(checked: &Checked, broken: &mut Broken) {
    // Stages, by position, that set SHELL themselves or through a stage they start from.
    let mut with_shell: BTreeSet<usize> = BTreeSet::new();
    for stage in &checked.file.stages {
        if scope::earlier(checked, stage, &stage.from.image).is_some_and(|base| with_shell.contains(&base)) {
            with_shell.insert(stage.index);
        }
        for instruction in &stage.instructions {
            match &instruction.kind {
                InstructionKind::Shell(_) => {
                    with_shell.insert(stage.index);
                }
                InstructionKind::Cmd(CommandForm::Shell(_)) | InstructionKind::Entrypoint(CommandForm::Shell(_))
                    if !with_shell.contains(&stage.index) && !was_meant_as_json(checked, instruction.span) =>
                {
                    let name = instruction.kind.name();
                    let found = Found::new(instruction.span, format!("{name} in shell form: the program does not get signals"));
                    broken.push(found.with_hint(format!("write {name} [\"program\", \"argument\"]")));
                }
                _ => {}
            }
        }
    }
}

/// That is the matter of ExecFormNotJson.
fn was_meant_as_json(checked: &Checked, span: Span) -> bool {
    checked.parser_warnings(NOT_JSON).any(|w| (span.first_line..=span.last_line).contains(&w.span.first_line))
}

fn repeated(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        for name in ["CMD", "ENTRYPOINT", "HEALTHCHECK"] {
            let mut earlier: Option<Span> = None;
            for instruction in stage.instructions.iter().filter(|i| i.kind.name() == name) {
                // The one above is the one that does nothing.
                if let Some(span) = earlier.replace(instruction.span) {
                    let line = instruction.span.first_line;
                    broken.push(Found::new(span, format!("this {name} does nothing: the one on line {line} replaces it")));
                }
            }
        }
    }
}

fn not_json(checked: &Checked, broken: &mut Broken) {
    for warning in checked.parser_warnings(NOT_JSON) {
        broken.push(Found { hint: warning.hint.clone(), ..Found::new(warning.span, warning.message.as_str()) });
    }
}
