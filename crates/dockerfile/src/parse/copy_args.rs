//! The arguments of COPY and ADD: flags, then sources and a destination as words, as JSON, or with heredocs.

use super::flags::{FlagKind, Flags};
use super::json_array::{self, JsonForm};
use super::statement::{Fault, Slice, Statement};
use super::words::split_blanks;
use crate::copy::{Add, Copy, CopySource};
use crate::path_match::check_pattern;
use crate::{GitSource, ModeChange, RemoteSource, expand_heredoc};

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
    let copy = shared(statement, &flags, from.map(|(value, _)| value), faults)?;
    for path in paths(&copy) {
        let what = match RemoteSource::of(path) {
            None => continue,
            Some(RemoteSource::Url) => "a URL",
            Some(RemoteSource::Git) => "a git repository",
        };
        let fault = place_of(statement, flags.rest, path).fault(format!("`{path}` is {what}, which COPY does not fetch"));
        faults.push(fault.with_hint("ADD does, where the builder has a network for it"));
    }
    Some(copy)
}

pub(super) fn parse_add(statement: &Statement, faults: &mut Vec<Fault>) -> Option<Add> {
    let flags = Flags::read(statement, &ADD_FLAGS, faults);
    let checksum = flags.word("checksum", statement, faults);
    let keep_git_dir = flags.bool("keep-git-dir").unwrap_or_default();
    let unpack = flags.bool("unpack");
    let copy = shared(statement, &flags, None, faults)?;
    if let Some((checksum, place)) = flags.single("checksum") {
        check_checksum(&copy, &checksum, place, faults);
    }
    for path in paths(&copy).filter(|path| !path.contains('$') && RemoteSource::of(path) == Some(RemoteSource::Git)) {
        if let Err(error) = GitSource::parse(path) {
            faults.push(place_of(statement, flags.rest, path).fault(error.to_string()));
        }
    }
    Some(Add { copy, checksum, keep_git_dir, unpack })
}

/// `--checksum` belongs to one source, which is fetched. What holds a variable is only known when it is built.
fn check_checksum(copy: &Copy, checksum: &str, place: Slice, faults: &mut Vec<Fault>) {
    let source = match copy.sources.as_slice() {
        [CopySource::Path(source)] => source,
        [CopySource::Heredoc(_)] => {
            faults.push(place.fault("`--checksum` is for URLs and git repositories"));
            return;
        }
        _ => {
            faults.push(place.fault("`--checksum` is for one source"));
            return;
        }
    };
    if source.contains('$') {
        return;
    }
    let hexadecimal = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let expected = match RemoteSource::of(source) {
        None => Some("`--checksum` is for URLs and git repositories"),
        Some(_) if checksum.contains('$') => None,
        Some(RemoteSource::Git) if hexadecimal(checksum) && checksum.len() <= 64 => None,
        Some(RemoteSource::Git) => Some("the checksum of a git repository is a commit"),
        Some(RemoteSource::Url) => match checksum.split_once(':') {
            Some(("sha256", hex)) if hex.len() == 64 && hexadecimal(hex) => None,
            Some(("sha384", hex)) if hex.len() == 96 && hexadecimal(hex) => None,
            Some(("sha512", hex)) if hex.len() == 128 && hexadecimal(hex) => None,
            _ => Some("the checksum of a URL is written sha256:HEX"),
        },
    };
    faults.extend(expected.map(|message| place.fault(message)));
}

fn paths(copy: &Copy) -> impl Iterator<Item = &str> {
    copy.sources.iter().filter_map(|source| match source {
        CopySource::Path(path) => Some(path.as_str()),
        CopySource::Heredoc(_) => None,
    })
}

/// Where a word stands; the beginning of the arguments for one that JSON spells in another way.
fn place_of<'t>(statement: &Statement<'t>, rest: Slice<'t>, word: &str) -> Slice<'t> {
    let at = rest.text.find(word).unwrap_or_default();
    let text = statement.line.text.get(rest.offset + at..).unwrap_or_default();
    Slice { text, offset: rest.offset + at }
}

/// What COPY and ADD have in common.
fn shared(statement: &Statement, flags: &Flags, from: Option<String>, faults: &mut Vec<Fault>) -> Option<Copy> {
    let chown = flags.word("chown", statement, faults);
    let chmod = flags.word("chmod", statement, faults);
    if let Some((value, place)) = flags.single("chmod")
        && !value.is_empty()
        && !value.contains('$')
        && let Err(error) = ModeChange::parse(&value)
    {
        faults.push(place.fault(error.to_string()));
    }
    let mut exclude = Vec::new();
    for (pattern, place) in flags.many("exclude") {
        if let Err(error) = check_pattern(pattern.strip_prefix('!').unwrap_or(&pattern)) {
            faults.push(place.fault(error.to_string()));
        }
        exclude.push(pattern);
    }
    check_bodies(statement, faults);
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

/// Reports bodies that can never expand.
fn check_bodies(statement: &Statement, faults: &mut Vec<Fault>) {
    for (marker, heredoc) in statement.heredocs.iter().filter(|(_, heredoc)| heredoc.expand) {
        if let Err(error) = expand_heredoc(&heredoc.body, &|_| None)
            && !error.reason.depends_on_values()
        {
            let place = Slice { text: "", offset: marker.range.start };
            let fault = place.fault(format!("in the heredoc `{}`: {}", heredoc.name, error.reason));
            faults.push(fault.with_hint("quote its word (<<\"EOF\") to keep the body as it is, or write \\$ for a dollar sign"));
        }
    }
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
