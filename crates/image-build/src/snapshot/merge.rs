//! Several upper directories made into one, by renames: `--squash`, one layer for all steps.
//! Copying the merged tree instead would read and write every byte again and lose hard links.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{SnapshotError, copy_metadata};

const OPAQUE: &str = "trusted.overlay.opaque";

/// Moves everything of `above` into `below`, the upper directory right under it, so that `below` alone stands for both.
/// `above` is left in pieces.
pub(crate) fn merge_uppers(below: &Path, above: &Path) -> Result<(), SnapshotError> {
    merge_dir(below, above).map_err(SnapshotError::path("merge the changes of several steps in", below))
}

fn merge_dir(below: &Path, above: &Path) -> io::Result<()> {
    let mut names: Vec<OsString> = fs::read_dir(above)?.map(|e| e.map(|e| e.file_name())).collect::<io::Result<_>>()?;
    names.sort_unstable();
    for name in names {
        merge_entry(&below.join(&name), &above.join(&name))?;
    }
    copy_metadata(File::open(above)?, File::open(below)?)
}

fn merge_entry(below: &Path, above: &Path) -> io::Result<()> {
    let new = fs::symlink_metadata(above)?;
    let old = match fs::symlink_metadata(below) {
        Ok(old) => old,
        // Not touched by the earlier steps: the later one's view of it is right as it is.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return fs::rename(above, below),
        Err(error) => return Err(error),
    };
    if new.is_dir() && old.is_dir() && !is_opaque(above)? {
        return merge_dir(below, above);
    }
    if old.is_dir() {
        fs::remove_dir_all(below)?
    } else {
        fs::remove_file(below)?
    }
    if new.is_dir() && !old.is_dir() {
        // The earlier steps had removed or replaced what the base has here; its content must not come back.
        set_opaque(above)?;
    }
    fs::rename(above, below)
}

fn is_opaque(dir: &Path) -> io::Result<bool> {
    Ok(xattr::get(dir, OPAQUE)?.is_some_and(|v| v == b"y"))
}

fn set_opaque(dir: &Path) -> io::Result<()> {
    xattr::set(dir, OPAQUE, b"y")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    fn whiteout(path: &Path) {
        mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).expect("whiteouts need Linux 5.8 or root");
    }

    fn is_whiteout(metadata: &fs::Metadata) -> bool {
        metadata.file_type().is_char_device() && metadata.rdev() == 0
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    #[test]
    fn the_later_step_wins_entry_by_entry() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (below, above) = (dir.path().join("below"), dir.path().join("above"));
        write(&below.join("etc/kept"), "1");
        write(&below.join("etc/changed"), "1");
        write(&below.join("etc/removed"), "1");
        write(&above.join("etc/changed"), "2");
        write(&above.join("etc/new"), "2");
        whiteout(&above.join("etc/removed"));
        merge_uppers(&below, &above).expect("merge");
        assert_eq!(fs::read_to_string(below.join("etc/kept")).expect("kept"), "1");
        assert_eq!(fs::read_to_string(below.join("etc/changed")).expect("changed"), "2");
        assert_eq!(fs::read_to_string(below.join("etc/new")).expect("new"), "2");
        assert!(is_whiteout(&fs::symlink_metadata(below.join("etc/removed")).expect("whiteout")));
    }

    #[test]
    fn a_directory_made_anew_hides_what_the_base_had() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (below, above) = (dir.path().join("below"), dir.path().join("above"));
        fs::create_dir_all(&below).expect("mkdir");
        whiteout(&below.join("gone"));
        write(&above.join("gone/fresh"), "2");
        write(&below.join("old/content"), "1");
        write(&above.join("old/fresh"), "2");
        if xattr::set(above.join("old"), OPAQUE, b"y").is_err() {
            eprintln!("skipped: trusted attributes need root");
            return;
        }
        merge_uppers(&below, &above).expect("merge");
        assert!(is_opaque(&below.join("gone")).expect("xattr") && is_opaque(&below.join("old")).expect("xattr"));
        assert!(below.join("gone/fresh").exists() && !below.join("old/content").exists());
    }
}
