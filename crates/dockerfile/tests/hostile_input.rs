//! No text, however strange, makes the crate panic, hang or lose its own invariants.

use std::collections::BTreeMap;

use dockerfile::{
    IgnoreRules, InstructionKind, PlanOptions, Platform, expand, expand_heredoc, expand_words, parse, parse_duration,
    parse_instruction, parse_port, path_match, plan, target_labels,
};
use proptest::prelude::*;

/// Pieces that mean something to one of the parsers, so that random joins reach deep.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "FROM ", "FROM a\n", "FROM a AS b\n", " AS ", "RUN ", "COPY ", "ADD ", "ENV ", "LABEL ", "ARG ", "ONBUILD ", "HEALTHCHECK ", "EXPOSE ",
    "SHELL ", "VOLUME ", "CMD ", "STOPSIGNAL ", "USER ", "WORKDIR ", "# escape=`\n", "# syntax=x\n", "\n", "\r\n", "\\\n", "`\n", " \\ \n",
    "<<EOF", "<<-'E F'", "EOF\n", "E F\n", "\t", " ", "[", "]", "\"", "'", ",", "=", "$", "${", "}", ":-", "##", "//", "--mount=", "--from=",
    "--chown=", "type=cache", "target=/x", "from=b", "0", "1", "a", "b", "é", "\u{feff}", "\u{2028}", "#", "--", "$((", "))", "<<<", "<",
    "\u{0}", "\u{1b}[2J",
];

#[rustfmt::skip]
const WORD_PIECES: &[&str] = &[
    "$", "${", "}", ":-", ":+", ":?", "-", "+", "?", "#", "##", "%", "%%", "/", "//", "A", "EMPTY", "\\", "'", "\"", " ", "*", "{", ":", "é",
    "1", "@", "`",
];

fn joined(pieces: &'static [&'static str], count: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => "\\PC{0,3}"];
    prop::collection::vec(piece, 0..count).prop_map(|pieces| pieces.concat())
}

