//! `RUN --mount=type=cache`: directories that outlive a RUN and are part of no layer.
//!
//! By default they live as long as the build: one build must not decide what another one installs. Where the caller keeps
//! them in a directory of its own, builds share them by `id`, with the Dockerfile's `sharing` kept by file locks:
//!
//! ```text
//! <caches>/HEX        the directory of an id: HEX is its sha256
//!          HEX-1 …    more of it, for `private` users at the same time
//!          HEX/fs     what is mounted
//!          HEX/id     the id as text, for people
//!          HEX/lock   held while a RUN uses it
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use dockerfile::{CacheSharing, FromRef, Mount};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::StageState;
use super::run_mounts::escape;
use crate::build::Builder;
use crate::copy::{CopyJob, Item, Rewrite, Selection, Unpack, find, place};
use crate::error::StepError;
use crate::rootfs::RootDir;
use crate::snapshot::SnapshotError;

/// How often a `locked` cache is tried again while another build has it.
const RETRY: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// A cache directory that a RUN uses; free for others on drop.
#[derive(Debug)]
pub(super) struct CacheLease {
    id: String,
    dir: PathBuf,
    _lock: File,
}

impl CacheLease {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Builder<'_> {
    /// The cache `id` for one RUN, made and seeded when it is new.
    pub(super) fn lease_cache(&mut self, state: &StageState, mount: &Mount, id: &str) -> Result<CacheLease, StepError> {
        let root = self.cache_root()?;
        let name = name_of(id);
        let failed = || StepError::path("take the cache directory", id);
        let (slot, lock) = match mount.sharing {
            CacheSharing::Shared => {
                let slot = root.join(&name);
                let lock = self.wait_for(&slot, FlockOperation::NonBlockingLockShared, id)?;
                (slot, lock)
            }
            CacheSharing::Locked => {
                let slot = root.join(&name);
                let lock = self.wait_for(&slot, FlockOperation::NonBlockingLockExclusive, id)?;
                (slot, lock)
            }
            CacheSharing::Private => first_free(&root, &name).map_err(failed())?,
        };
        let dir = slot.join("fs");
        if !dir.exists() {
            self.make_cache(state, mount, &slot, id)?;
        }
        Ok(CacheLease { id: id.to_owned(), dir, _lock: lock })
    }

    fn cache_root(&mut self) -> Result<PathBuf, StepError> {
        if let Some(dir) = &self.request.sandbox.cache_dir {
            return Ok(dir.clone());
        }
        if self.own_caches.is_none() {
            self.own_caches = Some(self.request.store.temp_dir().map_err(SnapshotError::from)?);
        }
        Ok(self.own_caches.as_ref().map(|dir| dir.path().to_owned()).unwrap_or_default())
    }

    /// The lock on `slot`, as soon as other builds let go of it.
    fn wait_for(&mut self, slot: &Path, how: FlockOperation, id: &str) -> Result<File, StepError> {
        let failed = || StepError::path("lock the cache directory", id);
        let file = open_lock(slot).map_err(failed())?;
        let watch = self.request.cancel.watch().map_err(failed())?;
        loop {
            match flock(&file, how) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(failed()(error.into())),
            }
            self.note_once(format!("the cache `{id}` is in use by another build; waiting for it"));
            match poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&RETRY)) {
                Ok(0) | Err(Errno::INTR) => {}
                _ => return Err(StepError::Cancelled),
            }
        }
    }

    /// Makes the directory beside its place, and moves it there when it is complete.
    fn make_cache(&mut self, state: &StageState, mount: &Mount, slot: &Path, id: &str) -> Result<(), StepError> {
        let failed = || StepError::path("make the cache directory", id);
        // Two users of a shared cache may come here at once; the first to finish wins.
        let new = tempfile::Builder::new().prefix("new-").tempdir_in(slot).map_err(failed())?;
        let dir = new.path().join("fs");
        let set_up = || -> io::Result<()> {
            fs::create_dir(&dir)?;
            chown(&dir, Some(mount.uid.unwrap_or(0)), Some(mount.gid.unwrap_or(0)))?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(mount.mode.unwrap_or(0o755)))?;
            fs::write(slot.join("id"), id)
        };
        set_up().map_err(failed())?;
        if let Some(from) = &mount.from {
            let from = self.plan.resolve_from(state.index, from);
            self.seed(&from, mount, &dir)?;
        }
        match fs::rename(&dir, slot.join("fs")) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => other.map_err(failed()),
        }
    }

    /// The first content of a cache with `from=`.
    fn seed(&mut self, from: &FromRef, mount: &Mount, dir: &Path) -> Result<(), StepError> {
        let source = self.source(Some(from))?;
        let selection = Selection::default();
        let found =
            find(source.root(), &escape(mount.source.as_deref().unwrap_or("/")), &selection, &self.place_name(Some(from)))?;
        let items: Vec<Item> = found.into_iter().map(Item::Found).collect();
        let rewrite = Rewrite { owner: None, mode: None, devices: false };
        let image = RootDir::open(dir).map_err(StepError::path("open the cache directory", dir))?;
        place(&CopyJob {
            root: source.root(),
            items: &items,
            image: &image,
            behind: None,
            dest: Path::new("/"),
            dest_is_dir: true,
            rewrite: &rewrite,
            archive_rewrite: &rewrite,
            selection: &selection,
            fetched_selection: &selection,
            unpack: Unpack::Never,
            cancel: self.request.cancel,
            note: &|_| {},
        })?;
        Ok(())
    }
}

/// What of a cache is shown: all of it, or what `source` names. With `from` that was what the cache began with.
pub(super) fn shown_part(mount: &Mount, cache: &RootDir, id: &str) -> Result<PathBuf, StepError> {
    match (&mount.source, &mount.from) {
        (Some(source), None) => {
            let found = find(cache, &escape(source), &Selection::default(), &format!("the cache `{id}`"))?;
            Ok(found.into_iter().next().map(|found| found.path).unwrap_or_default())
        }
        _ => Ok(PathBuf::new()),
    }
}

/// A name that any id can have.
fn name_of(id: &str) -> String {
    build_model::hex(&Sha256::digest(id.as_bytes()))
}

fn open_lock(slot: &Path) -> io::Result<File> {
    fs::create_dir_all(slot)?;
    OpenOptions::new().create(true).truncate(false).write(true).open(slot.join("lock"))
}

/// The first directory of an id that nobody uses.
fn first_free(root: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    let mut number = 0_u32;
    loop {
        let slot = root.join(if number == 0 { name.to_owned() } else { format!("{name}-{number}") });
        let file = open_lock(&slot)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok((slot, file)),
            Err(Errno::WOULDBLOCK) => number += 1,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_users_at_the_same_time_get_directories_of_their_own() {
        let dir = tempfile::tempdir().expect("tempdir");
        let name = name_of("/var/cache/dnf");
        let first = first_free(dir.path(), &name).expect("first");
        let second = first_free(dir.path(), &name).expect("second");
        assert_ne!(first.0, second.0);
        let path = first.0.clone();
        drop(first);
        assert_eq!(first_free(dir.path(), &name).expect("again").0, path);
    }
}
