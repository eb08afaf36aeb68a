//! An RPM package file: headers, file lists and payload digests. What is read once is read the same way again, and the
//! headers end where the payload begins.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rpm_provenance::package_file;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let Ok(header) = package_file::read_header(&mut rest) else {
        assert!(package_file::read_files(&mut &*input).is_err(), "file lists of what has no header");
        return;
    };
    assert_eq!(header.payload_offset, (input.len() - rest.len()) as u64);
    let ident = header.ident.clone();
    assert!(ident.fault.is_none(), "a package file that contradicts itself is refused");
    if let Ok(files) = package_file::read_files(&mut &*input) {
        assert_eq!(files.nvra, ident.nvra);
    }
    if let Ok(whole) = header.verify_payload(&mut rest) {
        assert_eq!(whole, ident);
    }
});
