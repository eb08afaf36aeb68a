//! Links from which something is run: `/etc/profile.d/x.sh -> /srv/data` makes a program of a data file.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use super::classify::Known;
use super::code;
use super::glob;
use super::tree::{Tree, split};
use super::trust;
use super::{Class, Code, Record, shown};

/// A link that has been judged by itself, and its path.
pub(super) struct RunLink {
    pub path: Vec<u8>,
    pub record: Record,
}

/// Where commands are found.
const COMMANDS: [&str; 5] = ["/usr/bin/*", "/usr/sbin/*", "/usr/local/bin/*", "/usr/local/sbin/*", "/usr/libexec/**"];

/// How something is run from a link at `path`; `None` where nothing is.
///
/// Links to commands and libraries that nobody owns are made by `ldconfig` and `alternatives`, and left dangling when
/// packages go; what they lead to is a program by itself. `altered` ones were a package's, and led elsewhere.
pub(super) fn runs(path: &[u8], altered: bool) -> Option<&'static str> {
    if trust::is_extracted(path) || trust::is_bundle(path) {
        return Some(trust::RUNS);
    }
    let name = split(path).1;
    let is_command = || COMMANDS.iter().any(|dir| glob::matches(dir.as_bytes(), path)) || code::is_shared_object_name(name);
    let found = code::at_place(path).or_else(|| code::of_name(name)).and_then(|found| found.runs);
    found.or_else(|| (altered && is_command()).then_some("a command or library"))
}

/// The records of links, in the light of what they lead to. One that leads to what nothing accounts for, or to nothing
/// that is in the image, is a program that nothing accounts for.
pub(super) fn judge(links: Vec<RunLink>, tree: &mut Tree, known: &Known<'_>) -> Result<Vec<Record>, (PathBuf, io::Error)> {
    let mut records = Vec::new();
    for RunLink { path, mut record } in links {
        if let Some(problem) = problem(&path, tree, known)? {
            let altered = record.class == Class::Altered;
            record.class = if altered { Class::Altered } else { Class::Unexplained };
            record.code = Code::Script;
            record.runs = Some(Cow::Owned([runs(&path, altered).unwrap_or_default(), &problem].join("; ")));
        }
        records.push(record);
    }
    Ok(records)
}

fn problem(path: &[u8], tree: &mut Tree, known: &Known<'_>) -> Result<Option<String>, (PathBuf, io::Error)> {
    // The last component too: what the kernel would open.
    let target = tree.canonical_dir(path)?;
    let Some(entry) = tree.entry(&target)? else {
        // A masked unit is a link to /dev/null, which no layer holds.
        let is_kernel_s = &*target == b"/dev/null" || [&b"/proc/"[..], b"/sys/"].iter().any(|dir| target.starts_with(dir));
        return Ok((!is_kernel_s).then(|| format!("it leads to {}, which is not in the image", shown(&target))));
    };
    if !tree.is_new(entry.layer) {
        return Ok(None); // judged with the parent image
    }
    let found = known.judge(&entry).map_err(|source| (entry.host.clone(), source))?.record;
    if trust::is_extracted(&entry.path) {
        return Ok(None); // judged certificate by certificate
    }
    let is_unproven = matches!(found.class, Class::Unexplained | Class::Altered | Class::Stage | Class::Generated);
    // What is itself a program is named by itself.
    Ok((is_unproven && found.code == Code::None && found.kind != "directory")
        .then(|| format!("it leads to {}, {}", found.path, found.class.describe())))
}
