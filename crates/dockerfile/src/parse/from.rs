//! `FROM [--platform=p] image [AS name]` (engine notes S4).

use super::flags::{FlagKind, Flags};
use super::statement::{Fault, Statement};
use super::words::split_blanks;
use crate::problem::did_you_mean;

pub(super) fn parse_from(
    statement: &Statement,
    faults: &mut Vec<Fault>,
    warnings: &mut Vec<Fault>,
) -> Option<(Option<String>, crate::From)> {
    let flags = Flags::read(statement, &[("platform", FlagKind::Single)], faults);
    let platform = flags.word("platform", statement, faults);
    let words = split_blanks(flags.rest);
    let (image, name) = match words.as_slice() {
        [] => {
            faults.push(statement.fault("FROM needs an image, a stage name or `scratch`"));
            return None;
        }
        [image] => (image, None),
        [image, word, name] if word.text.eq_ignore_ascii_case("as") => (image, Some(name)),
        [_, word, ..] => {
            let fault = word.fault("FROM takes an image and, after AS, a stage name");
            let hint = match words.iter().find(|w| w.text.starts_with('#')) {
                Some(_) => Some("a comment needs a line of its own".to_owned()),
                None if words.len() == 3 => did_you_mean(word.text, ["AS"]),
                None => None,
            };
            faults.push(Fault { hint, ..fault });
            return None;
        }
    };
    statement.check_word(*image, faults);
    let name = match name {
        None => None,
        Some(word) => {
            let name = word.text.to_ascii_lowercase();
            let well_formed = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
            if !well_formed {
                let fault = word.fault(format!("`{}` cannot be a stage name", word.text));
                faults.push(fault.with_hint("it begins with a letter and goes on with letters, digits, -, _ and ."));
                return None;
            }
            // As in BuildKit `scratch` is that stage from here on.
            if matches!(name.as_str(), "context" | "scratch") {
                warnings.push(word.fault(format!("the stage name `{name}` is reserved")));
            }
            Some(name)
        }
    };
    Some((name, crate::From { image: image.text.to_owned(), platform }))
}
