//! rpmdbs as rpm writes them, in all three formats, and as somebody might forge them.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read as _;
use std::path::Path;

use image_layers::MergedView;
use rpm_provenance::rpmdb::{read_dir, read_view};
use rpm_provenance::{RpmDb, RpmDbError, RpmDbFormat};
use rusqlite::Connection;
use support::{Recipe, SigningKey, install, rpm, rpmbuild, run};

const QUERY: &str = "%{name} %{epoch} %{version} %{release} %{arch} %{sigmd5}\n";

/// The database in the words of `rpm -qa --qf QUERY`, sorted.
fn listed(db: &RpmDb) -> Vec<String> {
    let none = || "(none)".to_owned();
    let mut lines: Vec<String> = db
        .packages
        .iter()
        .map(|p| {
            let nvr = &p.nvra.nvr;
            let epoch = p.epoch.map_or_else(none, |e| e.to_string());
            let sigmd5 = p.sigmd5.clone().unwrap_or_else(none);
            format!("{} {epoch} {} {} {} {sigmd5}", nvr.name, nvr.version, nvr.release, p.nvra.arch)
        })
        .collect();
    lines.sort();
    lines
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn database(root: &Path) -> Connection {
    let db = Connection::open(root.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    // the index tables refer to Packages, which a forger does not mind
    db.pragma_update(None, "foreign_keys", false).unwrap();
    db
}

#[test]
fn a_sqlite_database_reads_as_rpm_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let key = SigningKey::new(dir.path());
    let signed = rpmbuild(dir.path(), &Recipe { name: "signed-web", epoch: Some(0), ..Recipe::default() });
    key.sign(&signed);
    let native = rpmbuild(
        dir.path(),
        &Recipe { name: "native", version: "2~rc1^git", epoch: Some(3), arch: "x86_64", ..Recipe::default() },
    );
    install(&root, &[&signed, &native]);
    let armoured = dir.path().join("key.asc");
    key.export(&armoured);
    run(rpm(&root).arg("--import").arg(&armoured));
    // two versions of one package may be installed side by side (kernels are)
    for version in ["5.1", "5.2"] {
        let kernel = rpmbuild(dir.path(), &Recipe { name: "kernel", version, ..Recipe::default() });
        run(rpm(&root).args(["-i", "--nodeps", "--noscripts", "--justdb", "--force"]).arg(&kernel));
    }
    let db = read_dir(&root).unwrap();
    assert_eq!((db.path.as_str(), db.format), ("/var/lib/rpm/rpmdb.sqlite", RpmDbFormat::Sqlite));
    assert_eq!(listed(&db), sorted(&run(rpm(&root).args(["-qa", "--qf", QUERY]))));
    assert_eq!(db.packages.len(), 5);
    for package in &db.packages {
        assert_eq!(package.fault, None, "{}", package.nevra());
    }
    let digests = sorted(&run(rpm(&root).args(["-qa", "--qf", "%{name} %{sha256header}\n"])));
    let mut ours: Vec<String> = db.packages.iter().map(|p| format!("{} {}", p.nvra.nvr.name, p.computed.sha256)).collect();
    ours.sort();
    assert_eq!(ours, digests);
    let found = db.packages.iter().find(|p| p.nvra.nvr.name == "signed-web").unwrap();
    assert_eq!(
        (found.signing_key.as_deref(), found.epoch, found.vendor.as_deref()),
        (Some(key.id.as_str()), Some(0), Some("Example"))
    );
    assert_eq!(db.packages.iter().filter(|p| p.is_public_key()).count(), 1);
}

#[test]
fn changes_in_a_live_write_ahead_log_count_and_the_layer_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let (a, b) = (
        rpmbuild(dir.path(), &Recipe { name: "stays", ..Recipe::default() }),
        rpmbuild(dir.path(), &Recipe { name: "goes", ..Recipe::default() }),
    );
    install(&root, &[&a, &b]);
    let connection = database(&root);
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let names: Vec<(i64, Vec<u8>)> = connection
        .prepare("SELECT hnum, blob FROM Packages")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let goes = names.iter().find(|(_, blob)| blob.windows(5).any(|w| w == b"goes\0")).unwrap().0;
    connection.execute("DELETE FROM Packages WHERE hnum = ?", [goes]).unwrap();
    let state = || {
        let folder = root.join("var/lib/rpm");
        ["rpmdb.sqlite", "rpmdb.sqlite-wal", "rpmdb.sqlite-shm"].map(|f| std::fs::read(folder.join(f)).unwrap())
    };
    let before = state();
    assert!(!before[1].is_empty(), "the log is live");
    let db = read_dir(&root).unwrap();
    assert_eq!(db.packages.iter().map(|p| p.nvra.nvr.name.as_str()).collect::<Vec<_>>(), ["stays"]);
    assert_eq!(state(), before);
}

