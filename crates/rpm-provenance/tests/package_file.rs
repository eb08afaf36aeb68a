//! Package files as rpmbuild makes them, and as damage leaves them.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read as _;
use std::process::Command;

use proptest::prelude::*;
use rpm_provenance::{HeaderError, package_file};
use support::{Recipe, rpmbuild, run};

/// Built once by rpmbuild 4.18: `zero-epoch-3-1.noarch`, epoch 0.
const REAL: &[u8] = include_bytes!("data/zero-epoch-3-1.noarch.rpm");

fn read_all(mut bytes: &[u8]) -> Result<rpm_provenance::RpmIdent, HeaderError> {
    package_file::read_header(&mut bytes)?.verify_payload(&mut bytes)
}

#[test]
fn what_is_read_is_what_rpm_prints() {
    let dir = tempfile::tempdir().unwrap();
    let file = rpmbuild(dir.path(), &Recipe { name: "web-tools", epoch: Some(2), ..Recipe::default() });
    let format = "%{name} %{epoch} %{version} %{release} %{arch} %{sigmd5} %{sha1header} %{sha256header} %{sourcerpm} %{size} %{buildtime} %{vendor}";
    let printed = run(Command::new("rpm").args(["-qp", "--qf", format]).arg(&file));
    let ident = support::ident(&file);
    let nvr = &ident.nvra.nvr;
    let ours = format!(
        "{} {} {} {} {} {} {} {} {} {} {} {}",
        nvr.name,
        ident.epoch.unwrap(),
        nvr.version,
        nvr.release,
        ident.nvra.arch,
        ident.sigmd5.as_deref().unwrap(),
        ident.sha1header.as_deref().unwrap(),
        ident.sha256header.as_deref().unwrap(),
        ident.source_rpm.as_deref().unwrap(),
        ident.size,
        ident.build_time.unwrap(),
        ident.vendor.as_deref().unwrap(),
    );
    assert_eq!(ours, printed);
    assert_eq!(
        (&ident.computed.sha1, &ident.computed.sha256),
        (ident.sha1header.as_ref().unwrap(), ident.sha256header.as_ref().unwrap())
    );
    assert_eq!((ident.fault, ident.signing_key), (None, None));
}

#[test]
fn a_signature_names_its_key_and_leaves_the_header_digests_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = rpmbuild(dir.path(), &Recipe::default());
    let unsigned = support::ident(&file);
    let key = support::SigningKey::new(dir.path());
    key.sign(&file);
    let signed = support::ident(&file);
    assert_eq!(signed.signing_key.as_deref(), Some(key.id.as_str()));
    assert_eq!(signed.sigkey(), Some(&key.id[8..]));
    assert_eq!((signed.computed, signed.sigmd5), (unsigned.computed, unsigned.sigmd5));
}

#[test]
fn a_source_package_has_the_architecture_src() {
    let dir = tempfile::tempdir().unwrap();
    let spec = dir.path().join("web.spec");
    std::fs::write(&spec, "Name: web\nVersion: 1\nRelease: 1\nSummary: s\nLicense: MIT\n%description\nd\n").unwrap();
    run(Command::new("rpmbuild")
        .args(["-bs", "--quiet", "--define"])
        .arg(format!("_topdir {}", dir.path().display()))
        .arg(&spec));
    let ident = support::ident(&dir.path().join("SRPMS/web-1-1.src.rpm"));
    assert_eq!(ident.nvra.to_string(), "web-1-1.src");
}

#[test]
fn the_reader_is_left_at_the_payload() {
    let mut rest = REAL;
    let header = package_file::read_header(&mut rest).unwrap();
    assert_eq!(header.payload_offset as usize, REAL.len() - rest.len());
    let mut magic = [0; 3];
    rest.read_exact(&mut magic).unwrap();
    // gzip, the payload of that build
    assert_eq!(magic, [0x1f, 0x8b, 0x08]);
}

#[test]
fn every_single_damaged_byte_of_header_or_payload_is_noticed() {
    let mut rest = REAL;
    let start = package_file::read_header(&mut rest).unwrap().payload_offset as usize;
    assert!(read_all(REAL).is_ok());
    // the main header is the part before the payload that the digests cover
    for at in (start - 600..REAL.len()).step_by(7) {
        let mut bytes = REAL.to_vec();
        bytes[at] ^= 0x20;
        assert!(read_all(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_memory_is_taken() {
    for (at, part) in [(96 + 8, "signature header"), (96 + 12, "signature header")] {
        let mut bytes = REAL.to_vec();
        bytes[at..at + 4].copy_from_slice(&0x7fff_ffffu32.to_be_bytes());
        match read_all(&bytes) {
            Err(HeaderError::TooLarge { part: found, .. }) => assert_eq!(found, part),
            other => panic!("{other:?}"),
        }
    }
    // within the limit, but not there: an error, and no allocation of it
    let mut bytes = REAL.to_vec();
    bytes[96 + 12..96 + 16].copy_from_slice(&(60u32 << 20).to_be_bytes());
    assert!(matches!(read_all(&bytes), Err(HeaderError::Read { .. })));
}

#[test]
fn other_files_are_not_rpms() {
    assert!(matches!(read_all(b""), Err(HeaderError::Read { part: "lead", .. })));
    assert!(matches!(read_all(&[0; 4096]), Err(HeaderError::NotRpm { part: "lead" })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_packages_never_panic(
        edits in prop::collection::vec((0..REAL.len(), any::<u8>()), 1..12), cut in prop::option::weighted(0.2, 0..REAL.len()),
    ) {
        let mut bytes = REAL.to_vec();
        for (at, value) in edits {
            bytes[at] = value;
        }
        bytes.truncate(cut.unwrap_or(REAL.len()));
        let _ = read_all(&bytes);
    }

    #[test]
    fn damaged_index_words_never_panic(
        edits in prop::collection::vec((0usize..1200, prop::sample::select(vec![0u32, 1, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 63, 1000])), 1..6),
    ) {
        let mut bytes = REAL.to_vec();
        for (word, value) in edits {
            let at = 96 + word * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        let _ = read_all(&bytes);
    }
}
