//! The text of a query format, tried on a real package's header.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rpm_provenance::RpmDbFormat;
use rpm_provenance::query::QueryFormat;
use rpm_provenance::rpmdb::read_bytes;

/// The header of a package as a database of one row.
static DATABASE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let rpm = include_bytes!("../../../crates/rpm-provenance/tests/data/zero-epoch-3-1.noarch.rpm");
    let magic = [0x8e, 0xad, 0xe8, 0x01];
    let at = rpm.windows(4).enumerate().filter(|(_, w)| *w == magic).map(|(at, _)| at).nth(1).expect("a header");
    let word = |at: usize| u32::from_be_bytes(rpm[at..at + 4].try_into().expect("four bytes")) as usize;
    let header = &rpm[at + 8..at + 16 + 16 * word(at + 8) + word(at + 12)];
    let mut file = b"RpmP".to_vec();
    [0u32, 0, 1, 0, 0, 0, 0].iter().for_each(|n| file.extend(n.to_le_bytes()));
    for slot in 0..(4096 - 32) / 16 {
        file.extend(b"Slot");
        [1u32, if slot == 0 { 256 } else { 0 }, 0].iter().for_each(|n| file.extend(n.to_le_bytes()));
    }
    file.extend(b"BlbS");
    [1u32, 0, header.len() as u32].iter().for_each(|n| file.extend(n.to_le_bytes()));
    file.extend(header);
    file
});

fuzz_target!(|input: &str| {
    let Ok(format) = QueryFormat::parse(input) else { return };
    let (db, _) = read_bytes(RpmDbFormat::Ndb, &DATABASE, &format).expect("the database");
    assert_eq!(db.packages.len(), 1);
});
