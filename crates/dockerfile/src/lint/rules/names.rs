//! How instructions are written: the case of keywords, and comments that describe a stage or an argument.

use crate::lint::check_directive;
use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::{InstructionKind, Span};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "FromAsCasing",
        sentence: "AS is written in the same case as FROM",
        why: "Mixed case on one line is hard to read.",
        bad: lines!(
            "FROM registry.example.com/f40/base:40 as web",
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
        check: from_as,
    },
    Rule {
        name: "ConsistentInstructionCasing",
        sentence: "All instructions are written in upper case, or all in lower case",
        why: "Names of instructions may have any case; one file keeps to one. The majority decides which.",
        bad: image!("Expose 8080"),
        good: image!("EXPOSE 8080"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: instruction_casing,
    },
    Rule {
        name: "InvalidDefinitionDescription",
        sentence: "A comment right above a named stage or an ARG begins with its name",
        why: "Other builders print such comments as the description of the stage or argument. An empty line in between says \
              that a comment is none.",
        bad: lines!(
            "# check=experimental=InvalidDefinitionDescription",
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"",
            "# Which pages to serve.",
            "ARG PAGES=public"
        ),
        good: lines!(
            "# check=experimental=InvalidDefinitionDescription",
            "FROM registry.example.com/f40/base:40",
            "LABEL com.redhat.component=\"web\" name=\"f40/web\" version=\"1.0\"",
            "# PAGES says which pages to serve.",
            "ARG PAGES=public"
        ),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: true,
        check: description,
    },
];

fn from_as(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        let words = checked.words_of_from(stage);
        let Some((keyword, _)) = words.named else { continue };
        // A FROM in mixed case is the matter of ConsistentInstructionCasing.
        let (lower, upper) = (words.from == words.from.to_lowercase(), words.from == words.from.to_uppercase());
        let wanted = if lower { keyword.to_lowercase() } else { keyword.to_uppercase() };
        if (lower || upper) && keyword != wanted {
            let found = Found::new(stage.span, format!("`{keyword}` is not written in the same case as `{}`", words.from));
            broken.push(found.at(keyword).with_hint(format!("write {wanted}")));
        }
    }
}

fn instruction_casing(checked: &Checked, broken: &mut Broken) {
    let mut names: Vec<(&str, Span)> = Vec::new();
    for stage in &checked.file.stages {
        names.push((checked.words_of_from(stage).from, stage.span));
        names.extend(stage.instructions.iter().map(|i| (checked.name_of(i), i.span)));
    }
    let lower = names.iter().filter(|(name, _)| *name == name.to_lowercase()).count();
    let upper = names.iter().filter(|(name, _)| *name == name.to_uppercase()).count();
    for (name, span) in names {
        let (wanted, case) = if lower > upper { (name.to_lowercase(), "lower") } else { (name.to_uppercase(), "upper") };
        if name != wanted {
            let found = Found::new(span, format!("`{name}` is not in {case} case like most instructions here"));
            broken.push(found.at(name).with_hint(format!("write {wanted}")));
        }
    }
}

fn description(checked: &Checked, broken: &mut Broken) {
    for stage in &checked.file.stages {
        if let Some(name) = &stage.name {
            // The name is lower-cased when it is read.
            let written = checked.words_of_from(stage).named.map_or(name.as_str(), |(_, written)| written);
            describe(checked, stage.span, "stage", &[name, written], broken);
        }
    }
    for arg in &checked.file.global_args {
        describe(checked, arg.span, "argument", &[&arg.name], broken);
    }
    for (_, instruction) in checked.instructions() {
        if let InstructionKind::Arg(args) = &instruction.kind {
            let names: Vec<&str> = args.iter().map(|a| a.name.as_str()).collect();
            describe(checked, instruction.span, "argument", &names, broken);
        }
    }
}

fn describe(checked: &Checked, span: Span, what: &str, names: &[&str], broken: &mut Broken) {
    let is_directive = |number: &u32| check_directive::directive(checked.source.text(*number)).is_some();
    let Some(number) = checked.comments_above(span.first_line).into_iter().rfind(|n| !is_directive(n)) else { return };
    let comment = checked.source.text(number).trim().trim_start_matches('#').trim();
    let first = comment.split_whitespace().next().unwrap_or_default();
    if let Some(name) = names.first()
        && !names.contains(&first)
    {
        let found = Found::new(span, format!("the comment above does not begin with the name of the {what}"));
        broken.push(found.with_hint(format!("write # {name} …, or leave a line empty between them")));
    }
}
