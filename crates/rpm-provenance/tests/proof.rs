//! The proof on real databases: honest images pass without noise, every trick is named.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use rpm_provenance::rpmdb::read_dir;
use rpm_provenance::{
    MatchedBy, Origin, PackageVerdict, Proof, Report, RpmDb, Rule, Verdict, list_unchecked, prove, prove_again, report,
};
use support::{MapKoji, Recipe, SigningKey, ident, install, known, rpm, rpmbuild, run};

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        World { dir: tempfile::tempdir().unwrap() }
    }
    fn build(&self, name: &str) -> PathBuf {
        rpmbuild(self.dir.path(), &Recipe { name, ..Recipe::default() })
    }
    fn root(&self, name: &str, rpms: &[&Path]) -> (PathBuf, RpmDb) {
        let root = self.dir.path().join(name);
        install(&root, rpms);
        let db = read_dir(&root).unwrap();
        (root, db)
    }
}

fn rules(proof: &Proof) -> Vec<(String, Rule)> {
    proof.problems.iter().map(|p| (p.subject.clone(), p.rule)).collect()
}

/// The gate's verdict on an RPM it released.
fn released(rpm: &Path) -> Verdict {
    let ident = ident(rpm);
    serde_json::from_value(serde_json::json!({
        "at": 1, "method": "GET", "url": format!("/repo/koji/{}.rpm", ident.nvra), "source": "koji", "rule": "koji-rpm",
        "released": true, "evidence": "", "nvra": ident.nvra, "checksum": null, "size": null,
        "sha256header": ident.computed.sha256, "sigmd5": ident.sigmd5, "rpm_id": 17, "remedy": null, "requests": 1,
    }))
    .unwrap()
}

#[tokio::test]
async fn an_honest_image_is_proven_and_each_rpm_has_its_origin() {
    let world = World::new();
    let (base, added, copied) = (world.build("base"), world.build("added"), world.build("copied"));
    let (_, parent) = world.root("parent", &[&base]);
    let (root, _) = world.root("image", &[&base, &added, &copied]);
    let key = SigningKey::new(world.dir.path());
    let armoured = world.dir.path().join("key.asc");
    key.export(&armoured);
    run(rpm(&root).arg("--import").arg(&armoured));
    let db = read_dir(&root).unwrap();
    let koji = MapKoji::with(&[&base, &added, &copied]);
    let proof = prove(&db, Some(&parent), &[released(&added)], &koji).await.unwrap();
    assert!(proof.all_proven(), "{:?}", proof.problems);
    let origins: Vec<(&str, Origin, PackageVerdict)> =
        proof.packages.iter().map(|p| (p.ident.nvra.nvr.name.as_str(), p.origin, p.verdict)).collect();
    let by_digest = PackageVerdict::Proven(MatchedBy::HeaderDigest);
    assert_eq!(
        origins,
        [("added", Origin::Gate, by_digest), ("base", Origin::Inherited, by_digest), ("copied", Origin::Other, by_digest)]
    );
    assert_eq!((proof.public_keys.len(), proof.new_public_keys.len()), (1, 1));
    let again = prove(&db, Some(&db), &[], &koji).await.unwrap();
    assert!(again.public_keys.len() == 1 && again.new_public_keys.is_empty(), "the parent trusts it already");
    assert_eq!(*koji.questions.lock().unwrap(), 2, "one question for each image");

    let document = report::provenance(&Report::of("web-1-1", "x86_64", &proof));
    let json = document.to_json();
    assert_eq!((&json["schema_version"], &json["all_proven"]), (&1.into(), &true.into()));
    assert_eq!(json["packages"][0]["koji"]["rpm_id"], 17);
    assert_eq!(json["packages"][0]["verdict"], "proven");
    let text = report::text(&document);
    assert!(text.contains("every RPM was built in this Koji") && text.contains("added-1.0-1.noarch"), "{text}");
}

