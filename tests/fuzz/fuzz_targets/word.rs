//! Word expansion and the small grammars inside words: ports, durations, platforms, path patterns.
//! The first byte chooses the escape character and whether the variables hold values that look like syntax.

#![no_main]

use dockerfile::{Platform, check_pattern, expand, expand_heredoc, expand_words, parse_duration, parse_port, path_match};
use libfuzzer_sys::fuzz_target;

/// What expansion promises not to exceed.
const LONGEST: usize = 4 << 20;

fuzz_target!(|input: (u8, &str)| {
    let (choice, word) = input;
    let escape = if choice & 1 == 0 { '\\' } else { '`' };
    let value = if choice & 2 == 0 { "value" } else { "a*b/ \\c${A}'\" d" };
    let lookup = |name: &str| match name {
        "A" => Some(value.to_owned()),
        "E" => Some(String::new()),
        _ => None,
    };
    match expand(word, escape, &lookup) {
        Ok(expanded) => {
            assert!(expanded.len() <= LONGEST);
            if !word.contains(['$', '\'', '"', escape]) {
                assert_eq!(expanded, word);
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(|c| c.is_control() && c != '\t'), "{error}"),
    }
    if let Ok(words) = expand_words(word, escape, &lookup) {
        assert!(words.iter().map(String::len).sum::<usize>() <= LONGEST);
    }
    let _ = expand_heredoc(word, &lookup);
    if let Ok(ports) = parse_port(word) {
        assert!(!ports.is_empty());
    }
    let _ = parse_duration(word);
    if let Ok(platform) = word.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform));
    }
    assert!(!path_match(word, value) || check_pattern(word).is_ok());
});
