//! What `authselect select` makes of the templates of its profiles (authselect-profiles(5)): `/etc/authselect/system-auth`
//! and the like, which links in `/etc/pam.d` lead to. Explained when each line is what the template of an RPM gives with the
//! features that `/etc/authselect/authselect.conf` names.
//!
//! A pattern would not do: whoever may write there decides who may become whom.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::Class;
use super::classify::Known;
use super::tree::{Entry, Tree};

const DIRECTORY: &str = "/etc/authselect";
/// The profile's name, then its features, one a line.
const SETTINGS: &str = "/etc/authselect/authselect.conf";
/// Where profiles are looked for, in this order. Those of the machine (`custom/NAME`) are nobody's.
const PROFILES: [&str; 2] = ["/usr/share/authselect/vendor", "/usr/share/authselect/default"];
/// What is made of a template of the same name.
const MADE: [&str; 9] = [
    "system-auth",
    "password-auth",
    "fingerprint-auth",
    "smartcard-auth",
    "switchable-auth",
    "postlogin",
    "nsswitch.conf",
    "dconf-db",
    "dconf-locks",
];
/// Largest file that is read; real ones have some kilobytes.
const MAX: u64 = 1 << 20;

/// The files that are as their profile has them, each with the reason.
#[derive(Default)]
pub(super) struct Authselect(HashMap<Vec<u8>, String>);

impl Authselect {
    /// Looks at the files of an image in which one of them is new.
    pub fn gather(tree: &mut Tree, known: &Known<'_>) -> Result<Self, (PathBuf, io::Error)> {
        let mut found = Self::default();
        let Some(settings) = text(tree, SETTINGS)? else { return Ok(found) };
        let mut lines = settings.1.lines().map(str::trim).filter(|line| !line.is_empty());
        let Some(profile) = lines.next().filter(|name| !name.contains('/') && *name != ".." && *name != ".") else {
            return Ok(found);
        };
        let features: BTreeSet<String> = lines.map(str::to_owned).collect();
        for name in MADE {
            let Some((made, content)) = text(tree, &format!("{DIRECTORY}/{name}"))? else { continue };
            if !tree.is_new(made.layer) || made.meta.mode() & 0o022 != 0 || made.meta.uid() != 0 || made.meta.gid() != 0 {
                continue;
            }
            for place in PROFILES {
                let Some((template, original)) = text(tree, &format!("{place}/{profile}/{name}"))? else { continue };
                let judged = known.judge(&template).map_err(|error| (template.host.clone(), error))?;
                if judged.record.class == Class::Rpm
                    && let Some(expected) = generate(&original, &features)
                    && is_same(&content, &expected)
                {
                    let reason = format!("authselect: {name} of the profile {profile} with the features that are set");
                    found.0.insert(made.path.clone(), reason);
                }
                break;
            }
        }
        Ok(found)
    }

    /// Why the file at `path` is there, if it is as its profile has it.
    pub fn reason(&self, path: &[u8]) -> Option<&String> {
        self.0.get(path)
    }
}

/// A plain file of the image as text.
fn text(tree: &mut Tree, path: &str) -> Result<Option<(Entry, String)>, (PathBuf, io::Error)> {
    let (dir, name) = super::tree::split(path.as_bytes());
    let place = super::tree::join(&tree.canonical_dir(dir)?, name);
    let is_read = |entry: &Entry| entry.meta.is_file() && entry.meta.len() <= MAX;
    let Some(entry) = tree.entry(&place)?.filter(is_read) else { return Ok(None) };
    let bytes = std::fs::read(&entry.host).map_err(|error| (entry.host.clone(), error))?;
    Ok(String::from_utf8(bytes).ok().map(|text| (entry, text)))
}

