//! What is built from every Dockerfile of the language's corpus (`crates/dockerfile/tests/corpus`): the config and the
//! entries of every new layer, or the message that a packager gets. Results are in `tests/corpus/THEME.txt`; those of the
//! files that have a directory of their own are in `tests/corpus/files.txt`.
//!
//! `UPDATE_CORPUS=1 cargo test -p image-build --test engine -- corpus` writes them anew; the difference is then for review.

mod scene;
mod shown;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use build_model::Arch;
use dockerfile::{PlanOptions, Platform, parse, plan};

use crate::world::{Options, World};
use scene::Everywhere;

pub const TESTS: &[crate::Test] = &[
    ("corpus::every_text_becomes_the_image_that_is_written_down", texts),
    ("corpus::every_file_becomes_the_image_that_is_written_down", files),
];

/// Before a case's name.
const CASE: &str = "%%% ";
/// Between a Dockerfile and its outline.
const RESULT: &str = "%%% =>";

fn language_corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dockerfile").join("tests/corpus")
}

fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).expect("the corpus").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Name and Dockerfile of every case of a theme.
fn cases(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut in_result = false;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == RESULT {
            in_result = true;
        } else if let Some(name) = line.strip_prefix(CASE) {
            cases.push((name.trim_end().to_owned(), Vec::new()));
            in_result = false;
        } else if let Some((_, dockerfile)) = cases.last_mut().filter(|_| !in_result) {
            dockerfile.extend_from_slice(line.as_bytes());
        }
    }
    cases
}

/// What the corpus says of platforms is written down for one; other machines have other words for it.
fn comparable() -> bool {
    let here = Arch::host().oci() == "amd64";
    if !here {
        println!("not compared: the results are those of amd64");
    }
    here
}

fn texts() {
    if !comparable() {
        return;
    }
    let mut compared = 0;
    let scene = scene::world();
    for theme in entries(&language_corpus().join("themes")) {
        let text = fs::read_to_string(&theme).expect("a theme");
        let name = theme.file_name().expect("a name").to_string_lossy().into_owned();
        compared += compare(&scene, &name, cases(&text));
    }
    assert!(compared >= 150, "the corpus has only {compared} texts that can be built");
}

fn files() {
    if !comparable() {
        return;
    }
    let dirs = entries(&language_corpus()).into_iter().filter(|dir| dir.join("Dockerfile").exists());
    let read = |dir: PathBuf| {
        let name = dir.file_name().expect("a name").to_string_lossy().into_owned();
        (name, fs::read(dir.join("Dockerfile")).expect("a Dockerfile"))
    };
    assert!(compare(&scene::world(), "files.txt", dirs.map(read).collect()) >= 20);
}

/// Builds the cases that can be parsed; those that cannot are the language's tests alone. How many there are.
fn compare(world: &World, results_name: &str, cases: Vec<(String, Vec<u8>)>) -> usize {
    let path = results().join(results_name);
    let mut found = String::new();
    let mut compared = 0;
    for (name, dockerfile) in cases.iter().filter(|(name, _)| !name.starts_with("bad-")) {
        compared += 1;
        let result = result(world, dockerfile);
        let _ = writeln!(found, "{CASE}{name}\n{}", result.trim_end());
    }
    if std::env::var_os("UPDATE_CORPUS").is_some() {
        fs::write(&path, found).expect("the results are written");
        return compared;
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_same(&path, &expected, &found);
    compared
}

fn assert_same(path: &Path, expected: &str, found: &str) {
    let parts = |text: &str| -> BTreeMap<String, String> {
        let parts = text.split(CASE).skip(1).filter_map(|part| part.split_once('\n'));
        parts.map(|(name, result)| (name.to_owned(), result.to_owned())).collect()
    };
    let (expected_parts, found_parts) = (parts(expected), parts(found));
    let none = "(nothing)\n".to_owned();
    let mut wrong = String::new();
    for name in expected_parts.keys().chain(found_parts.keys().filter(|name| !expected_parts.contains_key(*name))) {
        let (was, is) = (expected_parts.get(name).unwrap_or(&none), found_parts.get(name).unwrap_or(&none));
        if was != is {
            let _ = writeln!(wrong, "{name}, as written down:\n{was}{name}, as built:\n{is}");
        }
    }
    assert!(wrong.is_empty(), "{}: these differ (UPDATE_CORPUS=1 writes them anew):\n{wrong}", path.display());
    assert_eq!(expected, found, "{}: the order differs", path.display());
}

/// The image of a Dockerfile, or why there is none.
fn result(world: &World, dockerfile: &[u8]) -> String {
    let platform = Platform { os: "linux".into(), architecture: Arch::host().oci().into(), variant: None };
    // As in the outlines.
    let build_args = BTreeMap::from([("GIVEN".to_owned(), "given".to_owned())]);
    let file = parse(dockerfile, "Dockerfile").unwrap_or_else(|e| panic!("{e}"));
    let plan = plan(&file, &PlanOptions { target: None, build_args, platform }).unwrap_or_else(|e| panic!("{e}"));
    let options = Options { sandbox: scene::sandbox(), ..Options::default() };
    match world.build_plan(&plan, &Everywhere(world), &options) {
        Ok(built) => shown::image(&world.store, &built),
        Err(error) => shown::refusal(&error),
    }
}
