//! The direction of dependency between the crates (docs/ARCHITECTURE.md): a new arrow is a decision, not an accident.

use std::collections::BTreeMap;
use std::path::Path;

/// What each crate of ours may depend on among ours, tests included.
const ALLOWED: &[(&str, &[&str])] = &[
    ("build-model", &[]),
    ("system-authorities", &[]),
    ("koji-session", &["build-model", "system-authorities"]),
    ("dist-git", &["build-model"]),
    ("dockerfile", &["build-model"]),
    ("image-layers", &["build-model"]),
    ("content-generator", &["build-model"]),
    ("registry", &["build-model", "image-layers"]),
    ("rpm-provenance", &["build-model", "image-layers", "system-authorities"]),
    ("image-build", &["build-model", "dockerfile", "image-layers"]),
    ("python", &["build-model"]),
];

fn ours(manifest: &Path, names: &[&str]) -> Vec<String> {
    let text = std::fs::read_to_string(manifest).expect("a Cargo.toml");
    let is_dependency =
        |line: &str, name: &str| line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['.', '=']));
    names.iter().filter(|n| text.lines().any(|l| is_dependency(l.trim(), n))).map(|n| (*n).to_owned()).collect()
}

#[test]
fn crates_depend_only_on_what_the_architecture_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let names: Vec<&str> = allowed.keys().copied().chain(["builder-worker"]).collect();
    for (name, may) in &allowed {
        let dir = if *name == "python" { root.join(name) } else { root.join("crates").join(name) };
        for found in ours(&dir.join("Cargo.toml"), &names) {
            assert!(may.contains(&found.as_str()), "{name} must not depend on {found}");
        }
    }
    let folders = std::fs::read_dir(root.join("crates")).expect("crates").flatten();
    for folder in folders.map(|e| e.file_name().to_string_lossy().into_owned()) {
        assert!(folder == "builder-worker" || allowed.contains_key(folder.as_str()), "{folder} has no arrows declared here");
    }
}
