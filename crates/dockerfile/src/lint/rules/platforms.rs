//! `FROM --platform`.

use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::{Base, Platform};

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
    Rule {
        name: "InvalidBaseImagePlatform",
        sentence: "The image in FROM is for the platform that is built for",
        why: "An image for another platform cannot be built on: its programs do not run. A build says so when it has fetched the \
              image; lint knows as much as `--base-platform IMAGE=OS/ARCH` tells.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40-arm64",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: image!(),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::BuildKit,
        experimental: false,
        check: other_platform,
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

fn other_platform(checked: &Checked, broken: &mut Broken) {
    for stage in checked.plan.map(|plan| plan.stages.as_slice()).unwrap_or_default() {
        let Base::Image(image) = &stage.base else { continue };
        let Some(found) = checked.options.base_platforms.get(image) else { continue };
        let asked = checked.file.stages.iter().find(|s| s.span == stage.span).and_then(|s| s.from.platform.as_ref());
        let wanted = match (asked, &stage.platform) {
            (Some(asked), Some(platform)) if !asked.contains('$') => match platform.parse() {
                Ok(platform) => platform,
                Err(_) => continue,
            },
            // Through a variable it may be anything but the platform's own.
            (Some(asked), _) if !matches!(asked.trim_matches('"'), "$TARGETPLATFORM" | "${TARGETPLATFORM}") => continue,
            _ => checked.options.platform.clone(),
        };
        if (&found.os, &found.architecture) != (&wanted.os, &wanted.architecture) {
            let message = format!("the image `{image}` is for {found}, and this build is for {wanted}");
            broken
                .push(Found::new(stage.span, message).at(image.as_str()).with_hint("name an image that is for it, or an index"));
        }
    }
}
