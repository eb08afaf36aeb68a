//! A sqlite rpmdb, and in a second part of the input its write-ahead log. Read from files, as the engine of sqlite does.

#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rpm_provenance::rpmdb::read_dir;

/// A root directory in memory, one for each process.
static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = PathBuf::from(format!("/dev/shm/fuzz-rpmdb-{}", std::process::id()));
    fs::create_dir_all(root.join("var/lib/rpm")).expect("a directory");
    root
});

fuzz_target!(|input: &[u8]| {
    let mark = b"--wal--";
    let cut = input.windows(mark.len()).position(|w| w == mark);
    let (database, log) = match cut {
        Some(at) => (&input[..at], Some(&input[at + mark.len()..])),
        None => (input, None),
    };
    let file = ROOT.join("var/lib/rpm/rpmdb.sqlite");
    fs::write(&file, database).expect("written");
    let wal = ROOT.join("var/lib/rpm/rpmdb.sqlite-wal");
    match log {
        Some(log) => fs::write(&wal, log).expect("written"),
        None => drop(fs::remove_file(&wal)),
    }
    let _ = read_dir(&ROOT);
    assert_eq!(fs::read(&file).expect("still there"), database, "reading wrote into the image");
});
