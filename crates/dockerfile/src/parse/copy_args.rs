//! The arguments of COPY and ADD: flags, then sources and a destination as words, as JSON, or with heredocs.

use super::flags::{FlagKind, Flags};
use super::json_array::{self, JsonForm};
use super::statement::{Fault, Slice, Statement};
use super::words::split_blanks;
use crate::copy::{Add, Copy, CopySource};
use crate::path_match::check_pattern;

const COPY_FLAGS: [(&str, FlagKind); 6] = [
    ("from", FlagKind::Single),
    ("chown", FlagKind::Single),
    ("chmod", FlagKind::Single),
    ("link", FlagKind::Bool),
    ("parents", FlagKind::Bool),
    ("exclude", FlagKind::Many),
];

const ADD_FLAGS: [(&str, FlagKind); 7] = [
    ("chown", FlagKind::Single),
    ("chmod", FlagKind::Single),
    ("link", FlagKind::Bool),
    ("keep-git-dir", FlagKind::Bool),
    ("checksum", FlagKind::Single),
    ("unpack", FlagKind::Bool),
    ("exclude", FlagKind::Many),
];

pub(super) fn parse_copy(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Copy> {
    let flags = Flags::read(statement, &COPY_FLAGS, faults);
    let from = flags.single("from").filter(|(value, _)| !value.is_empty());
    if let Some((value, place)) = from.as_ref().filter(|(value, _)| value.contains('$')) {
        let fault = place.fault(format!("`--from={value}`: a variable cannot be used here"));
        faults.push(fault.with_hint(format!("add `FROM {value} AS name` with a global ARG, and use `--from=name`")));
    }
    shared(statement, &flags, from.map(|(value, _)| value), faults)
}

pub(super) fn parse_add(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Add> {
    let flags = Flags::read(statement, &ADD_FLAGS, faults);
    let checksum = flags.word("checksum", statement, faults);
    let keep_git_dir = flags.bool("keep-git-dir").unwrap_or_default();
    let unpack = flags.bool("unpack");
    Some(Add { copy: shared(statement, &flags, None, faults)?, checksum, keep_git_dir, unpack })
}

/// What COPY and ADD have in common.
fn shared(statement: &Statement, flags: &Flags, from: Option<String>, faults: &mut Vec<Fault>) -> Option<Copy> {
    let chown = flags.word("chown", statement, faults);
    let chmod = flags.word("chmod", statement, faults);
    let mut exclude = Vec::new();
    for (pattern, place) in flags.many("exclude") {
        if let Err(error) = check_pattern(pattern.strip_prefix('!').unwrap_or(&pattern)) {
            faults.push(place.fault(error.to_string()));
        }
        exclude.push(pattern);
    }
    let (sources, dest) = sources_and_dest(statement, flags.rest, faults)?;
    Some(Copy {
        sources,
        dest,
        from,
        chown,
        chmod,
        link: flags.bool("link").unwrap_or_default(),
        parents: flags.bool("parents").unwrap_or_default(),
        exclude,
    })
}

fn sources_and_dest(statement: &Statement, rest: Slice, faults: &mut Vec<Fault>) -> Option<(Vec<CopySource>, String)> {
    let name = statement.upper_name();
    let mut words = match json_array::read(rest.text) {
        JsonForm::NotStrings => {
            faults.push(rest.fault("the JSON form is an array of strings only"));
            return None;
        }
        JsonForm::Strings(paths) => {
            let before = faults.len();
            for path in &paths {
                statement.check_word(Slice { text: path, offset: rest.offset }, faults);
            }
            if faults.len() > before {
                return None;
            }
            paths.into_iter().map(CopySource::Path).collect()
        }
        JsonForm::NotJson => plain_words(statement, rest, faults),
    };
    match (words.pop(), words.is_empty()) {
        (None, _) => {
            faults.push(statement.fault(format!("{name} needs a source and a destination")));
            None
        }
        (Some(CopySource::Heredoc(heredoc)), _) => {
            let fault = statement.fault(format!("{name} needs a destination after the heredoc `{}`", heredoc.name));
            faults.push(fault.with_hint("a heredoc cannot be the destination"));
            None
        }
        (Some(CopySource::Path(only)), true) => {
            faults.push(statement.fault(format!("{name} needs a destination after `{only}`")));
            None
        }
        (Some(CopySource::Path(dest)), false) => Some((words, dest)),
    }
}

/// Words at blanks, with each heredoc marker (which may hold blanks) as one.
fn plain_words(statement: &Statement, rest: Slice, faults: &mut Vec<Fault>) -> Vec<CopySource> {
    let mut words = Vec::new();
    let mut paths = |from: usize, to: usize, words: &mut Vec<CopySource>| {
        let between = Slice { text: statement.line.text.get(from..to).unwrap_or_default(), offset: from };
        for word in split_blanks(between) {
            let before = faults.len();
            statement.check_word(word, faults);
            if let Some(fault) = faults.get_mut(before).filter(|_| word.text.contains(['"', '\''])) {
                let json = "paths with blanks need the JSON form: [\"a b\", \"/dest/\"]";
                fault.hint = Some(json.to_owned());
            }
            words.push(CopySource::Path(word.text.to_owned()));
        }
    };
    let mut at = rest.offset;
    for (marker, heredoc) in statement.heredocs.iter().filter(|(m, _)| m.range.start >= rest.offset) {
        paths(at, marker.range.start, &mut words);
        words.push(CopySource::Heredoc(heredoc.clone()));
        at = marker.range.end;
    }
    paths(at, rest.offset + rest.text.len(), &mut words);
    words
}
