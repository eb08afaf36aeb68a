//! primary.xml, packed or plain: what is offered lies inside the repository and can be looked up under a name that an RPM
//! may have; and the list survives being stored.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rpm_provenance::repodata::{Listed, Offer, decompress, is_inside, primary};

/// A document of the fuzzer's may be a bomb; the limit is what repomd.xml would promise.
const PROMISED: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok(reader) = decompress::open(bytes, Some(PROMISED)) else { return };
    let Ok(offer) = primary::parse(reader) else { return };
    let stored = Offer::from_bytes(offer.as_bytes().to_vec()).expect("what was made is whole");
    assert_eq!(stored, offer);
    assert_eq!(offer.iter().count(), offer.packages() + offer.unusable());
    for (location, listed) in offer.iter() {
        assert_eq!(offer.get(location).as_ref(), Some(&listed), "{location:?}");
        let Listed::Offered(offered) = listed else { continue };
        assert!(is_inside(location), "{location:?}");
        let nvr = &offered.nvra.nvr;
        for word in [&nvr.name, &nvr.version, &nvr.release, &offered.nvra.arch] {
            assert!(!word.is_empty() && word.len() <= 256 && !word.contains(['/', ' ', '\n']), "{word:?}");
        }
        assert!(offered.size != Some(0));
    }
});