#[test]
fn a_berkeley_db_reads_as_rpm_reads_it() {
    // Written by Berkeley DB 5.3 from rpm's header blobs; the list was printed by rpm's bdb_ro backend.
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("usr/share/rpm");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Packages"), gunzip(include_bytes!("data/bdb-hash-Packages.gz"))).unwrap();
    let db = read_dir(dir.path()).unwrap();
    assert_eq!(db.format, RpmDbFormat::BdbHash);
    assert_eq!(listed(&db), sorted(include_str!("data/bdb-hash-Packages.list")));
    assert!(db.packages.iter().all(|p| p.fault.is_none()) && db.unreadable.is_empty());
}

#[test]
fn an_ndb_reads_as_it_was_written() {
    // Written by rpm's own ndb code from the same header blobs.
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("usr/lib/sysimage/rpm");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Packages.db"), gunzip(include_bytes!("data/ndb-Packages.db.gz"))).unwrap();
    let db = read_dir(dir.path()).unwrap();
    assert_eq!(db.format, RpmDbFormat::Ndb);
    assert_eq!(listed(&db), sorted(include_str!("data/bdb-hash-Packages.list")));
    assert!(db.packages.iter().all(|p| p.fault.is_none()) && db.unreadable.is_empty());
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn the_upper_layers_database_hides_the_lower_one() {
    let dir = tempfile::tempdir().unwrap();
    let (lower, upper) = (dir.path().join("lower"), dir.path().join("upper"));
    let a = rpmbuild(dir.path(), &Recipe { name: "base", ..Recipe::default() });
    let b = rpmbuild(dir.path(), &Recipe { name: "added", ..Recipe::default() });
    install(&lower, &[&a]);
    install(&upper, &[&a, &b]);
    let db = read_view(&MergedView::new(vec![upper, lower.clone()])).unwrap();
    assert_eq!(db.packages.len(), 2);
    let db = read_view(&MergedView::new(vec![dir.path().join("empty"), lower])).unwrap();
    assert_eq!(db.packages.len(), 1);
}

#[test]
fn no_database_is_told_apart_from_an_empty_root() {
    let dir = tempfile::tempdir().unwrap();
    let db = read_dir(dir.path()).unwrap();
    assert_eq!((db.format, db.root_is_empty), (RpmDbFormat::Absent, true));
    std::fs::write(dir.path().join("hello"), "x").unwrap();
    let db = read_dir(dir.path()).unwrap();
    assert_eq!((db.format, db.root_is_empty), (RpmDbFormat::Absent, false));
    assert!(matches!(read_dir(&dir.path().join("none")), Err(RpmDbError::Read { .. })));
}

#[test]
fn a_link_between_two_places_is_one_database_and_two_differing_ones_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let a = rpmbuild(dir.path(), &Recipe::default());
    install(&root, &[&a]);
    let sysimage = root.join("usr/lib/sysimage");
    std::fs::create_dir_all(&sysimage).unwrap();
    std::os::unix::fs::symlink("../../../var/lib/rpm", sysimage.join("rpm")).unwrap();
    assert_eq!(read_dir(&root).unwrap().packages.len(), 1);

    std::fs::remove_file(sysimage.join("rpm")).unwrap();
    let other = dir.path().join("other");
    let b = rpmbuild(dir.path(), &Recipe { name: "other", ..Recipe::default() });
    install(&other, &[&b]);
    std::fs::rename(other.join("var/lib/rpm"), sysimage.join("rpm")).unwrap();
    match read_dir(&root) {
        Err(RpmDbError::Several { paths }) => assert_eq!(paths.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_database_that_the_images_macros_lead_to_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    install(&root, &[&rpmbuild(dir.path(), &Recipe::default())]);
    std::fs::create_dir_all(root.join("opt")).unwrap();
    std::fs::rename(root.join("var/lib/rpm"), root.join("opt/db")).unwrap();
    assert_eq!(read_dir(&root).unwrap().format, RpmDbFormat::Absent);
    std::fs::create_dir_all(root.join("etc/rpm")).unwrap();
    std::fs::write(root.join("etc/rpm/macros.site"), "# ours\n%_dbpath\t/opt/db\n").unwrap();
    let db = read_dir(&root).unwrap();
    assert_eq!((db.path.as_str(), db.packages.len()), ("/opt/db/rpmdb.sqlite", 1));
    // a second one at the usual place would be what another rpm sees
    let other = dir.path().join("other");
    install(&other, &[&rpmbuild(dir.path(), &Recipe { name: "other", ..Recipe::default() })]);
    std::fs::rename(other.join("var/lib/rpm"), root.join("var/lib/rpm")).unwrap();
    assert!(matches!(read_dir(&root), Err(RpmDbError::Several { .. })));
}

#[test]
fn what_an_ostree_image_was_composed_of_is_no_second_database() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let (base, added) =
        (rpmbuild(dir.path(), &Recipe::default()), rpmbuild(dir.path(), &Recipe { name: "added", ..Recipe::default() }));
    install(&root, &[&base]);
    let composed = root.join("usr/lib/sysimage/rpm-ostree-base-db");
    std::fs::create_dir_all(composed.parent().unwrap()).unwrap();
    run(std::process::Command::new("cp").arg("-a").arg(root.join("var/lib/rpm")).arg(&composed));
    install(&root, &[&added]);
    assert_eq!(read_dir(&root).unwrap().packages.len(), 2);
}

#[test]
fn a_database_link_out_of_the_root_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    let a = rpmbuild(dir.path(), &Recipe::default());
    install(&outside, &[&a]);
    std::fs::create_dir_all(root.join("var/lib")).unwrap();
    std::os::unix::fs::symlink(outside.join("var/lib/rpm"), root.join("var/lib/rpm")).unwrap();
    assert_eq!(read_dir(&root).unwrap().format, RpmDbFormat::Absent);
}

