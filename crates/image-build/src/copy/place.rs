//! The destination rules of COPY and ADD (engine: C3, C4, C7): what becomes a file name, what a directory, which parents
//! are made. Then [`TreeCopier`] and the archive reader do the work.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;

use dockerfile::ModeChange;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};

use super::archive;
use super::filling::Filler;
use super::open_dir::{Finish, OpenDir};
use super::source::FoundSource;
use super::tree::{From, Rewrite, To, TreeCopier};
use super::{CopyError, Selection};
use crate::cancel::CancelFlag;
use crate::remote::Fetched;
use crate::rootfs::{RootDir, file_type, lstat_in};

/// One thing to copy.
#[derive(Debug)]
pub(crate) enum Item {
    /// A file or directory of the source root.
    Found(FoundSource),
    /// A heredoc.
    Text { name: String, content: String },
    /// What ADD fetched.
    Fetched(Box<Fetched>),
}

/// Whether archives are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpack {
    /// COPY, and `ADD --unpack=false`.
    Never,
    /// ADD: what is recognised as one.
    Detect,
    /// `ADD --unpack=true`: anything else is an error.
    Always,
}

/// A COPY or ADD with its sources found and its words expanded.
pub(crate) struct CopyJob<'a> {
    /// Where the sources are.
    pub(crate) root: &'a RootDir,
    /// What is copied, in order.
    pub(crate) items: &'a [Item],
    /// The image's tree.
    pub(crate) image: &'a RootDir,
    /// What the overlay that `image` is writes to: directories that are new are filled there, past the overlay, which would
    /// look for each file in all layers below and takes a third longer. `None` where `image` is no overlay.
    pub(crate) behind: Option<&'a RootDir>,
    /// Absolute path in the image.
    pub(crate) dest: &'a Path,
    /// It ended with a slash, or there was more than one source.
    pub(crate) dest_is_dir: bool,
    pub(crate) rewrite: &'a Rewrite,
    /// The same for what comes out of archives, which keep their owners.
    pub(crate) archive_rewrite: &'a Rewrite,
    pub(crate) selection: &'a Selection,
    /// The same for what was fetched: `--exclude` alone.
    pub(crate) fetched_selection: &'a Selection,
    pub(crate) unpack: Unpack,
    pub(crate) cancel: &'a CancelFlag,
    /// Receives remarks.
    pub(crate) note: &'a dyn Fn(String),
}

/// Does the copying.
///
/// # Errors
/// At the first file that cannot be copied; what was copied before stays in the image's tree, which is then thrown away.
pub(crate) fn place(job: &CopyJob<'_>) -> Result<(), CopyError> {
    thread::scope(|scope| {
        let filler = Filler::start(scope, job.rewrite).map_err(CopyError::write(job.dest))?;
        let walked = job.walk(&filler);
        walked.and(filler.finish())
    })
}

/// An open directory of the image and an entry in it that is to be written.
struct Target {
    dir: OwnedFd,
    name: std::ffi::OsString,
    path: PathBuf,
}

