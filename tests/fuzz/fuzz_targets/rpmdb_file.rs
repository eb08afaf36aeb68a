//! A rpmdb that is one file, every header of it with file lists, and formatted as `rpm -qa` would. Read as either format:
//! each tells by its first bytes that it is not meant.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rpm_provenance::RpmDbFormat;
use rpm_provenance::query::QueryFormat;
use rpm_provenance::rpmdb::read_bytes;

/// Tags that are made of others, and an array of each type.
static QUERY: LazyLock<QueryFormat> = LazyLock::new(|| {
    let format = "%{nevra} %{epochnum} %{sigmd5} [%{filenames} %{filemodes:perms} %{fileclass} %{filenlinks}\n][%{requirenevrs}]\
        [%{triggerconds}%{triggertype}]%|epoch?{%{longsize:humaniec}}:{%{buildtime:date}}|[%{openpgp:pgpsig}]%{rsaheader:pgpsig}";
    QueryFormat::parse(format).expect("a format")
});

fuzz_target!(|input: &[u8]| {
    for format in [RpmDbFormat::BdbHash, RpmDbFormat::Ndb] {
        let Ok((db, lines)) = read_bytes(format, input, &QUERY) else { continue };
        assert_eq!(db.packages.len(), lines.len());
        for package in &db.packages {
            assert!(!package.nvra.nvr.name.is_empty() && !package.nvra.arch.is_empty());
        }
    }
});
