//! A Dockerfile from its bytes to its plan, labels and lint report. What must hold for every text, besides no panic:
//! places lie inside the file, messages hold no control characters, and an instruction reads back from its own text.

#![no_main]

use std::collections::BTreeMap;

use dockerfile::{
    Dockerfile, InstructionKind, LintOptions, ParseError, PlanOptions, Platform, lint, parse, parse_instruction, plan,
    target_labels,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = bytes.split(|b| *b == b'\n').count();
    match parse(bytes, "Dockerfile") {
        Ok(file) => {
            reads_back(&file, lines);
            plans(&file);
        }
        Err(error) => is_placed_inside(&error, lines),
    }
    let report = lint(bytes, "Dockerfile", &LintOptions::default());
    let shown = report.show().to_string();
    assert!(!has_control_characters(&shown), "{shown:?}");
    for finding in &report.findings {
        assert!((1..=lines).contains(&(finding.problem.span.first_line as usize)), "{finding:?}");
    }
});

fn has_control_characters(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
}

fn is_placed_inside(error: &ParseError, lines: usize) {
    assert!(!error.problems.is_empty());
    for problem in &error.problems {
        assert!((1..=lines).contains(&(problem.span.first_line as usize)), "{problem:?}");
        let width = problem.source_line.chars().count();
        assert!((1..=width + 1).contains(&(problem.span.column as usize)), "{problem:?}");
    }
    let shown = error.to_string();
    assert!(!has_control_characters(&shown), "{shown:?}");
}

fn reads_back(file: &Dockerfile, lines: usize) {
    for instruction in file.stages.iter().flat_map(|s| &s.instructions) {
        assert!(instruction.span.first_line <= instruction.span.last_line, "{instruction:?}");
        assert!(instruction.span.last_line as usize <= lines, "{instruction:?}");
        match &instruction.kind {
            InstructionKind::OnBuild(trigger) => {
                let again = parse_instruction(&trigger.trigger, file.escape).expect("a trigger reads back");
                match (&again.kind, &trigger.instruction.kind) {
                    // Their parts know their places, which are others here.
                    (InstructionKind::Arg(again), InstructionKind::Arg(first)) => assert_eq!(again.len(), first.len()),
                    (InstructionKind::Run(again), InstructionKind::Run(first)) => assert_eq!(again.script(), first.script()),
                    (again, first) => assert_eq!(again, first),
                }
            }
            // Cannot stand by itself.
            InstructionKind::Maintainer(_) => {}
            _ => {
                parse_instruction(&instruction.source, file.escape).expect("an instruction reads back");
            }
        }
    }
}

fn plans(file: &Dockerfile) {
    let options = PlanOptions {
        target: None,
        build_args: BTreeMap::from([("A".to_owned(), "value".to_owned())]),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
    };
    match plan(file, &options) {
        Ok(plan) => {
            assert!(plan.target().is_some());
            let _ = plan.image_references();
            let _ = target_labels(&plan, &|_| BTreeMap::new());
        }
        Err(error) => assert!(!has_control_characters(&error.to_string()), "{error}"),
    }
}
