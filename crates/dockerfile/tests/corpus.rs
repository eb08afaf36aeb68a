//! The corpus: Dockerfiles with what is made of them. Texts are in `tests/corpus/themes/THEME.txt`, each followed by its
//! outline; files whose bytes matter (line ends, NUL, other encodings) and longer ones are `tests/corpus/NAME/Dockerfile`
//! with `outline.snap` beside. Names with `bad-` are files that must be refused.
//!
//! `UPDATE_CORPUS=1 cargo test -p dockerfile --test corpus` writes the outlines anew; the difference is then for review.

mod outline;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use outline::outline;

/// Before a case's name.
const CASE: &str = "%%% ";
/// Between a Dockerfile and its outline.
const RESULT: &str = "%%% =>";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).expect("the corpus").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Name and Dockerfile of every case of a theme.
fn cases(text: &str) -> Vec<(String, String)> {
    let mut cases: Vec<(String, String)> = Vec::new();
    let mut in_result = false;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == RESULT {
            in_result = true;
        } else if let Some(name) = line.strip_prefix(CASE) {
            cases.push((name.trim_end().to_owned(), String::new()));
            in_result = false;
        } else if let Some((_, dockerfile)) = cases.last_mut().filter(|_| !in_result) {
            dockerfile.push_str(line);
        }
    }
    cases
}

fn written(name: &str, dockerfile: &str, outline: &str) -> String {
    // An outline's own lines cannot be taken for a case's.
    let outline: String = outline.lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "| {line}");
        text
    });
    format!("{CASE}{name}\n{dockerfile}{RESULT}\n{outline}")
}

#[test]
fn every_text_of_the_corpus_reads_as_written_below_it() {
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for theme in entries(&corpus().join("themes")) {
        let text = std::fs::read_to_string(&theme).expect("a theme");
        let mut expected = String::new();
        for (name, dockerfile) in cases(&text) {
            let (accepted, result) = outline(dockerfile.as_bytes());
            if accepted == name.starts_with("bad-") {
                wrong.push(format!("{name}: accepted is {accepted}"));
            }
            let case = written(&name, &dockerfile, &result);
            if !update && !text.contains(&case) {
                wrong.push(format!("{}:\n{case}", theme.display()));
            }
            expected.push_str(&case);
            assert!(names.insert(name.clone()), "two cases are called {name}");
        }
        if update {
            std::fs::write(&theme, expected).expect("the theme is written");
        } else if expected != text {
            wrong.push(format!("{}: not as it would be written", theme.display()));
        }
    }
    assert!(names.len() >= 200, "the corpus has only {} texts", names.len());
    assert!(wrong.is_empty(), "these differ:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_corpus_reads_as_written_beside_it() {
    let mut failed = Vec::new();
    let cases: Vec<_> = entries(&corpus()).into_iter().filter(|path| path.join("Dockerfile").exists()).collect();
    assert!(cases.len() >= 40, "the corpus is not where it was");
    for case in cases {
        let name = case.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = std::fs::read(case.join("Dockerfile")).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (accepted, text) = outline(&bytes);
        if accepted == name.starts_with("bad-") {
            failed.push(format!("{name}: accepted is {accepted}"));
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        let compare = || settings.bind(|| insta::assert_snapshot!("outline", text));
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare)).is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "these differ: {failed:?}");
}
