//! Finding the sources of a COPY or ADD below their root: names and wildcards to files (engine: C1–C4).

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use build_model::nearest;
use dockerfile::{check_pattern, path_match};
use rustix::fs::{Dir, FileType, Stat};

use super::selection::Include;
use super::tree::takes_part;
use super::{CopyError, Selection};
use crate::rootfs::{Found, RootDir, components, file_type};

/// One file or directory to copy.
#[derive(Debug)]
pub(crate) struct FoundSource {
    /// As named, relative to the root: gives the name in the image.
    pub(crate) named: PathBuf,
    /// Where it is, symlinks followed: what is read.
    pub(crate) path: PathBuf,
    /// What `--exclude` is relative to, below the root.
    pub(crate) exclude_base: PathBuf,
    pub(crate) stat: Stat,
    /// With `--parents`: what is taken of this directory.
    pub(crate) include: Option<Include>,
}

impl FoundSource {
    pub(crate) fn is_dir(&self) -> bool {
        file_type(&self.stat) == FileType::Directory
    }
}

/// The sources that `pattern` names below `root`. Empty only for wildcards that match nothing.
///
/// # Errors
/// A name without wildcard that is not there, also when it is the directory the wildcards begin in. `place` says what the
/// root is, for the message.
pub(crate) fn find(root: &RootDir, pattern: &str, selection: &Selection, place: &str) -> Result<Vec<FoundSource>, CopyError> {
    let elements: Vec<String> = components(Path::new(pattern)).into_iter().map(|c| c.to_string_lossy().into_owned()).collect();
    let plain = elements.iter().position(|e| has_wildcard(e)).unwrap_or(elements.len());
    let (plain, wild) = elements.split_at(plain);
    let named: PathBuf = plain.iter().map(|e| unescape(e)).collect();
    if wild.is_empty() {
        return find_named(root, &named, selection, place).map(|found| vec![found]);
    }
    for element in wild {
        check_pattern(element).map_err(|source| CopyError::Pattern { pattern: pattern.to_owned(), source })?;
    }
    let Found { path: start, stat } = root.resolve(&named).map_err(CopyError::read(&named))?;
    if !stat.is_some_and(|s| file_type(&s) == FileType::Directory) {
        return Err(no_source(root, &named, place, false));
    }
    let wild: Vec<String> = wild.iter().map(|e| one_star(e)).collect();
    let mut names = Vec::new();
    search(root, &start, &wild, selection, &mut names)?;
    let mut found = Vec::with_capacity(names.len());
    for named in names {
        let target = root.resolve(&named).map_err(CopyError::read(&named))?;
        // A symlink to nothing that a wildcard happens to match is copied as it is.
        let Found { path, stat } =
            if target.stat.is_some() { target } else { root.resolve_parent(&named).map_err(CopyError::read(&named))? };
        found.extend(stat.map(|stat| FoundSource { named, exclude_base: path.clone(), path, stat, include: None }));
    }
    Ok(found)
}

/// The sources of a COPY with `--parents`: the root, or the directories that stand before `/./`, each with the rest of
/// `pattern` as what is taken of it. Only real directories lead to a match, and `**` is any number of them.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_with_parents(
    root: &RootDir,
    pattern: &str,
    selection: &Selection,
    place: &str,
) -> Result<Vec<FoundSource>, CopyError> {
    let (before, after) = pattern.split_once("/./").unwrap_or(("", pattern));
    let elements: Vec<String> = components(Path::new(after)).into_iter().map(|c| c.to_string_lossy().into_owned()).collect();
    let include = if elements.is_empty() { None } else { Some(Include::parse(&elements.join("/"))?) };
    let mut found = find(root, before, selection, place)?;
    found.retain(FoundSource::is_dir);
    let mut taken = Vec::with_capacity(found.len());
    for mut source in found {
        source.include.clone_from(&include);
        if has_content(root, &source.path, &selection.of(&source))? {
            taken.push(source);
        }
    }
    if taken.is_empty() && !has_wildcard(before) && !elements.iter().any(|e| has_wildcard(e)) {
        let named: PathBuf =
            components(Path::new(before)).into_iter().chain(elements.iter().map(|e| unescape(e).into())).collect();
        let there = root.resolve_parent(&named).map_err(CopyError::read(&named))?;
        // Behind a symlink it is not hidden: only real directories are entered.
        let hidden = there.stat.is_some() && there.path == named;
        return Err(no_source(root, &named, place, hidden));
    }
    Ok(taken)
}