/// Whether two files say the same: authselect writes some lines of comment before the first of the template, and drops
/// spaces at the ends of lines.
fn is_same(made: &str, expected: &str) -> bool {
    // A comment that goes on in the next line could swallow what follows.
    let is_comment = |line: &&str| line.is_empty() || (line.starts_with('#') && !line.ends_with('\\'));
    let says = |text: &'_ str| {
        let lines = text.lines().map(|line| line.trim_end().to_owned());
        let mut lines: Vec<String> = lines.skip_while(|line| is_comment(&line.as_str())).collect();
        lines.retain(|line| !line.is_empty());
        lines
    };
    says(made) == says(expected)
}

/// What a template gives; `None` for one that is not understood.
fn generate(template: &str, features: &BTreeSet<String>) -> Option<String> {
    let mut features = features.clone();
    let mut out = String::new();
    'lines: for line in template.lines() {
        let (mut rest, mut made) = (line, String::new());
        while let Some((before, operator, after)) = next_operator(rest) {
            made.push_str(before);
            rest = after;
            let is_set = |expression: &str, features: &BTreeSet<String>| Expression::new(expression).value(features);
            match operator {
                Operator::Continue(expression) | Operator::Stop(expression) => {
                    let goes_on = is_set(expression, &features)? == matches!(operator, Operator::Continue(_));
                    if goes_on {
                        continue 'lines;
                    }
                    out.push_str(&made);
                    return Some(out);
                }
                Operator::Include(expression) if !is_set(expression, &features)? => continue 'lines,
                Operator::Exclude(expression) if is_set(expression, &features)? => continue 'lines,
                Operator::Include(_) | Operator::Exclude(_) => {}
                Operator::Imply(feature, expression) => {
                    if is_set(expression, &features)? {
                        features.insert(feature.to_owned());
                    }
                    continue 'lines;
                }
                Operator::If(expression, yes, no) => made.push_str(if is_set(expression, &features)? { yes } else { no }),
            }
        }
        made.push_str(rest);
        out.push_str(&made);
        out.push('\n');
    }
    Some(out)
}

