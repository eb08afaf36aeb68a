//! The documents against the tree: every path that ARCHITECTURE.md names exists, every relative link resolves, the glossary's
//! types are the code's.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The texts between backticks that look like paths of this repository.
fn quoted_paths(text: &str) -> Vec<&str> {
    let top = ["crates/", "koji-plugin/", "python/", "tests/", "examples/", "docs/", "tools/"];
    text.split('`').skip(1).step_by(2).filter(|q| top.iter().any(|t| q.starts_with(t)) && !q.contains([' ', '*', '<'])).collect()
}

#[test]
fn every_path_in_the_architecture_exists() {
    let text = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let paths = quoted_paths(&text);
    assert!(paths.len() > 20, "the table of steps is gone: {} paths", paths.len());
    let missing: Vec<_> = paths.into_iter().filter(|p| !root().join(p).exists()).collect();
    assert!(missing.is_empty(), "named in ARCHITECTURE.md but not there: {missing:?}");
}

#[test]
fn every_relative_link_of_the_documents_resolves() {
    let mut files = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    for dir in ["docs", "docs/adr"] {
        let entries = std::fs::read_dir(root().join(dir)).expect(dir);
        files.extend(entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    let mut broken = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a document");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let target = link.split('#').next().unwrap_or_default();
            let here = file.parent().expect("a folder");
            if !target.is_empty() && !target.contains("://") && !here.join(target).exists() {
                broken.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn decision_records_are_numbered_without_gaps() {
    let mut numbers: Vec<u32> = std::fs::read_dir(root().join("docs/adr"))
        .expect("docs/adr")
        .flatten()
        .filter_map(|e| e.file_name().to_string_lossy().split('-').next()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let expected: Vec<u32> = (1..=numbers.len() as u32).collect();
    assert_eq!(numbers, expected);
}

/// The text of every Rust file below `dir`.
fn rust_below(dir: &Path, text: &mut String) {
    for path in std::fs::read_dir(dir).expect("a folder").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            rust_below(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a Rust file"));
        }
    }
}

#[test]
fn the_glossary_has_each_word_once_in_order_and_its_types_exist() {
    let text = std::fs::read_to_string(root().join("docs/GLOSSARY.md")).expect("GLOSSARY.md");
    let rows: Vec<Vec<&str>> =
        text.lines().filter(|line| line.starts_with("| ")).skip(1).map(|line| line.split('|').map(str::trim).collect()).collect();
    assert!(rows.len() > 40, "the table is gone: {} rows", rows.len());
    for pair in rows.windows(2) {
        assert!(pair[0][1].to_lowercase() < pair[1][1].to_lowercase(), "{} stands before {}", pair[0][1], pair[1][1]);
    }
    let mut code = String::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("crates").flatten() {
        rust_below(&entry.path().join("src"), &mut code);
    }
    let names: std::collections::HashSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let named =
        rows.iter().flat_map(|row| row[3].split('`').skip(1).step_by(2)).map(|path| path.rsplit("::").next().unwrap_or(path));
    let missing: Vec<&str> = named.filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "named in GLOSSARY.md but not in the code: {missing:?}");
}
