//! Links from which something is run: `/etc/profile.d/x.sh -> /srv/data` makes a program of a data file.

use std::borrow::Cow;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
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
/// Directories by whose names programs and libraries are found.
const ROOTS: [&str; 9] = ["/bin", "/sbin", "/lib", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/libexec"];
/// Where anybody may write, or where a container has something else than its image.
const ANYBODY_S: [&str; 7] = ["/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run", "/var/run"];
/// Where the links of `alternatives` lead through, which it may also make in the place of a package's.
const ALTERNATIVES: &[u8] = b"/etc/alternatives/";

const COMMAND: &str = "a command or library";

/// Whether a shell finds the file at `path` by its name.
pub(super) fn is_command(path: &[u8]) -> bool {
    COMMANDS.iter().any(|dir| glob::matches(dir.as_bytes(), path))
}

/// Whether programs are found below `path` by its name.
pub(super) fn is_root_of_programs(path: &[u8]) -> bool {
    ROOTS.iter().any(|root| root.as_bytes() == path)
}

/// How something is run from a link at `path`; `None` where nothing is.
pub(super) fn runs(path: &[u8]) -> Option<&'static str> {
    obeyed(path).or_else(|| (is_command(path) || code::is_shared_object_name(split(path).1)).then_some(COMMAND))
}

/// The same of what is read as a file of its own name, whatever a link leads to.
fn obeyed(path: &[u8]) -> Option<&'static str> {
    if trust::is_extracted(path) || trust::is_bundle(path) {
        return Some(trust::RUNS);
    }
    code::at_place(path).or_else(|| code::of_name(split(path).1)).and_then(|found| found.runs)
}

/// The records of links, in the light of what they lead to. One that leads to what nothing accounts for, or to nothing
/// that is in the image, is a program that nothing accounts for.
pub(super) fn judge(links: Vec<RunLink>, tree: &mut Tree, known: &Known<'_>) -> Result<Vec<Record>, (PathBuf, io::Error)> {
    let mut records = Vec::new();
    for RunLink { path, mut record } in links {
        let altered = record.class == Class::Altered;
        let runs = runs(&path).unwrap_or(COMMAND); // in a directory of the image's PATH
        let objection = match problem(&path, altered, tree, known)? {
            None => other_program(&path, tree, known)?,
            found => found,
        };
        if let Some(objection) = objection {
            record.class = if altered { Class::Altered } else { Class::Unexplained };
            record.code = Code::Script;
            record.runs = Some(Cow::Owned([runs, &objection].join("; ")));
        } else if altered && record.kind == "link" && runs == COMMAND && !is_alternative(&path, tree)? {
            record.code = Code::Script; // another program now has the name of the package's
            record.runs = Some(Cow::Borrowed(COMMAND));
        }
        records.push(record);
    }
    Ok(records)
}

/// Whether the link at `path` leads through the directory of `alternatives`.
fn is_alternative(path: &[u8], tree: &mut Tree) -> Result<bool, (PathBuf, io::Error)> {
    let Some(entry) = tree.entry(path)? else { return Ok(false) };
    let target = std::fs::read_link(&entry.host).map_err(|error| (entry.host, error))?;
    Ok(target.as_os_str().as_bytes().starts_with(ALTERNATIVES))
}

/// What is wrong with the name of a command that leads to a program of an RPM. Names that packages have for themselves are
/// looked at where they are.
fn other_program(path: &[u8], tree: &mut Tree, known: &Known<'_>) -> Result<Option<String>, (PathBuf, io::Error)> {
    if !known.commands.has_name_of_another(path) || !known.owners.of(path).is_empty() {
        return Ok(None);
    }
    let target = tree.canonical_dir(path)?;
    let Some(entry) = tree.entry(&target)?.filter(|entry| entry.meta.is_file()) else { return Ok(None) };
    let sha256 = super::hash::sha256_of(&entry.host).map_err(|error| (entry.host.clone(), error))?;
    let original = known.owners.of(&target).first().copied().or_else(|| known.owners.with_content(&sha256));
    let Some(original) = original else { return Ok(None) }; // the commit's, or a program that is told by itself
    let objection = known.commands.objection(path, &target, Some(&sha256), &original);
    Ok(objection.map(|objection| format!("it leads to {} of {}; {objection}", shown(&target), original.name())))
}

/// Whether anybody may put something at `path`.
pub(super) fn is_anybody_s(path: &[u8]) -> bool {
    ANYBODY_S.iter().any(|dir| path.strip_prefix(dir.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")))
}

/// What is wrong with where a link leads.
///
/// Links to commands and libraries that nobody owns are made by `ldconfig` and `alternatives`, and left dangling when
/// packages go; what they lead to is a program by itself. But nobody makes them lead to where anybody may put one. `altered`
/// ones were a package's, and led elsewhere.
fn problem(path: &[u8], altered: bool, tree: &mut Tree, known: &Known<'_>) -> Result<Option<String>, (PathBuf, io::Error)> {
    let is_obeyed = obeyed(path).is_some();
    // The last component too: what the kernel would open.
    let target = tree.canonical_dir(path)?;
    let Some(entry) = tree.entry(&target)? else {
        // A masked unit is a link to /dev/null, which no layer holds.
        let is_kernel_s = &*target == b"/dev/null" || [&b"/proc/"[..], b"/sys/"].iter().any(|dir| target.starts_with(dir));
        let counts = if is_obeyed { !is_kernel_s } else { altered || is_anybody_s(&target) };
        return Ok(counts.then(|| format!("it leads to {}, which is not in the image", shown(&target))));
    };
    if !is_obeyed && is_anybody_s(&target) {
        return Ok(Some(format!("it leads to {}, where anybody may write", shown(&target))));
    }
    if !is_obeyed && !altered {
        return Ok(None); // a program by itself, or none
    }
    if !tree.is_new(entry.layer) {
        return Ok(None); // judged with the parent image
    }
    let found = known.judge(&entry).map_err(|source| (entry.host.clone(), source))?.record;
    if trust::is_extracted(&entry.path) || known.authselect.reason(&entry.path).is_some() {
        return Ok(None); // judged certificate by certificate, line by line
    }
    let is_unproven = matches!(found.class, Class::Unexplained | Class::Altered | Class::Stage | Class::Generated);
    // What is itself a program is named by itself.
    Ok((is_unproven && found.code == Code::None && found.kind != "directory")
        .then(|| format!("it leads to {}, {}", found.path, found.class.describe())))
}
