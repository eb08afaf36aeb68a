//! Finding the sources of a COPY or ADD below their root: names and wildcards to files (engine: C1–C4).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use build_model::nearest;
use dockerfile::{check_pattern, path_match};
use rustix::fs::{Dir, FileType, Stat};

use super::{CopyError, Selection};
use crate::rootfs::{Found, RootDir, components, file_type};

/// One file or directory to copy.
#[derive(Debug)]
pub(crate) struct FoundSource {
    /// As named, relative to the root: gives the name in the image.
    pub(crate) named: PathBuf,
    /// Where it is, symlinks followed: what is read.
    pub(crate) path: PathBuf,
    /// What `--exclude` is relative to, below the root: `path`, or less with `--parents`.
    pub(crate) exclude_base: PathBuf,
    pub(crate) stat: Stat,
}

impl FoundSource {
    pub(crate) fn is_dir(&self) -> bool {
        file_type(&self.stat) == FileType::Directory
    }
}

/// Directories deeper than this are not searched.
const MAX_DEPTH: usize = 256;

/// The sources that `pattern` names below `root`. Empty only for wildcards that match nothing.
///
/// # Errors
/// A name without wildcard that is not there. `place` says what the root is, for the message.
pub(crate) fn find(root: &RootDir, pattern: &str, selection: &Selection, place: &str) -> Result<Vec<FoundSource>, CopyError> {
    let elements: Vec<String> = components(Path::new(pattern)).into_iter().map(|c| c.to_string_lossy().into_owned()).collect();
    if !elements.iter().any(|e| has_wildcard(e)) {
        let named: PathBuf = elements.iter().map(|e| unescape(e)).collect();
        return find_named(root, &named, selection, place).map(|found| vec![found]);
    }
    for element in &elements {
        check_pattern(element).map_err(|source| CopyError::Pattern { pattern: pattern.to_owned(), source })?;
    }
    let mut names = Vec::new();
    search(root, Path::new(""), &elements, selection, &mut names)?;
    names.sort_unstable();
    names.dedup();
    let mut found = Vec::with_capacity(names.len());
    for named in names {
        let target = root.resolve(&named).map_err(CopyError::read(&named))?;
        // A symlink to nothing that a wildcard happens to match is copied as it is.
        let Found { path, stat } =
            if target.stat.is_some() { target } else { root.resolve_parent(&named).map_err(CopyError::read(&named))? };
        found.extend(stat.map(|stat| FoundSource { named, exclude_base: path.clone(), path, stat }));
    }
    Ok(found)
}

fn find_named(root: &RootDir, named: &Path, selection: &Selection, place: &str) -> Result<FoundSource, CopyError> {
    let Found { path, stat } = root.resolve(named).map_err(CopyError::read(named))?;
    let is_dir = stat.as_ref().is_some_and(|s| file_type(s) == FileType::Directory);
    let hidden = selection.hides_source(named, is_dir);
    match stat {
        Some(stat) if !hidden => Ok(FoundSource { named: named.to_owned(), exclude_base: path.clone(), path, stat }),
        stat => {
            let siblings = list(root, named.parent().unwrap_or(Path::new(""))).unwrap_or_default();
            let siblings: Vec<String> = siblings.iter().map(|n| n.to_string_lossy().into_owned()).collect();
            let name = named.file_name().unwrap_or_default().to_string_lossy();
            let nearest = nearest(&name, siblings.iter().map(String::as_str)).filter(|n| *n != name).map(str::to_owned);
            Err(CopyError::NoSource {
                path: named.display().to_string(),
                place: place.to_owned(),
                hidden: hidden && stat.is_some(),
                nearest,
            })
        }
    }
}

/// Adds the paths below `dir` that match `elements`, one element a directory level.
fn search(
    root: &RootDir,
    dir: &Path,
    elements: &[String],
    selection: &Selection,
    found: &mut Vec<PathBuf>,
) -> Result<(), CopyError> {
    let Some((element, rest)) = elements.split_first() else { return Ok(()) };
    if elements.iter().any(|e| e.contains("**")) && element.contains("**") {
        return search_deep(root, dir, dir, &elements.join("/"), selection, found);
    }
    let names = if has_wildcard(element) {
        list(root, dir).map_err(CopyError::read(dir))?
    } else {
        vec![OsString::from(unescape(element))]
    };
    for name in names {
        if has_wildcard(element) && !path_match(element, &name.to_string_lossy()) {
            continue;
        }
        let path = dir.join(&name);
        let there = root.resolve(&path).map_err(CopyError::read(&path))?;
        if rest.is_empty() {
            let exists = there.stat.is_some() || root.lstat(&path).map_err(CopyError::read(&path))?.is_some();
            if exists && !selection.hides_source(&path, there.is_dir()) {
                found.push(path);
            }
        } else if there.is_dir() {
            search(root, &path, rest, selection, found)?;
        }
    }
    Ok(())
}

/// `**`: every path below `dir` is held against the whole pattern. A directory that matches is not searched further.
fn search_deep(
    root: &RootDir,
    base: &Path,
    dir: &Path,
    pattern: &str,
    selection: &Selection,
    found: &mut Vec<PathBuf>,
) -> Result<(), CopyError> {
    if dir.components().count() > MAX_DEPTH {
        return Ok(());
    }
    for name in list(root, dir).map_err(CopyError::read(dir))? {
        let path = dir.join(&name);
        let stat = root.lstat(&path).map_err(CopyError::read(&path))?;
        // Symlinks to directories are not entered: they may lead back up.
        let is_dir = stat.as_ref().is_some_and(|s| file_type(s) == FileType::Directory);
        if selection.hides_source(&path, is_dir) {
            continue;
        }
        let relative = path.strip_prefix(base).unwrap_or(&path).to_string_lossy().into_owned();
        if path_match(pattern, &relative) {
            found.push(path);
        } else if is_dir {
            search_deep(root, base, &path, pattern, selection, found)?;
        }
    }
    Ok(())
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
    fn wildcards_match_one_level_and_stars_any() {
        let (_dir, root) = context();
        let all = Selection::default();
        assert_eq!(names(&root, "*.conf", &all), ["a.conf", "b.conf"]);
        assert_eq!(names(&root, "/../s*/m?in.c", &all), ["src/main.c"]);
        assert_eq!(names(&root, "src/**/*.c", &all), ["src/lib/x.c", "src/main.c"]);
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
        assert_eq!(names(&root, "src/**/x.*", &selection), ["src/lib/x.h"]);
    }
}
