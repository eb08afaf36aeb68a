//! The images a build reads: FROM, `COPY --from`, `RUN --mount=from=`.

use crate::lint::checked::Checked;
use crate::lint::image_name::ImageName;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "RegistryHostMissing",
        sentence: "Image references begin with a registry's host",
        why: "Short names are never looked up: which registry they mean depends on the machine, and the parent must be the \
              image of one particular Koji build.",
        bad: lines!("FROM fedora:40", "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""),
        good: image!(),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::Containerbuild,
        experimental: false,
        check: host_missing,
    },
    Rule {
        name: "ImageReferenceInvalid",
        sentence: "Image references are well-formed",
        why: "Repository paths are lower-case parts joined by slashes, with at most one tag and one digest. Other names exist \
              in no registry.",
        bad: lines!(
            "FROM registry.example.com/F40/Base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: image!(),
        ignore: "",
        severity: Severity::Refused,
        origin: Origin::Containerbuild,
        experimental: false,
        check: malformed,
    },
    Rule {
        name: "MutableBaseTag",
        sentence: "Image references have a tag other than latest, or a digest",
        why: "`latest`, and no tag at all, mean another image every week: a rebuild of the same commit gives something else.",
        bad: lines!(
            "FROM registry.example.com/f40/base:latest",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\""
        ),
        good: image!(),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::Containerbuild,
        experimental: false,
        check: mutable_tag,
    },
];

/// Without a plan nothing is known: `InvalidDefaultArgInFrom` says why.
fn images(checked: &Checked) -> Vec<(String, crate::Span)> {
    let without_values = checked.default_problems.is_empty();
    checked.plan.filter(|_| without_values).map(|plan| plan.image_references()).unwrap_or_default()
}

fn host_missing(checked: &Checked, broken: &mut Broken) {
    for (image, span) in images(checked) {
        if ImageName::parse(&image).is_some_and(|name| name.host.is_none()) {
            let found = Found::new(span, format!("the image `{image}` names no registry")).at(image.as_str());
            broken.push(found.with_hint(format!("write HOST/{image}, with the host of the registry")));
        }
    }
}

fn malformed(checked: &Checked, broken: &mut Broken) {
    for (image, span) in images(checked) {
        // What variables made of it is the matter of InvalidDefaultArgInFrom.
        if ImageName::parse(&image).is_none() && !from_variable(checked, span) {
            let found = Found::new(span, format!("`{image}` is not an image reference")).at(image.as_str());
            broken.push(found.with_hint("it is written HOST/PATH:TAG, the path in lower case"));
        }
    }
}

fn from_variable(checked: &Checked, span: crate::Span) -> bool {
    checked.file.stages.iter().any(|s| s.span == span && s.from.image.contains('$'))
}

fn mutable_tag(checked: &Checked, broken: &mut Broken) {
    for (image, span) in images(checked) {
        let Some(name) = ImageName::parse(&image) else { continue };
        let message = match (name.digest, name.tag) {
            (Some(_), _) => continue,
            (None, None) => format!("the image `{image}` has no tag, which means `latest`"),
            (None, Some("latest")) => format!("the image `{image}` is whatever `latest` means on the day of the build"),
            (None, Some(_)) => continue,
        };
        broken.push(Found::new(span, message).at(image.as_str()).with_hint("name a version, or a digest"));
    }
}
