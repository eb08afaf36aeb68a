//! `FROM --platform`.

use crate::Platform;
use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "RedundantTargetPlatform",
        sentence: "FROM does not ask for the platform it gets anyway",
        why: "`--platform=$TARGETPLATFORM` is what FROM does without it.",
        bad: lines!(
            "FROM --platform=$TARGETPLATFORM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: image!(),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: redundant,
    },
    Rule {
        name: "FromPlatformFlagConstDisallowed",
        sentence: "FROM does not ask for one fixed platform",
        why: "A Koji build runs the same Dockerfile on every architecture of its tag, and builders do not emulate others. A stage \
              whose name says the architecture is meant for it, and is left alone.",
        bad: lines!(
            "FROM --platform=linux/amd64 registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: image!(),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: constant,
    },
];

fn redundant(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        let Some(platform) = &stage.from.platform else { continue };
        if matches!(platform.trim_matches('"'), "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
            let found = Found::new(stage.span, format!("`--platform={platform}` is what FROM does without it"));
            broken.push(found.at(format!("--platform={platform}")).with_hint("leave it out"));
        }
    }
}

fn constant(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        let Some(text) = stage.from.platform.as_ref().filter(|p| !p.contains('$')) else { continue };
        let Ok(platform) = text.parse::<Platform>() else { continue };
        let name = stage.name.as_deref().unwrap_or_default();
        if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
            let found = Found::new(stage.span, format!("FROM asks for the platform {text} on every architecture"));
            broken.push(found.at(format!("--platform={text}")).with_hint("leave it out: the builder's own is used"));
        }
    }
}
