//! The labels that make an image a Koji build: the rules are those of `build_model::ImageLabels`, all problems at once.

use std::collections::{BTreeMap, BTreeSet};

use build_model::{Diagnose, ImageLabels, LabelError};

use crate::InstructionKind;
use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::lint::scope;
use crate::target_labels;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "RequiredLabelMissing",
        sentence: "The last stage sets the labels com.redhat.component, name and version",
        why: "They are the name of the Koji build and of the image's repository. Labels of the base image do not count: they \
              name the base.",
        bad: lines!("FROM registry.example.com/f40/base:40", "LABEL com.redhat.component=\"web\" version=\"1.0\""),
        good: image!(),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::Containerbuild,
        experimental: false,
        check: missing,
    },
    Rule {
        name: "LabelValueInvalid",
        sentence: "The labels that name the build hold values that Koji and registries accept",
        why: "Koji splits name-version-release at dashes, so version and release hold none; both become part of a tag, and \
              `name` becomes a repository path.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0-beta\""
        ),
        good: lines!(
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0.beta\""
        ),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::Containerbuild,
        experimental: false,
        check: invalid,
    },
];

fn missing(checked: &Checked, broken: &mut Broken) {
    let Some(stage) = checked.file.stages.last() else { return };
    for error in label_errors(checked) {
        if let LabelError::Missing { .. } = &error {
            let found = Found::new(stage.span, error.to_string());
            broken.push(Found { hint: error.hint(), ..found });
        }
    }
}

fn invalid(checked: &Checked, broken: &mut Broken) {
    for error in label_errors(checked) {
        let label = match &error {
            LabelError::Missing { .. } => continue,
            LabelError::Empty { label } | LabelError::Invalid { label, .. } => *label,
        };
        let old = old_name(label);
        // The last LABEL of that name decides; where the key is a variable, the stage is as near as it gets.
        let set = |key: &str| key == label || key == old;
        let pair = |kind: &InstructionKind| match kind {
            InstructionKind::Label(pairs) => {
                pairs.iter().rev().map(|p| p.key.trim_matches('"')).find(|k| set(k)).map(str::to_owned)
            }
            _ => None,
        };
        let place = checked.instructions().filter_map(|(_, i)| Some((i.span, pair(&i.kind)?))).last();
        let found = match (place, checked.file.stages.last()) {
            (Some((span, key)), _) => Found::new(span, error.to_string()).at(key),
            (None, Some(stage)) => Found::new(stage.span, error.to_string()),
            (None, None) => continue,
        };
        let hint = match &error {
            LabelError::Invalid { label: "version", value, .. } if value.contains('-') => {
                Some(format!("write it with dots: {}", value.replace('-', ".")))
            }
            _ => error.hint(),
        };
        broken.push(Found { hint, ..found });
    }
}

fn old_name(label: &str) -> &'static str {
    match label {
        "com.redhat.component" => "BZComponent",
        "name" => "Name",
        "version" => "Version",
        _ => "Release",
    }
}

/// Every rule the labels break, not only the first.
fn label_errors(checked: &Checked) -> Vec<LabelError> {
    let mut errors = Vec::new();
    let Some(mut labels) = labels(checked) else { return errors };
    // One for each label at most.
    while let Err(error) = ImageLabels::from_labels(&labels) {
        let label = match &error {
            LabelError::Missing { label } | LabelError::Empty { label } | LabelError::Invalid { label, .. } => *label,
        };
        // A value that passes, to see the next one.
        labels.insert(label.to_owned(), "x".to_owned());
        errors.push(error);
        if errors.len() > 4 {
            break;
        }
    }
    errors
}

/// The labels of the image. Variables that only the base image can set get some value; `None` when there is no plan.
fn labels(checked: &Checked) -> Option<BTreeMap<String, String>> {
    let mut used = BTreeSet::new();
    let mut declared = BTreeSet::new();
    for (_, instruction) in checked.executed() {
        used.extend(scope::names_of(instruction, checked.file.escape));
        match &instruction.kind {
            InstructionKind::Arg(args) => {
                declared.extend(args.iter().map(|a| a.name.clone()));
                let words = args.iter().filter_map(|a| a.default.as_deref());
                used.extend(words.flat_map(|w| scope::names_in(w, checked.file.escape)));
            }
            InstructionKind::Env(pairs) => declared.extend(pairs.iter().map(|p| p.key.clone())),
            _ => {}
        }
    }
    let inherited: BTreeMap<String, String> = used.difference(&declared).map(|n| (n.clone(), "base".to_owned())).collect();
    let env = |image: &str| checked.options.base_env.get(image).unwrap_or(&inherited).clone();
    target_labels(checked.plan?, &env).ok()
}
