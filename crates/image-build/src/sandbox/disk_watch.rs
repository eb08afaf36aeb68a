//! The disk limit of one RUN. Nobody but the engine can keep it: cgroups have no controller for space, and quotas need a
//! file system that was mounted for them (docs/adr has the reasons).
//!
//! Counting what a RUN wrote means walking its upper directory, which is too slow to do all the time. How full the file
//! system is can be asked at any moment, and a RUN cannot have written more than came to be used since it was last
//! counted. So it is counted only when that bound passes the limit, and now and then in case others freed space meanwhile.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{StatVfs, statfs, statvfs};

/// How often the file system is asked.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// At least this often it is counted.
const RECOUNT: Duration = Duration::from_secs(5);
/// Counting takes at most one part in this many of the time.
const SHARE: u32 = 10;
/// What an inode costs besides its blocks, so that millions of empty files count too.
const INODE: u64 = 512;

const OVERLAYFS: u64 = 0x794c_7630;

/// Watches what one RUN has written.
#[derive(Debug)]
pub(super) struct DiskWatch {
    limit: u64,
    dirs: Vec<PathBuf>,
    /// What was there before: cache mounts come with content.
    before: u64,
    counted: u64,
    in_use: u64,
    last_count: Instant,
    count_took: Duration,
}

impl DiskWatch {
    /// `dirs` are the directories on disk that the RUN can write to; all on one file system.
    pub(super) fn new(limit: u64, dirs: Vec<PathBuf>) -> Self {
        let mut watch =
            Self { limit, dirs, before: 0, counted: 0, in_use: 0, last_count: Instant::now(), count_took: Duration::ZERO };
        watch.in_use = watch.file_system_use();
        watch.before = watch.count(None);
        watch.counted = watch.before;
        watch
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether more than the limit is there now. `init` is the container's first process, while it lives.
    pub(super) fn is_exceeded(&mut self, init: Option<i32>) -> bool {
        let in_use = self.file_system_use();
        let grown = in_use.saturating_sub(self.in_use);
        let since = self.last_count.elapsed();
        let suspicious = self.counted + grown > self.before + self.limit && (init.is_none() || since >= self.count_took * SHARE);
        let due = since >= RECOUNT.max(self.count_took * SHARE);
        if suspicious || due {
            let begun = Instant::now();
            self.counted = self.count(init);
            (self.in_use, self.last_count, self.count_took) = (in_use, Instant::now(), begun.elapsed());
        }
        self.counted > self.before + self.limit
    }

    fn file_system_use(&self) -> u64 {
        let used = |s: StatVfs| (s.f_blocks - s.f_bfree) * s.f_frsize + s.f_files.saturating_sub(s.f_ffree) * INODE;
        self.dirs.first().and_then(|dir| statvfs(dir).ok()).map_or(0, used)
    }

    fn count(&self, init: Option<i32>) -> u64 {
        let mut seen = HashSet::new();
        let in_tree: u64 = self.dirs.iter().map(|dir| tree_size(dir, &mut seen)).sum();
        in_tree + init.map_or(0, |init| deleted_size(init, &mut seen))
    }
}

/// Bytes on disk below `dir`. What vanishes meanwhile does not count.
fn tree_size(dir: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let mut total = 0;
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.nlink() > 1 && !meta.is_dir() && !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            total += meta.blocks() * 512 + INODE;
            if meta.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    total
}

/// Files without a name that processes of the container still hold: they fill the disk and are in no directory.
fn deleted_size(init: i32, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(container) = namespace(&init.to_string()) else { return 0 };
    let mut total = 0;
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|b| b.is_ascii_digit()) || namespace(&pid).as_ref() != Some(&container) {
            continue;
        }
        for held in ["fd", "map_files"] {
            for link in fs::read_dir(process.path().join(held)).into_iter().flatten().flatten() {
                total += deleted_file_size(&link.path(), seen);
            }
        }
    }
    total
}

fn deleted_file_size(link: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    // Followed: a descriptor's link leads to the file itself, name or not.
    let Ok(meta) = fs::metadata(link) else { return 0 };
    if !meta.is_file() || meta.nlink() != 0 {
        return 0;
    }
    // Those in memory are the memory limit's.
    let on_overlay = statfs(link).is_ok_and(|s| s.f_type as u64 & 0xffff_ffff == OVERLAYFS);
    if on_overlay && seen.insert((meta.dev(), meta.ino())) { meta.blocks() * 512 + INODE } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_counted_once() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut watch = DiskWatch::new(3 << 20, vec![dir.path().to_owned()]);
        assert!(!watch.is_exceeded(None));
        fs::write(dir.path().join("a"), vec![1; 2 << 20]).expect("write");
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).expect("link");
        fs::create_dir(dir.path().join("d")).expect("mkdir");
        assert_eq!(watch.count(None) >> 20, 2);
        fs::write(dir.path().join("d/c"), vec![1; 2 << 20]).expect("write");
        assert_eq!(watch.count(None) >> 20, 4);
        // As if the file system had told of it, whatever its delayed allocation says.
        watch.in_use = 0;
        assert!(watch.is_exceeded(None));
        fs::remove_file(dir.path().join("d/c")).expect("remove");
        watch.in_use = 0;
        assert!(!watch.is_exceeded(None));
    }

    #[test]
    fn nameless_files_count_only_on_an_overlay() {
        let file = tempfile::tempfile().expect("a file without a name");
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        assert_eq!(deleted_file_size(Path::new(&link), &mut HashSet::new()), 0);
    }
}
