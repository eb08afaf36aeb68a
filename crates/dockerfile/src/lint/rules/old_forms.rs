//! Forms that still work and should not be written any more.

use crate::lint::checked::Checked;
use crate::lint::rule::{Broken, Found, Origin, Rule, Severity};
use crate::{InstructionKind, KeyValue};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "NoEmptyContinuation",
        sentence: "There are no empty lines inside a continued instruction",
        why: "They are skipped today, and are announced to become errors. A lost continuation mark is hard to see beside them.",
        bad: image!("RUN dnf -y install \\", "", "    nginx"),
        good: image!("RUN dnf -y install \\", "    nginx"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: empty_continuation,
    },
    Rule {
        name: "MaintainerDeprecated",
        sentence: "The author is named in a label, not with MAINTAINER",
        why: "MAINTAINER is deprecated. Labels can be read with every tool.",
        bad: image!("MAINTAINER Web Team <web@example.com>"),
        good: image!("LABEL org.opencontainers.image.authors=\"Web Team <web@example.com>\""),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: maintainer,
    },
    Rule {
        name: "LegacyKeyValueFormat",
        sentence: "ENV and LABEL are written key=value",
        why: "In the old form with a blank, the rest of the line is the value: a second key on the line is taken for text.",
        bad: image!("ENV WEBROOT /srv/www"),
        good: image!("ENV WEBROOT=/srv/www"),
        ignore: "",
        severity: Severity::Warning,
        origin: Origin::BuildKit,
        experimental: false,
        check: legacy_pairs,
    },
];

fn empty_continuation(checked: &Checked, broken: &mut Broken) {
    for warning in checked.parser_warnings("an empty line inside a continued instruction") {
        broken.push(Found { hint: warning.hint.clone(), ..Found::new(warning.span, warning.message.as_str()) });
    }
}

fn maintainer(checked: &Checked, broken: &mut Broken) {
    for (_, instruction) in checked.instructions() {
        if let InstructionKind::Maintainer(text) = &instruction.kind {
            let shown = text.trim_matches('"');
            let found = Found::new(instruction.span, "MAINTAINER is deprecated");
            broken.push(found.with_hint(format!("write LABEL org.opencontainers.image.authors=\"{shown}\"")));
        }
    }
}

fn legacy_pairs(checked: &Checked, broken: &mut Broken) {
    for (_, instruction) in checked.executed() {
        let (name, pairs) = match &instruction.kind {
            InstructionKind::Env(pairs) => ("ENV", pairs),
            InstructionKind::Label(pairs) => ("LABEL", pairs),
            _ => continue,
        };
        if let [pair] = pairs.as_slice()
            && is_legacy(&instruction.source, pair)
        {
            let found = Found::new(instruction.span, format!("{name} with a blank between key and value is the old form"));
            let KeyValue { key, value } = pair;
            let quoted = value.contains(char::is_whitespace) && !value.starts_with(['"', '\'']);
            let value = if quoted { format!("\"{value}\"") } else { value.clone() };
            broken.push(found.at(key.as_str()).with_hint(format!("write {name} {key}={value}")));
        }
    }
}

/// Whether the first word after the instruction's name is the key alone.
fn is_legacy(source: &str, pair: &KeyValue) -> bool {
    let after_name = source.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
    match after_name.find(pair.key.as_str()) {
        Some(at) => !after_name.get(at + pair.key.len()..).unwrap_or_default().starts_with('='),
        None => false,
    }
}
