//! SCM URLs of build requests. What is accepted is written as it was read, and has no password in it.

#![no_main]

use build_model::ScmUrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(url) = input.parse::<ScmUrl>() else { return };
    let written = url.to_string();
    let again: ScmUrl = written.parse().unwrap_or_else(|error| panic!("{input:?} is written as {written:?}: {error}"));
    assert_eq!(again, url, "{input:?} is written as {written:?}");
    assert!(url.repository.starts_with('/') && !url.revision.is_empty());
    assert!(!url.repository.split('/').any(|part| part == ".."), "{input:?} leaves the repository's place");
    assert!(!url.subdir.split('/').any(|part| part == ".."), "{input:?} leaves the repository");
});