/// An operator of a template.
enum Operator<'a> {
    Continue(&'a str),
    Stop(&'a str),
    Include(&'a str),
    Exclude(&'a str),
    Imply(&'a str, &'a str),
    If(&'a str, &'a str, &'a str),
}

/// The next operator of a line, with what stands before and after it. Braces around anything else are text.
fn next_operator(line: &str) -> Option<(&str, Operator<'_>, &str)> {
    let mut from = 0;
    loop {
        let start = from + line.get(from..)?.find('{')?;
        let end = start + line.get(start..)?.find('}')?;
        if let Some(operator) = Operator::read(line.get(start + 1..end)?) {
            return Some((line.get(..start)?, operator, line.get(end + 1..)?));
        }
        from = start + 1;
    }
}

impl<'a> Operator<'a> {
    fn read(text: &'a str) -> Option<Self> {
        type OfExpression<'a> = fn(&'a str) -> Operator<'a>;
        let words: [(&str, OfExpression<'a>); 4] = [
            ("continue if ", Operator::Continue),
            ("stop if ", Operator::Stop),
            ("include if ", Operator::Include),
            ("exclude if ", Operator::Exclude),
        ];
        if let Some((word, operator)) = words.into_iter().find(|(word, _)| text.starts_with(word)) {
            return Some(operator(text.get(word.len()..)?));
        }
        if let Some(rest) = text.strip_prefix("imply \"") {
            let (feature, expression) = rest.split_once("\" if ")?;
            return Some(Operator::Imply(feature, expression));
        }
        let (expression, values) = text.strip_prefix("if ")?.split_once(':')?;
        let (yes, no) = values.split_once('|').unwrap_or((values, ""));
        Some(Operator::If(expression, yes, no))
    }
}

/// `"a" and not ("b" or "c")`; `and` and `or` bind alike, from left to right.
struct Expression<'a> {
    rest: &'a str,
    depth: usize,
}

/// Parentheses in one another.
const DEPTH: usize = 32;

impl<'a> Expression<'a> {
    fn new(text: &'a str) -> Self {
        Expression { rest: text, depth: 0 }
    }

    /// `None` for one that is not understood.
    fn value(mut self, features: &BTreeSet<String>) -> Option<bool> {
        let value = self.terms(features)?;
        self.rest.trim_start().is_empty().then_some(value)
    }

    fn terms(&mut self, features: &BTreeSet<String>) -> Option<bool> {
        let mut value = self.term(features)?;
        loop {
            if self.take("and") {
                let other = self.term(features)?;
                value = value && other;
            } else if self.take("or") {
                let other = self.term(features)?;
                value = value || other;
            } else {
                return Some(value);
            }
        }
    }

    fn term(&mut self, features: &BTreeSet<String>) -> Option<bool> {
        let mut negated = false;
        while self.take("not") {
            negated = !negated;
        }
        let value = if self.take("(") {
            self.depth += 1;
            let value = (self.depth <= DEPTH).then(|| self.terms(features)).flatten()?;
            self.depth -= 1;
            self.take(")").then_some(value)?
        } else {
            let (feature, rest) = self.rest.trim_start().strip_prefix('"')?.split_once('"')?;
            self.rest = rest;
            features.contains(feature)
        };
        Some(value != negated)
    }

    fn take(&mut self, word: &str) -> bool {
        let after = self.rest.trim_start().strip_prefix(word);
        let is_whole = |rest: &&str| word.len() == 1 || !rest.starts_with(|c: char| c.is_ascii_alphabetic());
        after.filter(is_whole).map(|rest| self.rest = rest).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(template: &str, features: &[&str]) -> Option<String> {
        generate(template, &features.iter().map(|f| (*f).to_owned()).collect())
    }

    #[test]
    fn every_operator_does_what_the_manual_says() {
        for (template, features, expected) in [
            ("a {include if \"x\"}\nb", &["x"][..], "a \nb\n"),
            ("a {include if \"x\"}\nb", &[], "b\n"),
            ("a {exclude if \"x\"}\nb", &["x"], "b\n"),
            ("a {exclude if \"x\"}\nb", &[], "a \nb\n"),
            ("{continue if \"x\"}\nb", &["x"], "b\n"),
            ("a\n{continue if \"x\"}\nb", &[], "a\n"),
            ("a\n{stop if \"x\"}\nb", &["x"], "a\n"),
            ("{stop if \"x\"}\nb", &[], "b\n"),
            ("{imply \"y\" if \"x\"}\na {include if \"y\"}", &["x"], "a \n"),
            ("{imply \"y\" if \"x\"}\na {include if \"y\"}", &[], ""),
            ("u {if not \"n\":nullok} s", &[], "u nullok s\n"),
            ("u {if \"n\":yes|no}{if \"m\" and not \"n\":both}", &["m"], "u noboth\n"),
            ("h {if \"a\" and (\"b\" or not \"c\"):x}", &["a", "c"], "h \n"),
            ("{nothing} {", &[], "{nothing} {\n"),
        ] {
            assert_eq!(made(template, features).as_deref(), Some(expected), "{template} {features:?}");
        }
        for template in ["{include if x}", "{include if \"a\" \"b\"}", "{if (\"a\":x}", "{stop if }"] {
            assert_eq!(made(template, &[]), None, "{template}");
        }
    }

    #[test]
    fn nothing_but_a_comment_before_the_first_line_may_be_added() {
        let profile = "auth required a.so\nauth required deny.so\n";
        assert!(is_same("# Generated\n\nauth required a.so\nauth required deny.so\n", profile));
        for other in [
            "# Generated \\\nauth required a.so\nauth required deny.so\n",
            "auth required a.so\n# x \\\nauth required deny.so\n",
            "auth required a.so\n",
            "auth sufficient permit.so\nauth required a.so\nauth required deny.so\n",
        ] {
            assert!(!is_same(other, profile), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_template_makes_the_reader_panic(text in "(\\{(if|imply|include if|stop if) |[\"(){}:|a\\n]|and |not ){0,30}") {
            let _ = made(&text, &["a"]);
        }
    }
}
