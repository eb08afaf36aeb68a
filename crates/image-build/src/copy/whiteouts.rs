//! What `.dockerignore` hides of the build context, as an overlayfs layer of whiteouts over it: `RUN --mount=type=bind` of
//! the context then shows the files that COPY would take, and no others, as with BuildKit.
//!
//! One node for each topmost hidden file or directory, and a directory for each that leads to one. A copy of the rest, or
//! hard links to it, would cost more the larger the context is, and hard links reach neither other file systems nor other
//! owners; binds of single files are a mount each.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::source::list_open;
use super::tree::takes_part;
use super::{CopyError, Selection};
use crate::rootfs::{RootDir, file_type, lstat_in, open_dir_in};
use crate::snapshot::copy_metadata;

/// Writes the layer for the directory `dir` of `root` into the empty directory `into`. False when nothing is hidden.
pub(crate) fn write_whiteouts(root: &RootDir, dir: &Path, selection: &Selection, into: &Path) -> Result<bool, CopyError> {
    if selection.is_everything() {
        return Ok(false);
    }
    let top = root.open_dir(dir).map_err(CopyError::read(dir))?;
    let mut writer = Writer { selection, into, made: vec![into.to_owned()], hidden: false };
    writer.directory(top.as_fd(), dir, &mut Vec::new())?;
    if writer.hidden {
        like(&top, into).map_err(CopyError::write(into))?;
    }
    Ok(writer.hidden)
}

struct Writer<'a> {
    selection: &'a Selection,
    into: &'a Path,
    /// The directories of the layer that lead to where the walk is.
    made: Vec<PathBuf>,
    hidden: bool,
}

impl Writer<'_> {
    /// `above` are the directories between the layer's root and this one, each with its original.
    fn directory(
        &mut self,
        dir: BorrowedFd<'_>,
        path: &Path,
        above: &mut Vec<(OsString, std::os::fd::OwnedFd)>,
    ) -> Result<(), CopyError> {
        let listing = open_dir_in(dir, OsStr::new(".")).map_err(CopyError::read(path))?;
        for name in list_open(listing).map_err(CopyError::read(path))? {
            let below = path.join(&name);
            if !takes_part(self.selection, dir, &name, &below)? {
                self.whiteout(above, &name)?;
                continue;
            }
            let stat = lstat_in(dir, &name).map_err(CopyError::read(&below))?;
            if stat.is_some_and(|stat| file_type(&stat) == FileType::Directory) {
                let child = open_dir_in(dir, &name).map_err(CopyError::read(&below))?;
                let again = child.try_clone().map_err(CopyError::read(&below))?;
                above.push((name, again));
                self.directory(child.as_fd(), &below, above)?;
                above.pop();
                self.made.truncate(above.len() + 1);
            }
        }
        Ok(())
    }

    fn whiteout(&mut self, above: &[(OsString, std::os::fd::OwnedFd)], name: &OsStr) -> Result<(), CopyError> {
        for (name, original) in above.iter().skip(self.made.len() - 1) {
            let path = self.made.last().map_or(self.into, PathBuf::as_path).join(name);
            std::fs::create_dir(&path).map_err(CopyError::write(&path))?;
            // A merged directory looks like its topmost part.
            like(original, &path).map_err(CopyError::write(&path))?;
            self.made.push(path);
        }
        let path = self.made.last().map_or(self.into, PathBuf::as_path).join(name);
        rustix::fs::mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), 0)
            .map_err(|e| CopyError::write(&path)(e.into()))?;
        self.hidden = true;
        Ok(())
    }
}

fn like(original: &impl AsFd, path: &Path) -> std::io::Result<()> {
    // Opened anew: what is only a path has no attributes to read.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let original = rustix::fs::openat(original, ".", flags, Mode::empty())?;
    copy_metadata(original, File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dockerfile::IgnoreRules;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

    fn listed(dir: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).expect("list").flatten() {
            let metadata = entry.path().symlink_metadata().expect("metadata");
            let name = entry.path().strip_prefix(below).expect("below").display().to_string();
            if metadata.is_dir() {
                found.push(format!("{name}/"));
                listed(&entry.path(), below, found);
            } else {
                assert!(metadata.file_type().is_char_device() && metadata.rdev() == 0, "{name}");
                found.push(name);
            }
        }
    }

    fn whiteouts(context: &Path, dir: &str, ignore: &str) -> (bool, Vec<String>, tempfile::TempDir) {
        let into = tempfile::tempdir().expect("tempdir");
        let rules = IgnoreRules::parse(ignore).expect("rules");
        let selection = Selection::new(Some(&rules), &[]).expect("selection");
        let root = RootDir::open(context).expect("open");
        let hidden = write_whiteouts(&root, Path::new(dir), &selection, into.path()).expect("written");
        let mut found = Vec::new();
        listed(into.path(), into.path(), &mut found);
        found.sort();
        (hidden, found, into)
    }

    #[test]
    fn only_the_topmost_hidden_names_have_nodes() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: whiteouts need root");
            return;
        }
        let context = tempfile::tempdir().expect("tempdir");
        for file in
            ["a.txt", "secret", "src/x.c", "src/x.o", "src/deep/y.o", "src/deep/z.c", "out/keep/k", "out/f/g", "empty/.gone"]
        {
            let path = context.path().join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            fs::write(path, file).expect("write");
        }
        fs::set_permissions(context.path().join("src"), fs::Permissions::from_mode(0o750)).expect("chmod");
        let ignore = "secret\n**/*.o\nout\n!out/keep\n**/.gone\n";
        let (hidden, found, into) = whiteouts(context.path(), "", ignore);
        assert!(hidden);
        let expected = ["empty/", "empty/.gone", "out/", "out/f", "secret", "src/", "src/deep/", "src/deep/y.o", "src/x.o"];
        assert_eq!(found, expected);
        assert_eq!(fs::metadata(into.path().join("src")).expect("src").mode() & 0o7777, 0o750);
        assert_eq!(whiteouts(context.path(), "src", ignore).1, ["deep/", "deep/y.o", "x.o"]);
        let (hidden, found, _) = whiteouts(context.path(), "", "none\n");
        assert!(!hidden && found.is_empty());
    }
}