impl CopyJob<'_> {
    /// Makes everything but the contents of files and the files of directories, which `filler` adds.
    fn walk(&self, filler: &Filler) -> Result<(), CopyError> {
        let mut copier = TreeCopier {
            rewrite: self.rewrite,
            selection: self.selection.clone(),
            cancel: self.cancel,
            note: self.note,
            image: self.image.host_path(),
            behind: self.behind,
            links: HashMap::new(),
            filler,
        };
        for item in self.items {
            match item {
                Item::Text { name, content } => self.text(name, content)?,
                Item::Found(source) => self.found(&mut copier, self.root, source, self.selection, self.unpack)?,
                Item::Fetched(fetched) => {
                    // Docker unpacks what it fetched only when it is asked to.
                    let unpack = if self.unpack == Unpack::Detect { Unpack::Never } else { self.unpack };
                    self.found(&mut copier, &fetched.root, &fetched.found, self.fetched_selection, unpack)?;
                }
            }
        }
        Ok(())
    }

    /// Owner of directories nobody asked for by name.
    fn parent_owner(&self) -> (u32, u32) {
        self.rewrite.owner.unwrap_or((0, 0))
    }

    /// An octal `--chmod` is the mode of these too, as in BuildKit.
    fn make_dirs(&self, path: &Path) -> Result<OwnedFd, CopyError> {
        let mode = self.rewrite.mode.as_ref().map_or(0o755, ModeChange::of_new_directories);
        self.image.make_dirs_with(path, self.parent_owner(), mode).map_err(CopyError::write(path))
    }

    /// A file or directory below `root`.
    fn found(
        &self,
        copier: &mut TreeCopier<'_>,
        root: &RootDir,
        source: &FoundSource,
        selection: &Selection,
        unpack: Unpack,
    ) -> Result<(), CopyError> {
        if source.is_dir() {
            copier.selection = selection.of(source);
            return self.directory(copier, root, source, self.dest);
        }
        let is_file = file_type(&source.stat) == FileType::RegularFile;
        if unpack != Unpack::Never && is_file && self.unpacked(root, source, unpack)? {
            return Ok(());
        }
        self.file(copier, root, source)
    }

    /// The contents of a directory go into the destination, which keeps its owner and mode when it is there already.
    fn directory(&self, copier: &mut TreeCopier<'_>, root: &RootDir, source: &FoundSource, dest: &Path) -> Result<(), CopyError> {
        let found = self.image.resolve(dest).map_err(CopyError::write(dest))?;
        if found.stat.is_some() && !found.is_dir() {
            return Err(CopyError::DirectoryOverFile { from: source.named.clone(), to: dest.to_owned(), symlink: false });
        }
        let dir = self.make_dirs(&found.path)?;
        let from = root.open_dir(&source.path).map_err(CopyError::read(&source.path))?;
        let (from_path, finish) = (source.path.clone(), Finish::Nothing);
        copier.contents(OpenDir { source: from, dest: dir, from: from_path, to: found.path, finish })?;
        // The next source may have files of the same names.
        copier.filler.wait()
    }

    fn file(&self, copier: &mut TreeCopier<'_>, root: &RootDir, source: &FoundSource) -> Result<(), CopyError> {
        let name = source.named.file_name().unwrap_or(OsStr::new(""));
        let target = self.target(self.dest, self.dest_is_dir, name)?;
        let parent = root.open_dir(source.path.parent().unwrap_or(Path::new(""))).map_err(CopyError::read(&source.path))?;
        let file_name = source.path.file_name().unwrap_or(OsStr::new(""));
        let from = From { dir: parent.as_fd(), name: file_name, path: &source.path };
        copier.entry(&from, &To { dir: target.dir.as_fd(), name: &target.name, path: &target.path })
    }

    /// Unpacks an archive into the destination directory; false when it is no archive.
    fn unpacked(&self, root: &RootDir, source: &FoundSource, unpack: Unpack) -> Result<bool, CopyError> {
        let fd = root.open_at(&source.path, OFlags::RDONLY).map_err(CopyError::read(&source.path))?;
        let Some(mut archive) = archive::open(File::from(fd)).map_err(CopyError::read(&source.path))? else {
            if unpack == Unpack::Always {
                return Err(CopyError::NoArchive { path: source.named.clone() });
            }
            return Ok(false);
        };
        let write = || CopyError::write(self.dest);
        drop(self.image.make_dirs(self.dest, self.parent_owner()).map_err(write())?);
        let dest = self.image.below(self.dest).map_err(write())?;
        archive::unpack(&mut archive, &source.named, &dest, self.archive_rewrite, self.cancel)?;
        Ok(true)
    }

    fn text(&self, name: &str, content: &str) -> Result<(), CopyError> {
        let target = self.target(self.dest, self.dest_is_dir, OsStr::new(name))?;
        let write = || CopyError::write(&target.path);
        if let Some(stat) = lstat_in(target.dir.as_fd(), &target.name).map_err(write())? {
            if file_type(&stat) == FileType::Directory {
                return Err(CopyError::FileOverDirectory { from: name.into(), to: target.path.clone() });
            }
            rustix::fs::unlinkat(&target.dir, &target.name, AtFlags::empty()).map_err(|e| write()(e.into()))?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = self.rewrite.mode.as_ref().map_or(0o644, |change| change.apply(0o644, false));
        let file = rustix::fs::openat(&target.dir, &target.name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(file.map_err(|e| write()(e.into()))?);
        let mut fill = || -> std::io::Result<()> {
            file.write_all(content.as_bytes())?;
            let (uid, gid) = self.parent_owner();
            rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            Ok(())
        };
        fill().map_err(write())
    }

    /// Where a file called `name` goes. Symlinks of the destination are followed inside the image, the last one too.
    fn target(&self, dest: &Path, dest_is_dir: bool, name: &OsStr) -> Result<Target, CopyError> {
        let found = self.image.resolve(dest).map_err(CopyError::write(dest))?;
        if dest_is_dir || found.is_dir() {
            if found.stat.is_some() && !found.is_dir() {
                return Err(CopyError::Write { path: dest.to_owned(), source: std::io::ErrorKind::NotADirectory.into() });
            }
            let dir = self.make_dirs(&found.path)?;
            return Ok(Target { dir, name: name.to_owned(), path: found.path.join(name) });
        }
        let dir = self.make_dirs(found.path.parent().unwrap_or(Path::new("")))?;
        let name = found.path.file_name().unwrap_or(name).to_owned();
        Ok(Target { dir, name, path: found.path })
    }
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    struct World {
        _dirs: (tempfile::TempDir, tempfile::TempDir),
        context: RootDir,
        image: RootDir,
    }

    fn world() -> World {
        let (context, image) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
        for file in ["app/bin/run", "app/etc/x.conf", "one.txt", "two.txt"] {
            let path = context.path().join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
            fs::write(&path, file).expect("write");
        }
        fs::set_permissions(context.path().join("app/bin/run"), fs::Permissions::from_mode(0o750)).expect("chmod");
        fs::hard_link(context.path().join("app/bin/run"), context.path().join("app/bin/also")).expect("link");
        fs::create_dir_all(image.path().join("usr/lib")).expect("mkdir");
        symlink("usr/lib", image.path().join("lib")).expect("symlink");
        symlink("/../../../../../opt", image.path().join("escape")).expect("symlink");
        fs::write(image.path().join("file"), "old").expect("write");
        let roots = (RootDir::open(context.path()).expect("open"), RootDir::open(image.path()).expect("open"));
        World { _dirs: (context, image), context: roots.0, image: roots.1 }
    }

    impl World {
        fn copy(&self, sources: &[&str], dest: &str, rewrite: &Rewrite) -> Result<(), CopyError> {
            let selection = Selection::default();
            let mut items = Vec::new();
            for source in sources {
                let found = find(&self.context, source, &selection, "the build context")?;
                items.extend(found.into_iter().map(Item::Found));
            }
            let dest_is_dir = dest.ends_with('/') || items.len() > 1;
            place(&CopyJob {
                root: &self.context,
                items: &items,
                image: &self.image,
                behind: None,
                dest: Path::new(dest),
                dest_is_dir,
                rewrite,
                archive_rewrite: rewrite,
                selection: &selection,
                fetched_selection: &selection,
                unpack: Unpack::Never,
                cancel: &CancelFlag::new(),
                note: &|_| {},
            })
        }

        fn at(&self, path: &str) -> PathBuf {
            self.image.host_path().join(path)
        }
    }

    fn keep_owner() -> Rewrite {
        Rewrite { owner: None, mode: None, devices: false }
    }

    #[test]
    fn a_directory_gives_its_contents_and_keeps_modes_and_hard_links() {
        let world = world();
        world.copy(&["app"], "/srv/app", &keep_owner()).expect("copy");
        let run = fs::metadata(world.at("srv/app/bin/run")).expect("run");
        assert_eq!((run.mode() & 0o7777, run.nlink()), (0o750, 2));
        assert_eq!(run.ino(), fs::metadata(world.at("srv/app/bin/also")).expect("also").ino());
        assert_eq!(fs::metadata(world.at("srv/app")).expect("app").mode() & 0o7777, 0o755);
    }

    #[test]
    fn the_last_of_several_sources_wins_and_directories_keep_their_times() {
        let world = world();
        for side in ["left", "right"] {
            let dir = world.context.host_path().join(side).join("sub");
            fs::create_dir_all(&dir).expect("mkdir");
            (0..300).for_each(|n| fs::write(dir.join(n.to_string()), side).expect("write"));
            let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            fs::File::open(&dir).and_then(|dir| dir.set_modified(old)).expect("a time");
        }
        world.copy(&["left", "right"], "/both/", &keep_owner()).expect("copy");
        let sub = world.at("both/sub");
        (0..300).for_each(|n| assert_eq!(fs::read_to_string(sub.join(n.to_string())).expect("there"), "right"));
        assert_eq!(fs::metadata(&sub).expect("metadata").mtime(), 1_000_000);
    }

    #[test]
    fn a_slash_or_an_existing_directory_makes_it_a_name_inside() {
        let world = world();
        world.copy(&["one.txt"], "/new", &keep_owner()).expect("copy");
        world.copy(&["one.txt"], "/dir/", &keep_owner()).expect("copy");
        world.copy(&["one.txt"], "/usr", &keep_owner()).expect("copy");
        world.copy(&["*.txt"], "/many", &keep_owner()).expect("copy");
        for file in ["new", "dir/one.txt", "usr/one.txt", "many/one.txt", "many/two.txt"] {
            assert!(world.at(file).is_file(), "{file}");
        }
    }

    #[test]
    fn symlinks_of_the_destination_stay_inside_the_image() {
        let world = world();
        world.copy(&["one.txt"], "/lib/", &keep_owner()).expect("copy");
        world.copy(&["two.txt"], "/escape/deep/", &keep_owner()).expect("copy");
        assert!(world.at("usr/lib/one.txt").is_file() && world.at("opt/deep/two.txt").is_file());
    }

    #[test]
    fn files_and_directories_do_not_replace_each_other() {
        let world = world();
        assert!(matches!(world.copy(&["app"], "/file", &keep_owner()), Err(CopyError::DirectoryOverFile { .. })));
        fs::create_dir_all(world.at("usr/one.txt")).expect("mkdir");
        assert!(matches!(world.copy(&["one.txt"], "/usr/", &keep_owner()), Err(CopyError::FileOverDirectory { .. })));
        assert!(matches!(world.copy(&["one.txt", "two.txt"], "/file", &keep_owner()), Err(CopyError::Write { .. })));
    }

    #[test]
    fn modes_change_for_files_and_directories() {
        let world = world();
        let mode = Some(ModeChange::parse("u=rwX,go=").expect("mode"));
        world.copy(&["app"], "/x", &Rewrite { owner: None, mode, devices: false }).expect("copy");
        let mode = |path: &str| fs::metadata(world.at(path)).expect("metadata").mode() & 0o7777;
        assert_eq!((mode("x/etc"), mode("x/etc/x.conf"), mode("x/bin/run")), (0o700, 0o600, 0o700));
    }
}
