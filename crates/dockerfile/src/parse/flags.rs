//! `--name[=value]` directly after an instruction's name (engine notes L6). Quotes and escapes in them are removed.

use super::statement::{Fault, Slice, Statement, is_blank};

/// How a flag is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// `--link`, `--link=true`, `--link=false`
    Bool,
    /// `--from=x`, at most once
    Single,
    /// `--mount=x`, any number
    Many,
}

/// A flag as found.
#[derive(Debug, Clone)]
struct Flag<'t> {
    name: String,
    value: Option<String>,
    /// The value's place, or the flag's where it has none.
    place: Slice<'t>,
}

/// The flags of one instruction, checked against those it knows.
pub(super) struct Flags<'t> {
    found: Vec<Flag<'t>>,
    /// What follows them.
    pub rest: Slice<'t>,
}

impl<'t> Flags<'t> {
    /// Reads the flags; unknown, repeated and valueless ones become faults and are left out.
    pub fn read(statement: &Statement<'t>, known: &[(&'static str, FlagKind)], faults: &mut Vec<Fault>) -> Flags<'t> {
        let (words, rest) = flag_words(statement.args, statement.escape);
        let mut found: Vec<Flag> = Vec::new();
        let instruction = statement.upper_name();
        for (word, place) in words {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let name = name.strip_prefix("--").unwrap_or(name);
            let Some((_, kind)) = known.iter().find(|(n, _)| *n == name) else {
                faults.push(unknown(&instruction, name, place, known));
                continue;
            };
            if *kind != FlagKind::Many && found.iter().any(|f| f.name == name) {
                faults.push(place.fault(format!("the flag `--{name}` is given twice")));
                continue;
            }
            match (kind, value.as_deref()) {
                (FlagKind::Bool, None) => {}
                (FlagKind::Bool, Some(v)) if v.eq_ignore_ascii_case("true") || v.eq_ignore_ascii_case("false") => {}
                (FlagKind::Bool, Some(v)) => {
                    faults.push(place.fault(format!("`--{name}={v}`: the flag is true or false")));
                    continue;
                }
                (_, None) => {
                    faults.push(
                        place.fault(format!("the flag `--{name}` needs a value")).with_hint(format!("write --{name}=VALUE")),
                    );
                    continue;
                }
                _ => {}
            }
            let past = place.text.find('=').map_or(0, |i| i + 1);
            found.push(Flag { name: name.to_owned(), value, place: if past > 0 { place.from(past) } else { place } });
        }
        Flags { found, rest }
    }

    /// The value of a flag that is given at most once.
    pub fn single(&self, name: &str) -> Option<(String, Slice<'t>)> {
        self.many(name).into_iter().next()
    }

    /// The values of a repeated flag, in order.
    pub fn many(&self, name: &str) -> Vec<(String, Slice<'t>)> {
        self.found.iter().filter(|f| f.name == name).map(|f| (f.value.clone().unwrap_or_default(), f.place)).collect()
    }

    /// A boolean flag, if given.
    pub fn bool(&self, name: &str) -> Option<bool> {
        let flag = self.found.iter().find(|f| f.name == name)?;
        Some(flag.value.as_deref().is_none_or(|v| v.eq_ignore_ascii_case("true")))
    }

    /// The value of an expanding flag, its syntax checked.
    pub fn word(&self, name: &str, statement: &Statement, faults: &mut Vec<Fault>) -> Option<String> {
        let (value, place) = self.single(name)?;
        statement.check_word(Slice { text: &value, offset: place.offset }, faults);
        Some(value)
    }
}

fn unknown(instruction: &str, name: &str, place: Slice, known: &[(&'static str, FlagKind)]) -> Fault {
    let fault = place.fault(format!("{instruction} has no flag `--{name}`"));
    let near = if name.len() > 64 { None } else { build_model::nearest(name, known.iter().map(|(n, _)| *n)) };
    match near {
        Some(near) => fault.with_hint(format!("did you mean `--{near}`?")),
        None if (instruction, name) == ("ADD", "from") => fault.with_hint("COPY has it"),
        None if known.is_empty() => {
            fault.with_hint(format!("{instruction} has no flags at all; write -- before a word that begins with --"))
        }
        None => {
            let names: Vec<String> = known.iter().map(|(n, _)| format!("--{n}")).collect();
            fault.with_hint(format!("it has {}", names.join(", ")))
        }
    }
}

/// The leading words that begin with `--`, unquoted, and what follows. A `--` alone ends them.
fn flag_words<'t>(args: Slice<'t>, escape: char) -> (Vec<(String, Slice<'t>)>, Slice<'t>) {
    let mut words = Vec::new();
    let mut rest = args;
    loop {
        let blank = rest.text.find(|c: char| !is_blank(c)).unwrap_or(rest.text.len());
        rest = rest.from(blank);
        if !rest.text.starts_with("--") {
            return (words, rest);
        }
        let mut word = String::new();
        let mut quote = None;
        let mut end = rest.text.len();
        let mut chars = rest.text.char_indices();
        while let Some((i, c)) = chars.next() {
            match quote {
                None if is_blank(c) => {
                    end = i;
                    break;
                }
                None if c == '\'' || c == '"' => quote = Some(c),
                Some(q) if c == q => quote = None,
                _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
                _ => word.push(c),
            }
        }
        let place = Slice { text: rest.text.get(..end).unwrap_or_default(), offset: rest.offset };
        rest = rest.from(end);
        if word == "--" {
            let blank = rest.text.find(|c: char| !is_blank(c)).unwrap_or(rest.text.len());
            return (words, rest.from(blank));
        }
        words.push((word, place));
    }
}
