//! Upper directories as RUN leaves them.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, symlink};

use rusqlite::Connection;

use super::*;

fn upper() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let upper = dir.path().join("fs");
    for sub in ["var/log", "var/lib/rpm", "var/lib/dnf", "var/lib/systemd", "var/cache/ldconfig", "etc"] {
        fs::create_dir_all(upper.join(sub)).expect("made");
    }
    (dir, upper)
}

fn run(dir: &tempfile::TempDir, upper: &Path, epoch: i64) {
    settle(upper, epoch, dir.path()).expect("settled");
}

#[test]
fn logs_and_seeds_go_and_the_machine_id_is_empty() {
    let (dir, upper) = upper();
    let gone = [
        "var/log/dnf.log",
        "var/log/dnf.rpm.log.1",
        "var/log/hawkey.log",
        "var/cache/ldconfig/aux-cache",
        "var/lib/systemd/random-seed",
    ];
    let kept = ["var/log/messages", "var/log/dnf", "etc/hostname"];
    for path in gone.iter().chain(&kept) {
        fs::write(upper.join(path), "x").expect("written");
    }
    fs::write(upper.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").expect("written");
    run(&dir, &upper, 1000);
    assert!(gone.iter().all(|path| !upper.join(path).exists()));
    assert!(kept.iter().all(|path| upper.join(path).exists()));
    assert_eq!(fs::read(upper.join("etc/machine-id")).expect("there"), b"");
    fs::write(upper.join("etc/machine-id"), "uninitialized\n").expect("written");
    run(&dir, &upper, 1000);
    assert_eq!(fs::read(upper.join("etc/machine-id")).expect("there"), b"uninitialized\n");
}

#[test]
fn links_are_not_followed() {
    let (dir, upper) = upper();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("random-seed"), "alive").expect("written");
    fs::write(outside.join("id"), "0123456789abcdef0123456789abcdef").expect("written");
    fs::remove_dir(upper.join("var/lib/systemd")).expect("removed");
    symlink(&outside, upper.join("var/lib/systemd")).expect("linked");
    symlink(outside.join("id"), upper.join("etc/machine-id")).expect("linked");
    fs::hard_link(outside.join("id"), upper.join("var/log/dnf.log")).expect("linked");
    run(&dir, &upper, 1000);
    assert_eq!(fs::read_to_string(outside.join("random-seed")).expect("there"), "alive");
    assert_eq!(fs::metadata(outside.join("id")).expect("there").len(), 32);
    assert!(upper.join("var/log/dnf.log").exists(), "it has another name");
}

/// A history as dnf writes it, at another time and with other leftovers in every call.
fn history(path: &Path, time: i64) {
    let db = Connection::open(path).expect("a database");
    db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE trans (id INTEGER PRIMARY KEY, dt_begin, dt_end, cmdline);")
        .expect("a table");
    db.execute("INSERT INTO trans VALUES (1, 500, 600, 'old')", []).expect("a row");
    db.execute("INSERT INTO trans VALUES (2, ?1, NULL, 'install bash')", [time]).expect("a row");
    db.execute("UPDATE trans SET dt_end = ?1 WHERE id = 2", [time + 7]).expect("updated");
    // As a program that ends without closing leaves it.
    let name = |middle: &str, end: &str| format!("{}{middle}{end}", path.display());
    for end in ["", "-wal", "-shm"] {
        fs::copy(name("", end), name(".kept", end)).expect("copied");
    }
    drop(db);
    for end in ["", "-wal", "-shm"] {
        fs::rename(name(".kept", end), name("", end)).expect("renamed");
    }
}

#[test]
fn two_histories_of_the_same_transactions_become_the_same_file() {
    let mut seen = Vec::new();
    for time in [1_700_000_000, 1_800_000_123] {
        let (dir, upper) = upper();
        let path = upper.join("var/lib/dnf/history.sqlite");
        history(&path, time);
        run(&dir, &upper, 1000);
        for end in ["wal", "shm"] {
            let left = fs::symlink_metadata(upper.join(format!("var/lib/dnf/history.sqlite-{end}"))).expect("a whiteout");
            // Not merely gone: the base image's own log, older than this state, must not come to light again.
            assert!(left.file_type().is_char_device() && left.rdev() == 0);
        }
        seen.push(fs::read(&path).expect("there"));
        // SQLite would take the whiteouts beside it for its own files; in an image they are none.
        let alone = dir.path().join("alone.sqlite");
        fs::copy(&path, &alone).expect("copied");
        let rows: Vec<(i64, i64, String)> = Connection::open(&alone)
            .and_then(|db| {
                db.prepare("SELECT dt_begin, dt_end, cmdline FROM trans ORDER BY id")?
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                    .collect()
            })
            .expect("rows");
        assert_eq!(rows, [(500, 600, "old".to_owned()), (1000, 1000, "install bash".to_owned())]);
    }
    assert!(seen[0] == seen[1]);
}

#[test]
fn what_is_no_database_or_has_programs_in_it_stays_as_it_is() {
    let (dir, upper) = upper();
    let path = upper.join("var/lib/rpm/rpmdb.sqlite");
    fs::write(&path, b"SQLite format 3\0 but not really").expect("written");
    run(&dir, &upper, 1000);
    assert_eq!(fs::read(&path).expect("there"), b"SQLite format 3\0 but not really");
    let path = upper.join("var/lib/dnf/history.sqlite");
    let db = Connection::open(&path).expect("a database");
    db.execute_batch(
        "CREATE TABLE trans (id, dt_begin, dt_end); INSERT INTO trans VALUES (1, 5000, 5000);
         CREATE TRIGGER t AFTER UPDATE ON trans BEGIN DELETE FROM trans; END;",
    )
    .expect("a trigger");
    drop(db);
    let before = fs::read(&path).expect("there");
    run(&dir, &upper, 1000);
    assert!(fs::read(&path).expect("there") == before);
}
