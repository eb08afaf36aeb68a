//! Other names of directories: with `/etc/cron.d -> /srv/c`, `/srv/c/job` is a cron job, though it lies among data.
//!
//! Gathered once for an image: where the directories of [`super::places`] lead, and the links in them that lead to
//! directories. What [`super::account`] judges has its path without links, so it is asked here for its other names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use super::tree::{Tree, join, split};
use super::{code, places, rights, trust};

/// How deep links are looked for below a place.
const DEPTH: usize = 4;
/// Links that count; an honest image has a handful.
const MAX: usize = 1000;

/// A directory that something is obeyed in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alias {
    /// Where it lies, no link on the way.
    directory: Vec<u8>,
    /// The name it is obeyed by.
    name: Vec<u8>,
}

/// The directories with other names.
#[derive(Default)]
pub(super) struct Aliases(Vec<Alias>);

impl Aliases {
    /// Looks where places lead in an image.
    pub fn gather(tree: &mut Tree) -> Result<Self, (PathBuf, io::Error)> {
        let mut found = BTreeSet::new();
        let mut add = |tree: &mut Tree, name: &[u8]| -> Result<(), (PathBuf, io::Error)> {
            let directory = tree.canonical_dir(name)?;
            // What an exact name leads to is a file, and judged as a link.
            if *directory != *name && found.len() < MAX && tree.is_directory(&directory)? {
                found.insert(Alias { directory: directory.to_vec(), name: name.to_vec() });
            }
            Ok(())
        };
        let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
        for place in places::directories().chain(trust::directories()) {
            let depth = depths.entry(place.path).or_default();
            *depth = if place.is_whole { DEPTH } else { *depth };
        }
        for (place, depth) in depths {
            add(tree, place.as_bytes())?;
            for link in tree.links_below(place.as_bytes(), depth)? {
                if is_obeyed(&join(&link, b"x")).is_some() {
                    add(tree, &link)?;
                }
            }
        }
        for home in rights::homes(tree)? {
            for link in tree.links_below(&home, 0)?.iter().filter(|link| split(link).1.starts_with(b".")) {
                add(tree, link)?;
            }
        }
        Ok(Self(found.into_iter().collect()))
    }

    /// Who obeys the file at `path`, by one of its other names; `None` for nearly every path.
    pub fn runs(&self, path: &[u8]) -> Option<String> {
        self.0.iter().find_map(|alias| {
            let rest = path.strip_prefix(alias.directory.as_slice()).filter(|rest| rest.starts_with(b"/"))?;
            let runs = is_obeyed(&[&alias.name, rest].concat())?;
            Some(format!("{runs}, by the link {}", super::shown(&alias.name)))
        })
    }
}

fn is_obeyed(path: &[u8]) -> Option<&'static str> {
    if trust::is_extracted(path) || trust::is_bundle(path) {
        return Some(trust::RUNS);
    }
    code::at_place(path).and_then(|found| found.runs)
}
