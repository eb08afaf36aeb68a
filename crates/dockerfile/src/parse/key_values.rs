//! ENV and LABEL (`key=value …`, or the old `key rest of line`) and ARG (`NAME[=default] …`).

use super::flags::Flags;
use super::statement::{Fault, Slice, Statement, is_blank};
use super::words::split_quoted;
use crate::instruction::{ArgDeclaration, KeyValue};

/// ENV and LABEL. The first word decides: with `=` in it, all words are pairs; without, the rest of the line is its value.
pub(super) fn parse_pairs(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Vec<KeyValue>> {
    let name = statement.upper_name();
    let rest = Flags::read(statement, &[], faults).rest;
    let words = split_quoted(rest, statement.escape);
    let Some(first) = words.first() else {
        faults.push(statement.fault(format!("{name} needs a key and a value")));
        return None;
    };
    if !first.text.contains('=') {
        return old_form(statement, &name, rest, faults).map(|pair| vec![pair]);
    }
    let mut pairs = Vec::new();
    for word in words {
        match word.text.split_once('=') {
            None => {
                let fault = word.fault(format!("`{}` is not of the form key=value", word.text));
                faults.push(fault.with_hint("a value with blanks needs quotes: key=\"a b\""));
            }
            Some(("", _)) => faults.push(word.fault(format!("{name} with an empty key"))),
            Some((key, value)) => {
                statement.check_word(Slice { text: key, offset: word.offset }, faults);
                statement.check_word(word.from(key.len() + 1), faults);
                pairs.push(KeyValue { key: key.to_owned(), value: value.to_owned() });
            }
        }
    }
    Some(pairs)
}

/// `ENV key the rest is the value`.
fn old_form(statement: &Statement, name: &str, rest: Slice, faults: &mut Vec<Fault>) -> Option<KeyValue> {
    let end = rest.text.find(is_blank).unwrap_or(rest.text.len());
    let (key, tail) = rest.text.split_at(end);
    let value = tail.trim_start_matches(is_blank);
    if value.is_empty() {
        faults.push(rest.fault(format!("{name} `{key}` has no value")).with_hint(format!("write {name} {key}=VALUE")));
        return None;
    }
    statement.check_word(Slice { text: key, offset: rest.offset }, faults);
    statement.check_word(rest.from(rest.text.len() - value.len()), faults);
    Some(KeyValue { key: key.to_owned(), value: value.to_owned() })
}

/// ARG. Names are not expanded.
pub(super) fn parse_arg(
    statement: &Statement,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Option<Vec<ArgDeclaration>> {
    let rest = Flags::read(statement, &[], faults).rest;
    let words = split_quoted(rest, statement.escape);
    if words.is_empty() {
        faults.push(statement.fault("ARG needs a name"));
        return None;
    }
    let mut declarations = Vec::new();
    for word in words {
        let (name, default) = match word.text.split_once('=') {
            Some((name, default)) => (name, Some(default)),
            None => (word.text, None),
        };
        if name.is_empty() {
            faults.push(word.fault("ARG with an empty name"));
            continue;
        }
        if name.contains(['"', '\'', '$', statement.escape]) {
            faults.push(
                word.fault(format!("`{name}` cannot be a variable's name")).with_hint("quote the value only: NAME=\"a b\""),
            );
            continue;
        }
        // Accepted by every builder, though no `$name` can ever reach it.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') || name.starts_with(|c: char| c.is_ascii_digit()) {
            warnings.push(word.fault(format!("`{name}` is not a name that can be used as `$name`")));
        }
        if default.is_some() {
            statement.check_word(word.from(name.len() + 1), faults);
        }
        declarations.push(ArgDeclaration {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            span: statement.span(word),
        });
    }
    Some(declarations)
}
