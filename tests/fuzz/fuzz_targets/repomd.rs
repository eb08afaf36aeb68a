//! repomd.xml: every file that is accepted lies inside the repository, is pinned by a strong checksum, and is the only one of
//! its kind.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use rpm_provenance::repodata::{is_inside, repomd};

fuzz_target!(|text: &[u8]| {
    let Ok(read) = repomd::parse(text) else { return };
    let mut kinds = HashSet::new();
    for (location, file) in &read.files {
        assert_eq!(*location, file.location);
        assert!(is_inside(location), "{location:?}");
        assert!(matches!(file.checksum.hex().len(), 64 | 96 | 128));
        assert!(kinds.insert(&file.kind), "two files of the kind {:?}", file.kind);
        assert!(file.size.is_none_or(|n| n <= 1 << 40));
    }
    // the same bytes say the same
    assert_eq!(repomd::parse(text).as_ref(), Ok(&read));
});