/// Changes the one header blob of a database.
fn forge(root: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let db = database(root);
    let mut blob: Vec<u8> = db.query_row("SELECT blob FROM Packages", [], |row| row.get(0)).unwrap();
    change(&mut blob);
    assert_eq!(db.execute("UPDATE Packages SET blob = ?", [blob]).unwrap(), 1);
}

fn replace(blob: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = blob.windows(from.len()).position(|w| w == from).unwrap();
    blob[at..at + to.len()].copy_from_slice(to);
}

#[test]
fn a_renamed_package_row_contradicts_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    install(&root, &[&rpmbuild(dir.path(), &Recipe { name: "evil", ..Recipe::default() })]);
    forge(&root, |blob| replace(blob, b"evil\x001.0\0", b"good\x001.0\0"));
    let db = read_dir(&root).unwrap();
    assert_eq!(db.packages[0].nvra.nvr.name, "good");
    assert!(db.packages[0].fault.as_deref().unwrap().starts_with("SHA256HEADER declares"), "{:?}", db.packages[0].fault);
}

#[test]
fn a_name_set_again_outside_the_digested_region_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    install(&root, &[&rpmbuild(dir.path(), &Recipe { name: "evil", ..Recipe::default() })]);
    forge(&root, |blob| {
        let word = |at: usize, blob: &[u8]| u32::from_be_bytes(blob[at..at + 4].try_into().unwrap());
        let (il, dl) = (word(0, blob), word(4, blob));
        let index_end = 8 + il as usize * 16;
        let mut entry = Vec::new();
        for n in [1000u32, 6, dl, 1] {
            entry.extend(n.to_be_bytes());
        }
        blob.splice(index_end..index_end, entry);
        blob.extend(b"good\0");
        blob[0..4].copy_from_slice(&(il + 1).to_be_bytes());
        blob[4..8].copy_from_slice(&(dl + 5).to_be_bytes());
    });
    // rpm itself believes the added entry; that is what makes it worth a fault
    assert_eq!(run(rpm(&root).args(["-qa", "--nodigest", "--qf", "%{name}"])), "good");
    let db = read_dir(&root).unwrap();
    assert_eq!(db.packages[0].nvra.nvr.name, "evil");
    assert!(db.packages[0].fault.as_deref().unwrap().contains("set again"), "{:?}", db.packages[0].fault);
}

