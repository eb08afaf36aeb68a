//! Tables of words: quoting, every substitution, what is refused.

use super::*;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/root",
        "SHELL" => "bash",
        "EMPTY" => "",
        "WIDE" => "a b  c",
        "FILE" => "dir/sub/name.tar.gz",
        "größe" => "7",
        "STAR" => "a*b*c",
        "DOT" => "\\*/",
        _ => return None,
    };
    Some(value.to_owned())
}

#[track_caller]
fn check(table: &[(&str, &str)]) {
    for (word, expected) in table {
        assert_eq!(expand(word, '\\', &lookup).as_deref(), Ok(*expected), "{word}");
    }
}

#[test]
fn quotes_and_escapes_are_removed() {
    check(&[
        ("plain", "plain"),
        ("two words", "two words"),
        ("he'll'o", "hello"),
        (r"he\'llo", "he'llo"),
        (r"abc\tdef", "abctdef"),
        (r#""abc\tdef""#, r"abc\tdef"),
        (r#""abc\\tdef""#, r"abc\tdef"),
        (r"'abc\tdef'", r"abc\tdef"),
        (r"end\", "end"),
        (r"end\\", r"end\"),
        (r#""a'b'c""#, "a'b'c"),
        (r#"'"a"'"#, r#""a""#),
        (r"'a\'", r"a\"),
        (r#""''""#, "''"),
        (r#""\"q\"""#, r#""q""#),
        ("안'녕'", "안녕"),
        ("", ""),
        ("''", ""),
    ]);
}

#[test]
fn plain_variables_take_the_longest_name() {
    check(&[
        ("a$HOME", "a/root"),
        ("a$HOME.b", "a/root.b"),
        ("a$HOMEb", "a"),
        ("${HOME}b", "/rootb"),
        (r"a\$HOME", "a$HOME"),
        (r"a\\$HOME", r"a\/root"),
        (r#""$HOME""#, "/root"),
        ("'$HOME'", "$HOME"),
        (r#""'$HOME'""#, "'/root'"),
        (r#""\$HOME""#, "$HOME"),
        ("$.", "$."),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("x$1y", "xy"),
        ("$999z", "z"),
        ("$@@", "@"),
        ("$$", ""),
        ("${?}", ""),
        (r"\${HOME}", "${HOME}"),
        ("$größe.", "7."),
        ("${HOME}}", "/root}"),
        ("$WIDE", "a b  c"),
    ]);
}

#[test]
fn alternatives_follow_set_and_empty() {
    check(&[
        ("${NO:-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${HOME:-d}", "/root"),
        ("${NO:-$HOME}", "/root"),
        ("${NO:-${NO2:-${SHELL}}}", "bash"),
        ("${NO:+d}", ""),
        ("${NO+d}", ""),
        ("${EMPTY:+d}", ""),
        ("${EMPTY+d}", "d"),
        ("${HOME:+${HOME}:}x", "/root:x"),
        ("${HOME?m}", "/root"),
        ("${EMPTY?m}", ""),
        ("${HOME:?m}", "/root"),
        ("${1:-d}", "d"),
        ("${@:+d}", ""),
        ("${NO:-'a}b'}", "a}b"),
        (r"${NO:-\$HOME:}", "$HOME:"),
        (r"${NO:-a\}b}", "a}b"),
        ("${NO:-a {b}", "a {b"),
        ("${NO:-}", ""),
        (r#"${NO:-"a b"}"#, "a b"),
    ]);
}

#[test]
fn patterns_trim_and_replace() {
    check(&[
        ("${FILE#*/}", "sub/name.tar.gz"),
        ("${FILE##*/}", "name.tar.gz"),
        ("${FILE%.*}", "dir/sub/name.tar"),
        ("${FILE%%.*}", "dir/sub/name"),
        ("${FILE#dir}", "/sub/name.tar.gz"),
        ("${FILE#nothing}", "dir/sub/name.tar.gz"),
        ("${FILE%}", "dir/sub/name.tar.gz"),
        ("${FILE/a/o}", "dir/sub/nome.tar.gz"),
        ("${FILE//a/o}", "dir/sub/nome.tor.gz"),
        (r"${FILE//\//-}", "dir-sub-name.tar.gz"),
        ("${FILE/name*/x}", "dir/sub/x"),
        ("${FILE//./}", "dir/sub/nametargz"),
        (r"${STAR#a\*}", "b*c"),
        (r"${STAR//\*/$SHELL}", "abashbbashc"),
        ("${STAR/$DOT/-}", "a*b*c"),
        ("${NO#x}", ""),
        ("${NO/a/b}", ""),
        // A variable's value is a pattern, a quoted one too: quotes do not protect stars here, as in the reference.
        ("${FILE#\"*/\"}", "sub/name.tar.gz"),
    ]);
}

#[test]
fn wrong_words_say_what_is_wrong() {
    for (word, message) in [
        ("it's", "cannot expand `it's`: the quote ' is not closed"),
        ("\"open", "cannot expand `\"open`: the quote \" is not closed"),
        (r#""open\""#, r#"cannot expand `"open\"`: the quote " is not closed"#),
        ("${HOME", "cannot expand `${HOME`: a `}` is missing after `${`"),
        ("${HOME:-a", "cannot expand `${HOME:-a`: a `}` is missing after `${`"),
        ("${HOME:", "cannot expand `${HOME:`: a `}` is missing after `${`"),
        ("${FILE/a", "cannot expand `${FILE/a`: a `/` is missing after `${`"),
        ("${FILE//x}", "cannot expand `${FILE//x}`: a `/` is missing after `${`"),
        ("${}", "cannot expand `${}`: there is no variable name after `${`"),
        ("${{a}", "cannot expand `${{a}`: there is no variable name after `${`"),
        ("${:-a}", "cannot expand `${:-a}`: there is no variable name after `${`"),
        ("${.}", "cannot expand `${.}`: `.` is not a substitution that Dockerfiles have"),
        ("${HOME:=a}", "cannot expand `${HOME:=a}`: `:=` is not a substitution that Dockerfiles have"),
        ("${HOME^^}", "cannot expand `${HOME^^}`: `^` is not a substitution that Dockerfiles have"),
        ("${HOME:#a}", "cannot expand `${HOME:#a}`: `:#` is not a substitution that Dockerfiles have"),
        ("${NO?}", "cannot expand `${NO?}`: `NO` is not set"),
        ("${NO:?say $SHELL}", "cannot expand `${NO:?say $SHELL}`: `NO` is not set: say bash"),
        ("${EMPTY:?m}", "cannot expand `${EMPTY:?m}`: `EMPTY` is empty: m"),
        (r"${HOME#\q}", r"cannot expand `${HOME#\q}`: `\q` is not a pattern: `\` stands only before * ? \ } and /"),
    ] {
        assert_eq!(expand(word, '\\', &lookup).map_err(|e| e.to_string()), Err(message.to_owned()), "{word}");
    }
}

#[test]
fn the_backtick_can_be_the_escape_character() {
    let word = |text: &str| expand(text, '`', &lookup).expect(text);
    assert_eq!(word(r"C:\dir\$SHELL"), r"C:\dir\bash");
    assert_eq!(word("a`$HOME"), "a$HOME");
    assert_eq!(word("\"a`\"b\""), "a\"b");
}

#[test]
fn words_split_at_blanks_also_inside_unquoted_values() {
    let words = |text: &str| expand_words(text, '\\', &lookup).expect(text);
    assert_eq!(words("80 443"), ["80", "443"]);
    assert_eq!(words("x$WIDE y"), ["xa", "b", "c", "y"]);
    assert_eq!(words("x\"$WIDE\"y"), ["xa b  cy"]);
    assert_eq!(words(r"a\ b 'c d'"), ["a b", "c d"]);
    assert_eq!(words("  $EMPTY "), [] as [&str; 0]);
}

#[test]
fn heredoc_bodies_keep_quotes_and_lose_escapes() {
    let body = |text: &str| expand_heredoc(text, &lookup).expect(text);
    assert_eq!(body("it's \"$SHELL\"\n"), "it's \"bash\"\n");
    assert_eq!(body("\\$SHELL \\\\ ${NO:-x}\n"), "$SHELL \\ x\n");
}

#[test]
fn nesting_and_growth_are_bounded() {
    let deep = format!("{}{}", "${a:-".repeat(100_000), "}".repeat(100_000));
    let err = expand(&deep, '\\', &lookup).expect_err("too deep");
    assert_eq!(err.reason, ExpandReason::TooDeep { limit: 64 });
    assert!(err.to_string().len() < 300, "the word is cut in the message");
    let long = "x".repeat(1 << 20);
    let err = expand("$a$a$a$a$a$a", '\\', &|_| Some(long.clone())).expect_err("too long");
    assert!(matches!(err.reason, ExpandReason::TooLong { .. }));
    let err = expand_words("$a $a $a $a $a", '\\', &|_| Some(long.clone())).expect_err("too long");
    assert!(matches!(err.reason, ExpandReason::TooLong { .. }));
}

#[test]
fn messages_hold_no_control_characters_of_the_word() {
    for word in ["${\u{0}\u{5}#", "${a?\u{1b}[2J}", "${a:?x\ny}", "${HOME#\\\u{7}}", "\u{1b}${"] {
        let error = expand(word, '\\', &lookup).expect_err(word);
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
}