fn find_named(root: &RootDir, named: &Path, selection: &Selection, place: &str) -> Result<FoundSource, CopyError> {
    let Found { path, stat } = root.resolve(named).map_err(CopyError::read(named))?;
    let Some(stat) = stat else { return Err(no_source(root, named, place, false)) };
    if hides(root, selection, named, file_type(&stat) == FileType::Directory)? {
        return Err(no_source(root, named, place, true));
    }
    Ok(FoundSource { named: named.to_owned(), exclude_base: path.clone(), path, stat, include: None })
}

/// `hidden`: it is there, but left out.
fn no_source(root: &RootDir, named: &Path, place: &str, hidden: bool) -> CopyError {
    let siblings = list(root, named.parent().unwrap_or(Path::new(""))).unwrap_or_default();
    let siblings: Vec<String> = siblings.iter().map(|n| n.to_string_lossy().into_owned()).collect();
    let name = named.file_name().unwrap_or_default().to_string_lossy();
    let nearest = nearest(&name, siblings.iter().map(String::as_str)).filter(|n| *n != name).map(str::to_owned);
    CopyError::NoSource { path: named.display().to_string(), place: place.to_owned(), hidden, nearest }
}

/// Whether `path` is no source. A directory that `.dockerignore` leaves out is one as long as it brings back something in it.
fn hides(root: &RootDir, selection: &Selection, path: &Path, is_dir: bool) -> Result<bool, CopyError> {
    if !is_dir {
        return Ok(selection.excludes(path));
    }
    let context = selection.of_the_context();
    Ok(context.excludes(path) && !(context.may_bring_back(path) && has_content(root, path, &context)?))
}

/// Whether anything in the directory `dir` takes part.
fn has_content(root: &RootDir, dir: &Path, selection: &Selection) -> Result<bool, CopyError> {
    let fd = root.open_dir(dir).map_err(CopyError::read(dir))?;
    for name in list(root, dir).map_err(CopyError::read(dir))? {
        if takes_part(selection, fd.as_fd(), &name, &dir.join(&name))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds the paths below `dir` that match `elements`, one element a directory level. Symlinks to directories are not entered.
fn search(
    root: &RootDir,
    dir: &Path,
    elements: &[String],
    selection: &Selection,
    found: &mut Vec<PathBuf>,
) -> Result<(), CopyError> {
    let Some((element, rest)) = elements.split_first() else { return Ok(()) };
    for name in list(root, dir).map_err(CopyError::read(dir))? {
        if !path_match(element, &name.to_string_lossy()) {
            continue;
        }
        let path = dir.join(&name);
        let stat = root.lstat(&path).map_err(CopyError::read(&path))?;
        let is_dir = stat.is_some_and(|s| file_type(&s) == FileType::Directory);
        if !rest.is_empty() {
            if is_dir {
                search(root, &path, rest, selection, found)?;
            }
        } else if !hides(root, selection, &path, is_dir)? {
            found.push(path);
        }
    }
    Ok(())
}

/// In a source `**` is `*`, as in Go's `filepath.Match`; only `--parents` has a meaning of its own for it.
fn one_star(element: &str) -> String {
    let mut out = String::with_capacity(element.len());
    let mut chars = element.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '*' => while chars.next_if_eq(&'*').is_some() {},
            _ => {}
        }
    }
    out
}

/// Names in the directory `dir`, sorted.
fn list(root: &RootDir, dir: &Path) -> std::io::Result<Vec<OsString>> {
    list_open(root.open_dir(dir)?)
}

