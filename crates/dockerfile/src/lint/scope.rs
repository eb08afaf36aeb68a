//! What is known of a stage's variables without its base image: which names the file defines, and their values where
//! those do not depend on anything unknown.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::checked::Checked;
use crate::plan::global_scope;
use crate::{CopySource, Instruction, InstructionKind, KeyValue, Platform, Stage, expand, expand_heredoc};

/// ARGs that every build has, with their values in a build of the last stage for the usual platform: rules must say the
/// same everywhere.
pub(super) fn platform_args() -> BTreeMap<String, String> {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
    global_scope::platform_args(&platform, None)
}

/// A value longer than this is not followed: it could only double from here on.
const MAX_VALUE: usize = 4096;

/// The variables at one place of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// Names with their values; `None` where the value is not known.
    values: BTreeMap<String, Option<String>>,
    /// There are no others: the base image's environment is known.
    pub complete: bool,
    /// The variables of the stage this one starts from; shared, because a file may have many stages.
    below: Option<Rc<Scope>>,
}

impl Scope {
    /// Global ARGs with their defaults, and the platform's.
    pub fn global(checked: &Checked) -> Scope {
        let mut scope = Scope { complete: true, ..Scope::default() };
        for (name, value) in platform_args() {
            scope.set(&name, Some(value));
        }
        for arg in &checked.file.global_args {
            let value = arg.default.as_ref().and_then(|word| scope.expand(word, checked.file.escape));
            scope.set(&arg.name, value);
        }
        scope
    }

    fn set(&mut self, name: &str, value: Option<String>) {
        self.values.insert(name.to_owned(), value.filter(|v| v.len() <= MAX_VALUE));
    }

    fn layers(&self) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(self), |scope| scope.below.as_deref())
    }

    /// The names defined here.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers().flat_map(|layer| layer.values.keys().map(String::as_str))
    }

    /// Whether the file defines a name, or every build does.
    pub fn defines(&self, name: &str) -> bool {
        self.layers().any(|layer| layer.values.contains_key(name)) || global_scope::is_proxy(name)
    }

    /// A variable: not defined, defined with an unknown value, or known.
    fn get(&self, name: &str) -> Option<&Option<String>> {
        self.layers().find_map(|layer| layer.values.get(name))
    }

    /// The word's value, when nothing in it is unknown.
    pub fn expand(&self, word: &str, escape: char) -> Option<String> {
        let unknown = Cell::new(false);
        let lookup = |name: &str| match self.get(name) {
            Some(Some(value)) => Some(value.clone()),
            None if self.complete => None,
            _ => {
                unknown.set(true);
                None
            }
        };
        let value = expand(word, escape, &lookup).ok()?;
        (!unknown.get()).then_some(value)
    }
}

/// The names a word uses, without those it has an answer for when they are not set (`${n:-w}`, `${n:+w}`, `${n:?w}`).
pub(super) fn names_in(word: &str, escape: char) -> BTreeSet<String> {
    names(word, |lookup| drop(expand(word, escape, lookup)))
}

fn names(word: &str, run: impl FnOnce(&dyn Fn(&str) -> Option<String>)) -> BTreeSet<String> {
    let seen = RefCell::new(BTreeSet::new());
    run(&|name: &str| {
        seen.borrow_mut().insert(name.to_owned());
        // A value, so that a required variable does not end the reading.
        Some("x".to_owned())
    });
    let answered =
        |name: &String| ["-", ":-", "+", ":+", "?", ":?"].iter().any(|operator| word.contains(&format!("${{{name}{operator}")));
    let ordinary = |name: &String| name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    seen.into_inner().into_iter().filter(|name| ordinary(name) && !answered(name)).collect()
}

