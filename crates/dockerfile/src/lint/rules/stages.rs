//! The names of stages.

use std::collections::BTreeMap;

use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "StageNameCasing",
        sentence: "Stage names are lower case",
        why: "Names of stages are compared without regard to case. Capitals suggest that they matter.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40 AS Builder",
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"",
            "COPY --from=builder /out /srv"
        ),
        good: lines!(
            "FROM registry.example.com/f40/base:40 AS builder",
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"",
            "COPY --from=builder /out /srv"
        ),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: name_casing,
    },
    Rule {
        name: "DuplicateStageName",
        sentence: "Each stage has a name of its own",
        why: "A name used twice means the stage nearest above, which changes when stages are moved.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40 AS web",
            "FROM registry.example.com/f40/base:40 AS web",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: lines!(
            "FROM registry.example.com/f40/base:40 AS pages",
            "FROM registry.example.com/f40/base:40 AS web",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: duplicate,
    },
    Rule {
        name: "ReservedStageName",
        sentence: "Reserved words are not used as stage names",
        why: "`context` means the build context to other builders, and `scratch` the empty image to everybody who reads the file.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40 AS context",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: lines!(
            "FROM registry.example.com/f40/base:40 AS web",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: reserved,
    },
];

fn name_casing(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        if let Some((_, name)) = checked.words_of_from(stage).named
            && name != name.to_lowercase()
        {
            let found = Found::new(stage.span, format!("the stage name `{name}` is not lower case")).at(name);
            broken.push(found.with_hint(format!("write {}", name.to_lowercase())));
        }
    }
}

fn duplicate(checked: &Checked, broken: &mut Broken) {
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for stage in &checked.file.stages {
        let Some(name) = &stage.name else { continue };
        if let Some(line) = lines.insert(name, stage.span.first_line) {
            let found = Found::new(stage.span, format!("the stage name `{name}` is used on line {line} already"));
            let written = checked.words_of_from(stage).named.map_or(name.as_str(), |(_, written)| written);
            broken.push(found.at(written).with_hint("from here on it means this stage"));
        }
    }
}

fn reserved(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        let Some(name) = stage.name.as_deref().filter(|name| matches!(*name, "context" | "scratch")) else { continue };
        let written = checked.words_of_from(stage).named.map_or(name, |(_, written)| written);
        broken.push(Found::new(stage.span, format!("the stage name `{name}` is reserved")).at(written));
    }
}