/// Names in an open directory, sorted bytewise.
pub(super) fn list_open(dir: std::os::fd::OwnedFd) -> std::io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::new(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn has_wildcard(element: &str) -> bool {
    let mut chars = element.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// A name in which wildcards were escaped.
fn unescape(element: &str) -> String {
    let mut name = String::with_capacity(element.len());
    let mut chars = element.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => name.extend(chars.next()),
            c => name.push(c),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use build_model::Diagnose;
    use dockerfile::IgnoreRules;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn context() -> (tempfile::TempDir, RootDir) {
        let dir = tempfile::tempdir().expect("tempdir");
        for file in ["a.conf", "b.conf", "README.md", "src/main.c", "src/lib/x.c", "src/lib/x.h", "[odd]"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            fs::write(path, file).expect("write");
        }
        symlink("src/main.c", dir.path().join("link")).expect("symlink");
        symlink("/etc", dir.path().join("outside")).expect("symlink");
        let root = RootDir::open(dir.path()).expect("open");
        (dir, root)
    }

    fn names(root: &RootDir, pattern: &str, selection: &Selection) -> Vec<String> {
        let found = find(root, pattern, selection, "the build context").expect(pattern);
        found.iter().map(|f| f.named.display().to_string()).collect()
    }

    #[test]
    fn wildcards_match_one_level() {
        let (_dir, root) = context();
        let all = Selection::default();
        assert_eq!(names(&root, "*.conf", &all), ["a.conf", "b.conf"]);
        assert_eq!(names(&root, "/../s*/m?in.c", &all), ["src/main.c"]);
        assert_eq!(names(&root, "src/**/*.c", &all), ["src/lib/x.c"], "two stars are one");
        assert_eq!(names(&root, "[[]odd]", &all), ["[odd]"]);
        assert_eq!(names(&root, r"\[odd]", &all), ["[odd]"]);
        assert!(names(&root, "*.none", &all).is_empty());
        assert_eq!(names(&root, ".", &all), [""]);
    }

    #[test]
    fn a_symlink_is_followed_and_keeps_its_name() {
        let (_dir, root) = context();
        let found = find(&root, "link", &Selection::default(), "here").expect("found");
        assert_eq!((found[0].named.as_path(), found[0].path.as_path()), (Path::new("link"), Path::new("src/main.c")));
        assert!(find(&root, "outside/passwd", &Selection::default(), "here").is_err(), "it leads to an etc inside the context");
    }

    #[test]
    fn missing_names_are_errors_with_a_neighbour() {
        let (_dir, root) = context();
        let err = find(&root, "REDME.md", &Selection::default(), "the build context").expect_err("missing");
        assert_eq!(err.to_string(), "there is no `REDME.md` in the build context");
        assert_eq!(err.hint().as_deref(), Some("did you mean `README.md`?"));
    }

    #[test]
    fn hidden_files_are_missing_and_the_hint_says_why() {
        let (_dir, root) = context();
        let ignore = IgnoreRules::parse("*.md\nsrc\n!src/lib/x.h\n").expect("rules");
        let selection = Selection::new(Some(&ignore), &[]).expect("selection");
        let err = find(&root, "README.md", &selection, "the build context").expect_err("hidden");
        assert!(err.hint().is_some_and(|h| h.contains(".dockerignore")));
        assert_eq!(names(&root, "src", &selection), ["src"]);
        assert_eq!(names(&root, "src/*/x.*", &selection), ["src/lib/x.h"]);
    }

    #[test]
    fn a_directory_of_which_nothing_is_brought_back_is_hidden() {
        let (_dir, root) = context();
        let ignore = IgnoreRules::parse("**\n!src/none\n").expect("rules");
        let selection = Selection::new(Some(&ignore), &[]).expect("selection");
        assert!(find(&root, "src", &selection, "the build context").is_err());
        assert!(names(&root, "s*", &selection).is_empty());
    }

    #[test]
    fn wildcards_begin_in_a_directory_that_is_there_and_enter_no_symlinks() {
        let (dir, root) = context();
        std::os::unix::fs::symlink("src", dir.path().join("alias")).expect("symlink");
        let all = Selection::default();
        assert!(find(&root, "none/*.c", &all, "the build context").is_err());
        assert_eq!(names(&root, "*/main.c", &all), ["src/main.c"]);
        assert_eq!(names(&root, "alias/m*", &all), ["src/main.c"]);
    }

    #[test]
    fn parents_are_kept_after_the_pivot() {
        let (_dir, root) = context();
        let all = Selection::default();
        let taken = |pattern: &str| -> Vec<(String, Option<String>)> {
            let found = find_with_parents(&root, pattern, &all, "the build context").expect(pattern);
            let pattern = |f: &FoundSource| f.include.as_ref().map(|i| i.pattern().to_owned());
            found.iter().map(|f| (f.path.display().to_string(), pattern(f))).collect()
        };
        assert_eq!(taken("src/lib/x.c"), [(String::new(), Some("src/lib/x.c".to_owned()))]);
        assert_eq!(taken("/src/./lib/*.c"), [("src".to_owned(), Some("lib/*.c".to_owned()))]);
        assert_eq!(taken("sr*/./**/x.c"), [("src".to_owned(), Some("**/x.c".to_owned()))]);
        assert_eq!(taken("src/./"), [("src".to_owned(), None)]);
        assert_eq!(taken("src/*.none"), []);
        assert!(find_with_parents(&root, "src/none", &all, "the build context").is_err());
        assert!(find_with_parents(&root, "none/./x*", &all, "the build context").is_err());
    }
}
