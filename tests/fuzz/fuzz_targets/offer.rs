//! The stored list of packages: a file of the worker's own, but a disk may have bent it. Nothing may panic or loop.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rpm_provenance::repodata::Offer;

fuzz_target!(|bytes: &[u8]| {
    let Ok(offer) = Offer::from_bytes(bytes.to_vec()) else { return };
    for (location, _) in offer.iter().take(1000) {
        let _ = offer.get(location);
    }
    let _ = offer.get("Packages/a.rpm");
});
