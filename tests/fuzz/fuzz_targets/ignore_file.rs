//! `.dockerignore`: the text up to the last line, which is a path. A path that is included can be reached: none of the
//! directories above it may be left unentered.

#![no_main]

use dockerfile::IgnoreRules;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (text, path) = input.rsplit_once('\n').unwrap_or(("", input));
    let Ok(rules) = IgnoreRules::parse(text) else { return };
    assert!(!rules.is_excluded(""));
    // A walk of the context makes no other paths than these.
    let walked = path.split('/').all(|element| !matches!(element, "" | "." | ".."));
    if !walked || rules.is_excluded(path) {
        return;
    }
    for (end, _) in path.match_indices('/') {
        assert!(rules.may_contain_included(&path[..end]), "{path:?} is included, {:?} is not entered", &path[..end]);
    }
});
