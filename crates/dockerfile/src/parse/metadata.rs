//! EXPOSE, VOLUME, STOPSIGNAL, and the instructions that take the rest of the line: USER, WORKDIR, MAINTAINER.

use super::flags::Flags;
use super::json_array::{self, JsonForm};
use super::statement::{Fault, Slice, Statement};
use super::words::split_blanks;
use crate::parse_port;
use crate::problem::did_you_mean;

/// The rest of the line as one word. Blanks may be part of it: `WORKDIR /a b` is one directory.
pub(super) fn parse_text(statement: &Statement, expands: bool, faults: &mut Vec<Fault>) -> Option<String> {
    let rest = Flags::read(statement, &[], faults).rest;
    if rest.text.is_empty() {
        faults.push(statement.fault(format!("{} needs an argument", statement.upper_name())));
        return None;
    }
    if expands {
        statement.check_word(rest, faults);
    }
    Some(rest.text.to_owned())
}

pub(super) fn parse_expose(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let rest = Flags::read(statement, &[], faults).rest;
    let words = split_blanks(rest);
    if words.is_empty() {
        faults.push(statement.fault("EXPOSE needs at least one port"));
        return None;
    }
    for word in &words {
        statement.check_word(*word, faults);
        // What holds a variable or a quote is checked when it is expanded.
        if word.text.contains(['$', '"', '\'', statement.escape]) {
            continue;
        }
        if let Err(error) = parse_port(word.text) {
            faults.push(word.fault(error.to_string()));
        }
    }
    Some(words.into_iter().map(|w| w.text.to_owned()).collect())
}

pub(super) fn parse_volume(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Vec<String>> {
    let rest = Flags::read(statement, &[], faults).rest;
    let volumes: Vec<String> = match json_array::read(rest.text) {
        JsonForm::NotStrings => {
            faults.push(rest.fault("the JSON form is an array of strings only"));
            return None;
        }
        JsonForm::Strings(paths) => {
            for path in &paths {
                statement.check_word(Slice { text: path, offset: rest.offset }, faults);
            }
            paths
        }
        JsonForm::NotJson => split_blanks(rest)
            .into_iter()
            .map(|word| {
                statement.check_word(word, faults);
                word.text.to_owned()
            })
            .collect(),
    };
    if volumes.is_empty() {
        faults.push(statement.fault("VOLUME needs at least one path"));
        return None;
    }
    if volumes.iter().any(|v| v.trim().is_empty()) {
        faults.push(rest.fault("VOLUME with an empty path"));
        return None;
    }
    Some(volumes.into_iter().map(|v| v.trim().to_owned()).collect())
}

/// Linux signals by name, without SIG.
const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF", "PWR",
    "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH",
    "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

pub(super) fn parse_stop_signal(statement: &Statement, faults: &mut Vec<Fault>) -> Option<String> {
    let text = parse_text(statement, true, faults)?;
    if text.contains(['$', '"', '\'', statement.escape]) {
        return Some(text);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = |text: &str| text.parse::<u32>().is_ok_and(|n| (1..=64).contains(&n));
    let real_time = ["RTMIN+", "RTMAX-"].iter().any(|p| name.strip_prefix(p).is_some_and(number));
    if number(&text) || SIGNALS.contains(&name) || real_time {
        return Some(text);
    }
    let fault = statement.args.fault(format!("`{text}` is not a signal"));
    let names = SIGNALS.map(|s| format!("SIG{s}"));
    let near = did_you_mean(&format!("SIG{name}"), names.iter().map(String::as_str));
    let hint = near.unwrap_or_else(|| "it is a name like SIGTERM or a number from 1 to 64".to_owned());
    faults.push(fault.with_hint(hint));
    None
}