#[tokio::test]
async fn foreign_rpms_are_named_with_rule_evidence_and_remedy() {
    let world = World::new();
    let (good, foreign) = (world.build("good"), world.build("foreign"));
    // the same name-version-release, rebuilt elsewhere
    let koji_dir = tempfile::tempdir().unwrap();
    let kojis_own = rpmbuild(koji_dir.path(), &Recipe { name: "rebuilt", content: "built by Koji", ..Recipe::default() });
    let rebuilt = rpmbuild(world.dir.path(), &Recipe { name: "rebuilt", content: "mine", ..Recipe::default() });
    let (_, db) = world.root("image", &[&good, &foreign, &rebuilt]);
    let koji = MapKoji::with(&[&good, &kojis_own]);
    let proof = prove(&db, None, &[], &koji).await.unwrap();
    assert!(!proof.all_proven());
    let mut found = rules(&proof);
    found.sort();
    assert_eq!(
        found,
        [("foreign-1.0-1.noarch".to_owned(), Rule::UnknownToKoji), ("rebuilt-1.0-1.noarch".to_owned(), Rule::DigestDiffers)]
    );
    let digests = &proof.problems.iter().find(|p| p.rule == Rule::DigestDiffers).unwrap().evidence;
    assert!(
        digests.contains(&ident(&rebuilt).computed.sha256) && digests.contains(&ident(&kojis_own).computed.sha256),
        "{digests}"
    );
    assert!(proof.problems.iter().all(|p| !p.remedy.is_empty()));
    let text = report::text(&report::provenance(&Report::of("x", "x86_64", &proof)));
    assert!(text.contains("NOT PROVEN: 2 problems"), "{text}");
}

#[tokio::test]
async fn an_rpm_only_in_the_database_is_looked_at_just_the_same() {
    let world = World::new();
    let (good, ghost) = (world.build("good"), world.build("ghost"));
    let (root, _) = world.root("image", &[&good]);
    run(rpm(&root).args(["-i", "--nodeps", "--justdb"]).arg(&ghost));
    let proof = prove(&read_dir(&root).unwrap(), None, &[], &MapKoji::with(&[&good])).await.unwrap();
    assert_eq!(rules(&proof), [("ghost-1.0-1.noarch".to_owned(), Rule::UnknownToKoji)]);
}

#[tokio::test]
async fn a_package_that_calls_itself_a_public_key_is_not_one() {
    let world = World::new();
    let fake = world.build("gpg-pubkey");
    let (_, db) = world.root("image", &[&fake]);
    let proof = prove(&db, None, &[], &MapKoji::default()).await.unwrap();
    assert_eq!(rules(&proof), [("gpg-pubkey-1.0-1.noarch".to_owned(), Rule::UnknownToKoji)]);
    assert!(proof.public_keys.is_empty());
}