/// The names an instruction's words use; those of an ARG are not asked for here, because each sees the one before.
pub(super) fn names_of(instruction: &Instruction, escape: char) -> BTreeSet<String> {
    let pairs = |pairs: &[KeyValue]| -> BTreeSet<String> {
        pairs.iter().flat_map(|p| [&p.key, &p.value]).flat_map(|w| names_in(w, escape)).collect()
    };
    let all = |words: &[String]| -> BTreeSet<String> { words.iter().flat_map(|w| names_in(w, escape)).collect() };
    let copied = |copy: &crate::Copy| -> BTreeSet<String> {
        let mut found: BTreeSet<String> = copy.chown.iter().chain(&copy.chmod).flat_map(|w| names_in(w, escape)).collect();
        found.extend(names_in(&copy.dest, escape));
        for source in &copy.sources {
            match source {
                CopySource::Path(path) => found.extend(names_in(path, escape)),
                CopySource::Heredoc(heredoc) if heredoc.expand => {
                    found.extend(names(&heredoc.body, |lookup| drop(expand_heredoc(&heredoc.body, lookup))));
                }
                CopySource::Heredoc(_) => {}
            }
        }
        found
    };
    match &instruction.kind {
        InstructionKind::Env(list) | InstructionKind::Label(list) => pairs(list),
        InstructionKind::Copy(copy) => copied(copy),
        InstructionKind::Add(add) => {
            let mut found = copied(&add.copy);
            found.extend(add.checksum.iter().flat_map(|w| names_in(w, escape)));
            found
        }
        InstructionKind::Workdir(word) | InstructionKind::User(word) | InstructionKind::StopSignal(word) => {
            names_in(word, escape)
        }
        InstructionKind::Expose(words) | InstructionKind::Volume(words) => all(words),
        InstructionKind::Run(run) => run.mounts.iter().flat_map(|m| names_in(&m.text, escape)).collect(),
        _ => BTreeSet::new(),
    }
}

/// Visits every instruction with the variables before it.
pub(super) fn walk(checked: &Checked, visit: &mut dyn FnMut(&Stage, &Instruction, &Scope)) {
    let escape = checked.file.escape;
    let global = Scope::global(checked);
    let mut ends: Vec<Rc<Scope>> = Vec::new();
    for stage in &checked.file.stages {
        let mut scope = base_scope(checked, stage, &global, &ends);
        for instruction in &stage.instructions {
            visit(stage, instruction, &scope);
            match &instruction.kind {
                InstructionKind::Env(pairs) => {
                    // The whole instruction sees the variables before it.
                    let new: Vec<_> =
                        pairs.iter().map(|p| (scope.expand(&p.key, escape), scope.expand(&p.value, escape))).collect();
                    for (key, value) in new {
                        if let Some(key) = key {
                            scope.set(&key, value);
                        }
                    }
                }
                InstructionKind::Arg(declarations) => {
                    for declaration in declarations {
                        let value = match &declaration.default {
                            Some(word) => scope.expand(word, escape),
                            None => global.get(&declaration.name).cloned().flatten(),
                        };
                        scope.set(&declaration.name, value);
                    }
                }
                _ => {}
            }
        }
        ends.push(Rc::new(scope));
    }
}

/// What a stage begins with.
fn base_scope(checked: &Checked, stage: &Stage, global: &Scope, ends: &[Rc<Scope>]) -> Scope {
    let image = global.expand(&stage.from.image, checked.file.escape);
    let below = image.as_deref().and_then(|image| earlier(checked, stage, image)).and_then(|index| ends.get(index));
    if let Some(below) = below {
        return Scope { values: BTreeMap::new(), complete: below.complete, below: Some(Rc::clone(below)) };
    }
    let env = image.as_deref().and_then(|image| checked.options.base_env.get(image));
    let mut scope = Scope { complete: env.is_some() || image.as_deref() == Some("scratch"), ..Scope::default() };
    // Every builder sets one where the image has none.
    scope.set("PATH", None);
    for (name, value) in env.into_iter().flatten() {
        scope.set(name, Some(value.clone()));
    }
    scope
}

/// The stage above this one that has a name.
pub(super) fn earlier(checked: &Checked, stage: &Stage, name: &str) -> Option<usize> {
    let before = checked.file.stages.iter().take(stage.index);
    before.rev().find(|s| s.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(name))).map(|s| s.index)
}