fn lookup(name: &str) -> Option<String> {
    match name {
        "A" => Some("a*b/ \\c d".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn options() -> PlanOptions {
    PlanOptions {
        target: None,
        build_args: BTreeMap::from([("b".to_owned(), "1".to_owned())]),
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_is_refused_with_places_inside_the_file(start in prop::sample::select(vec!["", "FROM a\n"]), rest in joined(PIECES, 40)) {
        let text = format!("{start}{rest}");
        let lines = text.split('\n').count() as u32;
        match parse(text.as_bytes(), "f") {
            Err(error) => {
                prop_assert!(!error.problems.is_empty());
                for problem in &error.problems {
                    prop_assert!((1..=lines).contains(&problem.span.first_line), "{problem:?}");
                    let width = problem.source_line.chars().count() as u32;
                    prop_assert!((1..=width + 1).contains(&problem.span.column), "{problem:?}");
                }
                prop_assert!(!error.to_string().contains('\u{1b}'), "{error}");
            }
            Ok(file) => {
                for instruction in file.stages.iter().flat_map(|s| &s.instructions) {
                    prop_assert!(instruction.span.first_line <= instruction.span.last_line && instruction.span.last_line <= lines);
                    // An instruction's own text reads back to the same thing.
                    if !matches!(instruction.kind, InstructionKind::Maintainer(_) | InstructionKind::OnBuild(_)) {
                        let again = parse_instruction(&instruction.source, file.escape);
                        prop_assert!(again.is_ok(), "{:?} {again:?}", instruction.source);
                    }
                    if let InstructionKind::OnBuild(trigger) = &instruction.kind {
                        let again = parse_instruction(&trigger.trigger, file.escape);
                        prop_assert!(again.is_ok(), "{:?} {again:?}", trigger.trigger);
                    }
                }
                if let Ok(plan) = plan(&file, &options()) {
                    let _ = target_labels(&plan, &|_| BTreeMap::new());
                    let _ = plan.image_references();
                    prop_assert!(plan.target().is_some());
                }
            }
        }
    }

    #[test]
    fn any_bytes_parse_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, "f").map_err(|e| e.to_string());
        let mut with_from = b"FROM a\nRUN ".to_vec();
        with_from.extend(bytes);
        let _ = parse(&with_from, "f").map_err(|e| e.to_string());
    }

    #[test]
    fn any_word_expands_or_is_refused(word in joined(WORD_PIECES, 24), escape in prop::sample::select(vec!['\\', '`'])) {
        if let Err(error) = expand(&word, escape, &lookup) {
            prop_assert!(error.to_string().len() < 1000 + word.len());
        }
        let _ = expand_words(&word, escape, &lookup);
        let _ = expand_heredoc(&word, &lookup);
        let _ = parse_duration(&word);
        let _ = parse_port(&word);
        let _ = word.parse::<Platform>();
    }

    #[test]
    fn a_word_without_special_characters_is_itself(word in "[a-zA-Z0-9_./:@=+ é-]{0,30}") {
        prop_assert_eq!(expand(&word, '\\', &lookup), Ok(word));
    }

    #[test]
    fn a_single_quoted_word_is_its_inside(inside in "[^']{0,30}") {
        prop_assert_eq!(expand(&format!("'{inside}'"), '\\', &lookup), Ok(inside));
    }

    #[test]
    fn what_an_ignore_file_includes_can_be_reached(
        text in prop::collection::vec(prop_oneof!["[!a-c/*?.#\\[\\]\\\\ ^-]{0,6}", "!?([a-c]|\\*\\*?)(/([a-c]|\\*\\*?)){0,3}", "\\PC{0,3}"], 0..6),
        path in "[a-c](/[a-c]){0,4}",
    ) {
        let text = text.join("\n");
        if let Ok(rules) = IgnoreRules::parse(&text)
            && !rules.is_excluded(&path)
        {
            for (end, _) in path.match_indices('/') {
                prop_assert!(rules.may_contain_included(&path[..end]), "{text:?} {path}");
            }
        }
    }

    #[test]
    fn an_escaped_text_matches_itself_as_a_pattern(path in "[a-c/*?\\[\\]^-]{0,12}", pattern in "[a-c/*?\\[\\]\\\\^-]{0,12}") {
        let escaped: String = path.chars().flat_map(|c| ['\\', c]).collect();
        prop_assert!(path_match(&escaped, &path));
        let _ = path_match(&pattern, &path);
    }
}

/// Long inputs that are cheap to write must be cheap to refuse. The bound is generous: what it catches takes minutes.
#[test]
fn long_inputs_do_not_cost_their_square() {
    const COUNT: usize = 100_000;
    let start = std::time::Instant::now();
    let texts = [
        format!("FROM a\nENV a=1 {}", "b ".repeat(COUNT)),
        format!("FROM a\nARG {}", "b ".repeat(COUNT)),
        format!("FROM a\nRUN {}", "$(( ".repeat(COUNT)),
        format!("FROM a\nRUN {}", "<<a ".repeat(COUNT)),
        format!("FROM a\nRUN {}", "--mount=typ ".repeat(COUNT)),
        format!("FROM a\nEXPOSE {}", "x ".repeat(COUNT)),
        format!("FROM a\nCOPY {}", "\"x ".repeat(COUNT)),
        format!("FROM a\nRUN {}", "a \\\n".repeat(COUNT)),
        format!("FROM a\nLABEL a={}", "${a:-".repeat(COUNT)),
        format!("FROM a\nCMD {}", "[".repeat(COUNT)),
        "FROM a AS b\n".repeat(COUNT),
        "x".repeat(20 * COUNT),
        "x\n".repeat(COUNT),
        "FROM a\n".to_owned() + &"COPY --from=b c d\n".repeat(COUNT),
    ];
    for text in texts {
        match parse(text.as_bytes(), "f") {
            Err(error) => assert!(error.to_string().len() < 100_000),
            Ok(file) => {
                if let Ok(plan) = plan(&file, &options()) {
                    let _ = plan.image_references();
                    let _ = target_labels(&plan, &|_| BTreeMap::new());
                }
            }
        }
    }
    let doubling = (0..60).map(|_| "ENV A=$A$A\n").collect::<String>();
    let file = parse(format!("FROM a\nENV A=xx\n{doubling}LABEL a=$A").as_bytes(), "f").expect("a file");
    let plan = plan(&file, &options()).expect("a plan");
    assert!(target_labels(&plan, &|_| BTreeMap::new()).is_err());
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