#[test]
fn an_index_of_names_that_differs_from_the_rows_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let rpms = ["renamed", "left-out"].map(|name| rpmbuild(dir.path(), &Recipe { name, ..Recipe::default() }));
    install(&root, &rpms.each_ref().map(std::path::PathBuf::as_path));
    let db = database(&root);
    db.execute("UPDATE Name SET key = 'innocent' WHERE key = 'renamed'", []).unwrap();
    db.execute("DELETE FROM Name WHERE key = 'left-out'", []).unwrap();
    drop(db);
    let found = read_dir(&root).unwrap();
    let reasons = found.unreadable.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>().join("\n");
    assert!(found.packages.is_empty(), "{:?}", found.packages);
    assert!(reasons.contains("the index of names calls it innocent, the header renamed"), "{reasons}");
    assert!(reasons.contains("left-out is not in the index of names"), "{reasons}");
}

#[test]
fn a_database_that_reads_otherwise_elsewhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    install(&root, &[&rpmbuild(dir.path(), &Recipe::default())]);
    // What an unfinished transaction leaves; SQLite itself is tried in the adversarial corpus.
    let journal = root.join("var/lib/rpm/rpmdb.sqlite-journal");
    std::fs::write(&journal, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7\0\0\0\x01").unwrap();
    let error = read_dir(&root).unwrap_err().to_string();
    assert!(error.contains("a rollback journal lies beside it"), "{error}");
    std::fs::write(&journal, [0; 512]).unwrap();
    assert_eq!(read_dir(&root).unwrap().packages.len(), 1, "a finished one says nothing");
    std::fs::remove_file(&journal).unwrap();
    let db = database(&root);
    db.execute_batch(
        "CREATE TABLE Made (hnum INTEGER PRIMARY KEY, kept BLOB, blob BLOB AS (kept));
         INSERT INTO Made (hnum, kept) SELECT hnum, blob FROM Packages; DROP TABLE Packages; ALTER TABLE Made RENAME TO Packages;",
    )
    .unwrap();
    drop(db);
    let error = read_dir(&root).unwrap_err().to_string();
    assert!(error.contains("computed column"), "{error}");
}

#[test]
fn rows_without_a_header_and_files_without_a_database_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    install(&root, &[&rpmbuild(dir.path(), &Recipe::default())]);
    forge(&root, |blob| blob.truncate(40));
    let db = read_dir(&root).unwrap();
    assert_eq!((db.packages.len(), db.unreadable.len()), (0, 1));

    for (sql, kind) in [
        ("DROP TABLE Packages", "damaged"),
        ("DROP TABLE IF EXISTS Packages; CREATE VIEW Packages AS SELECT 1 AS hnum, zeroblob(9) AS blob", "damaged"),
    ] {
        database(&root).execute_batch(sql).unwrap();
        let error = read_dir(&root).unwrap_err().to_string();
        assert!(error.contains(kind), "{error}");
    }
    std::fs::write(root.join("var/lib/rpm/rpmdb.sqlite"), vec![7; 8192]).unwrap();
    assert!(matches!(read_dir(&root), Err(RpmDbError::Sqlite { .. })));

    let folder = dir.path().join("old/var/lib/rpm");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Packages"), vec![7; 8192]).unwrap();
    let error = read_dir(&dir.path().join("old")).unwrap_err().to_string();
    assert_eq!(error, "unsupported rpmdb format (no Berkeley DB hash file) at /var/lib/rpm/Packages");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]

    #[test]
    fn damaged_databases_never_panic(
        edits in proptest::collection::vec((0usize..1_000_000, proptest::prelude::any::<u8>()), 1..200), early in proptest::prelude::any::<bool>(),
    ) {
        for (packed, file) in [
            (&include_bytes!("data/bdb-hash-Packages.gz")[..], "Packages"),
            (&include_bytes!("data/ndb-Packages.db.gz")[..], "Packages.db"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("var/lib/rpm");
            std::fs::create_dir_all(&folder).unwrap();
            let mut bytes = gunzip(packed);
            let span = if early { bytes.len().min(200) } else { bytes.len() };
            for (at, value) in &edits {
                bytes[at % span] = *value;
            }
            std::fs::write(folder.join(file), bytes).unwrap();
            let _ = read_dir(dir.path());
        }
    }
}