#[tokio::test]
async fn a_doubled_row_a_forged_header_and_a_shrunk_database_are_problems() {
    let world = World::new();
    let (good, gone) = (world.build("good"), world.build("gone"));
    let (_, parent) = world.root("parent", &[&good, &gone]);
    let (root, _) = world.root("image", &[&good]);
    let database = rusqlite::Connection::open(root.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    database.execute("INSERT INTO Packages (hnum, blob) SELECT hnum + 100, blob FROM Packages", []).unwrap();
    database.execute("INSERT INTO Name (key, hnum, idx) SELECT key, hnum + 100, idx FROM Name", []).unwrap();
    drop(database);
    let koji = MapKoji::with(&[&good, &gone]);
    let proof = prove(&read_dir(&root).unwrap(), Some(&parent), &[], &koji).await.unwrap();
    assert_eq!(rules(&proof), [("good-1.0-1.noarch".to_owned(), Rule::Duplicate)]);
    assert_eq!(proof.removed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gone-1.0-1.noarch"]);

    let database = rusqlite::Connection::open(root.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    database.execute("DELETE FROM Packages WHERE hnum > 100", []).unwrap();
    database.execute("DELETE FROM Name WHERE hnum > 100", []).unwrap();
    let mut blob: Vec<u8> = database.query_row("SELECT blob FROM Packages", [], |row| row.get(0)).unwrap();
    let at = blob.windows(8).position(|w| w == b"Example\0").unwrap();
    blob[at..at + 7].copy_from_slice(b"Foreign");
    database.execute("UPDATE Packages SET blob = ?", [blob]).unwrap();
    drop(database);
    let proof = prove(&read_dir(&root).unwrap(), Some(&parent), &[], &koji).await.unwrap();
    assert_eq!(rules(&proof), [("good-1.0-1.noarch".to_owned(), Rule::BrokenRpm)]);
    assert_eq!(proof.packages[0].origin, Origin::Other, "altered, so not the parent's");
}

#[tokio::test]
async fn a_row_taken_out_by_hand_is_missed_by_rpms_own_index_and_an_erased_package_is_not() {
    let world = World::new();
    let (good, gone) = (world.build("good"), world.build("gone"));
    let (_, parent) = world.root("parent", &[&good, &gone]);
    let koji = MapKoji::with(&[&good, &gone]);
    let (erased, _) = world.root("erased", &[&good, &gone]);
    run(rpm(&erased).args(["-e", "--nodeps", "gone"]));
    let proof = prove(&read_dir(&erased).unwrap(), Some(&parent), &[], &koji).await.unwrap();
    assert!(proof.all_proven() && proof.removed.len() == 1, "{:?}", proof.problems);

    let (cut, before) = world.root("cut", &[&good, &gone]);
    let database = rusqlite::Connection::open(cut.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    let row: i64 = database.query_row("SELECT hnum FROM Name WHERE CAST(key AS TEXT) = 'gone'", [], |row| row.get(0)).unwrap();
    assert_eq!(database.execute("DELETE FROM Packages WHERE hnum = ?", [row]).unwrap(), 1);
    drop(database);
    let edited = read_dir(&cut).unwrap();
    let proof = prove(&edited, Some(&before), &[], &koji).await.unwrap();
    assert_eq!(rules(&proof), [("/var/lib/rpm/rpmdb.sqlite".to_owned(), Rule::EditedRpmdb)]);
    assert!(proof.problems[0].evidence.contains("gone"), "{:?}", proof.problems);
    // a parent that is so already is not this build's doing
    assert!(prove(&edited, Some(&edited), &[], &koji).await.unwrap().all_proven());
}

#[tokio::test]
async fn files_without_a_database_and_unreadable_databases_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let proof = prove(&read_dir(dir.path()).unwrap(), None, &[], &MapKoji::default()).await.unwrap();
    assert!(proof.all_proven(), "an image of no files has nothing to prove");
    std::fs::write(dir.path().join("binary"), "x").unwrap();
    let proof = prove(&read_dir(dir.path()).unwrap(), None, &[], &MapKoji::default()).await.unwrap();
    assert_eq!(rules(&proof), [(String::new(), Rule::NoRpmdb)]);

    std::fs::create_dir_all(dir.path().join("var/lib/rpm")).unwrap();
    std::fs::write(dir.path().join("var/lib/rpm/rpmdb.sqlite"), "no database").unwrap();
    let proof = Proof::of_unreadable(&read_dir(dir.path()).unwrap_err());
    assert_eq!(rules(&proof), [(String::new(), Rule::UnreadableRpmdb)]);
    assert!(!proof.all_proven());
}

#[tokio::test]
async fn without_a_hub_nothing_is_proven_and_nothing_is_wrong() {
    let world = World::new();
    let good = world.build("good");
    let (_, db) = world.root("image", &[&good]);
    let proof = list_unchecked(&db, None, &[released(&good)]);
    assert!(proof.problems.is_empty() && !proof.all_proven());
    assert_eq!((proof.packages[0].verdict, proof.packages[0].origin), (PackageVerdict::NotChecked, Origin::Gate));
    let text = report::text(&report::provenance(&Report::of("x", "x86_64", &proof)));
    assert!(text.contains("not checked: no hub"), "{text}");
}

#[tokio::test]
async fn a_sigmd5_alone_proves_only_what_the_gate_computed_it_of() {
    let world = World::new();
    let good = world.build("good");
    let (_, db) = world.root("image", &[&good]);
    let mut koji = MapKoji::default();
    let row = rpm_provenance::KnownRpm { sha256header: None, ..known(&good) };
    koji.rpms.insert(ident(&good).nvra, row);
    // copied in, and inherited from a parent that another service may have built
    for parent in [None, Some(&db)] {
        let proof = prove(&db, parent, &[], &koji).await.unwrap();
        assert_eq!(rules(&proof), [("good-1.0-1.noarch".to_owned(), Rule::NoDigest)]);
        assert!(proof.problems[0].evidence.contains("which a rpmdb merely claims"), "{:?}", proof.problems);
    }
    let through_gate = prove(&db, None, &[released(&good)], &koji).await.unwrap();
    assert!(through_gate.all_proven());
    assert_eq!(through_gate.packages[0].verdict, PackageVerdict::Proven(MatchedBy::Sigmd5));
    // what a build reports of its gate proves nothing to somebody who was not there
    let again = prove_again(&db, None, &[released(&good)], &koji).await.unwrap();
    assert_eq!(rules(&again), [("good-1.0-1.noarch".to_owned(), Rule::NoDigest)]);
    assert_eq!(again.packages[0].origin, Origin::Gate, "it tells where the RPM came from");
    // two files of one MD5 can be made: where Koji's file can be had, it is asked all the same
    koji.files.insert(17, "0".repeat(64));
    let collided = prove(&db, None, &[released(&good)], &koji).await.unwrap();
    assert_eq!(rules(&collided), [("good-1.0-1.noarch".to_owned(), Rule::DigestDiffers)]);
}

#[tokio::test]
async fn where_the_hub_records_no_header_digest_kojis_own_file_speaks() {
    let world = World::new();
    let good = world.build("good");
    // the same SIGMD5 claimed by another header: what a forger would write into the rpmdb
    let forged = world.build("forged");
    let (root, _) = world.root("image", &[&good, &forged]);
    let mut koji = MapKoji::default();
    for (id, rpm) in [(1, &good), (2, &forged)] {
        let row = rpm_provenance::KnownRpm { rpm_id: id, sha256header: None, ..known(rpm) };
        koji.rpms.insert(ident(rpm).nvra, row);
    }
    koji.files.insert(1, ident(&good).computed.sha256);
    koji.files.insert(2, "0".repeat(64));
    let proof = prove(&read_dir(&root).unwrap(), None, &[], &koji).await.unwrap();
    assert_eq!(rules(&proof), [("forged-1.0-1.noarch".to_owned(), Rule::DigestDiffers)]);
    let honest = proof.packages.iter().find(|p| p.ident.nvra.nvr.name == "good").unwrap();
    assert_eq!(honest.verdict, PackageVerdict::Proven(MatchedBy::KojiFile));
}

#[tokio::test]
async fn a_package_for_another_architecture_is_refused_though_koji_built_it() {
    let world = World::new();
    let arch = |name: &'static str, arch: &'static str| rpmbuild(world.dir.path(), &Recipe { name, arch, ..Recipe::default() });
    let (own, any, sister, strange) =
        (arch("own", "x86_64"), arch("any", "noarch"), arch("sister", "i686"), arch("strange", "s390x"));
    let root = world.dir.path().join("image");
    std::fs::create_dir(&root).unwrap();
    run(rpm(&root).args(["-i", "--nodeps", "--noscripts", "--ignorearch"]).args([&own, &any, &sister, &strange]));
    let db = read_dir(&root).unwrap();
    let mut proof = prove(&db, None, &[], &MapKoji::with(&[&own, &any, &sister, &strange])).await.unwrap();
    proof.check_architecture(&build_model::Arch::canonical("x86_64").unwrap());
    assert_eq!(rules(&proof), [("strange-1.0-1.s390x".to_owned(), Rule::WrongArchitecture)]);
}
