//! The documents against the tree: every path that ARCHITECTURE.md names exists, every relative link resolves.

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