/// The headers of the sqlite database of `root` as a Berkeley DB hash file, written by Berkeley DB's own `db5.3_load`.
/// Headers are longer than its pages, so they lie on overflow pages.
fn to_berkeley_db(root: &Path, to: &Path, page_size: usize, big_endian: bool) {
    let headers: Vec<(u32, Vec<u8>)> = database(root)
        .prepare("SELECT hnum, blob FROM Packages")
        .unwrap()
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let order = if big_endian { 4321 } else { 1234 };
    let mut dump = format!("VERSION=3\nformat=bytevalue\ntype=hash\ndb_lorder={order}\ndb_pagesize={page_size}\nHEADER=END\n");
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let key = |n: u32| if big_endian { n.to_be_bytes() } else { n.to_le_bytes() };
    dump.push_str(&format!(" {}\n {}\n", hex(&key(0)), hex(&key(headers.len() as u32))));
    for (number, blob) in &headers {
        dump.push_str(&format!(" {}\n {}\n", hex(&key(*number)), hex(blob)));
    }
    dump.push_str("DATA=END\n");
    let file = to.parent().unwrap().join("dump");
    std::fs::write(&file, dump).unwrap();
    run(std::process::Command::new("db5.3_load").arg("-f").arg(&file).arg(to));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn berkeley_dbs_of_either_byte_order_and_any_page_size_read_as_rpm_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let rpms: Vec<_> = (0..40)
        .map(|n| rpmbuild(dir.path(), &Recipe { name: &format!("p{n}"), epoch: (n % 3 == 0).then_some(n), ..Recipe::default() }))
        .collect();
    install(&root, &rpms.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
    let expected = sorted(&run(rpm(&root).args(["-qa", "--qf", QUERY])));
    assert_eq!(expected.len(), 40);
    for (page_size, big_endian) in [(512, false), (4096, false), (65_536, false), (4096, true), (512, true)] {
        let old = dir.path().join(format!("old-{page_size}-{big_endian}"));
        let folder = old.join("var/lib/rpm");
        std::fs::create_dir_all(&folder).unwrap();
        to_berkeley_db(&root, &folder.join("Packages"), page_size, big_endian);
        let db = read_dir(&old).unwrap();
        assert_eq!((db.format, db.unreadable.len()), (RpmDbFormat::BdbHash, 0));
        assert_eq!(listed(&db), expected, "{page_size} {big_endian}");
        assert!(db.packages.iter().all(|p| p.fault.is_none()));
        if !big_endian {
            // rpm's own read-only backend; it does not swap bytes
            let theirs = run(rpm(&old).args(["--define", "_db_backend bdb_ro", "-qa", "--qf", QUERY]));
            assert_eq!(sorted(&theirs), expected, "{page_size}");
        }
        // half a database is not half the packages
        let file = folder.join("Packages");
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - page_size / 2]).unwrap();
        assert!(matches!(read_dir(&old), Err(RpmDbError::Damaged { .. })), "{page_size} {big_endian}");
        std::fs::write(&file, &bytes[..page_size * 2]).unwrap();
        assert!(read_dir(&old).is_err(), "headers lead to pages that are not there");
    }
}

#[test]
fn rows_that_lead_to_the_same_bytes_again_and_again_take_no_memory() {
    // ndb: 1000 slots that all point to one blob of a megabyte
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("var/lib/rpm");
    std::fs::create_dir_all(&folder).unwrap();
    let mut file = b"RpmP".to_vec();
    [0u32, 0, 4, 0, 0, 0, 0].iter().for_each(|n| file.extend(n.to_le_bytes()));
    for _ in 0..(4 * 4096 - 32) / 16 {
        file.extend(b"Slot");
        [1u32, 4 * 4096 / 16, 0].iter().for_each(|n| file.extend(n.to_le_bytes()));
    }
    file.extend(b"BlbS");
    [1u32, 0, 1 << 20].iter().for_each(|n| file.extend(n.to_le_bytes()));
    file.extend(vec![0; 1 << 20]);
    std::fs::write(folder.join("Packages.db"), file).unwrap();
    assert!(matches!(read_dir(dir.path()), Err(RpmDbError::TooLarge { .. })));
}
