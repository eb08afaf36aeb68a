//! Offline tests of a site's policy: cases in a directory, each an image and what the policy must say about it.
//!
//! A case is a TOML or JSON file. The image is a recorded provenance.json or described in a few lines; the rules judge the
//! same document either way. Run by `containerbuild policy test DIR`. Documented in docs/POLICY.md.

mod case;
mod description;
mod judged;

use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose};

pub use case::Case;
pub use judged::Judged;

/// Why there is nothing to judge.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file or directory cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The directory holds no case.
    #[error("{path} holds no case: no .toml file but policy.toml, and no .json file that is no provenance report")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A case is not written as one.
    #[error("{explanation}")]
    Parse {
        /// File, line, column and problem.
        explanation: String,
    },
    /// A case that says nothing or contradicts itself.
    #[error("{path}: {problem}")]
    Value {
        /// The case.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Diagnose for CaseError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            CaseError::Read { .. } => "policy-case-unreadable",
            CaseError::Empty { .. } => "policy-cases-absent",
            CaseError::Parse { .. } | CaseError::Value { .. } => "policy-case-invalid",
        }
    }
    fn hint(&self) -> Option<String> {
        Some("docs/POLICY.md shows how a case is written".into())
    }
}

/// Name of the policy file beside the cases.
pub const POLICY_FILE: &str = "policy.toml";

/// All cases of a directory, sorted by file name.
///
/// # Errors
/// The first file that is no case, or a directory without any.
pub fn read_cases(dir: &Path) -> Result<Vec<Case>, CaseError> {
    let failed = |source| CaseError::Read { path: dir.to_owned(), source };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let kind = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        let is_policy = path.file_name().is_some_and(|name| name == POLICY_FILE);
        if !is_policy && matches!(kind, "toml" | "json") {
            cases.extend(case::read(&path, kind)?);
        }
    }
    if cases.is_empty() { Err(CaseError::Empty { path: dir.to_owned() }) } else { Ok(cases) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    fn example() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policy"))
    }

    #[test]
    fn the_example_says_of_every_case_what_is_expected() {
        let policy = Settings::load_policy(&example().join(POLICY_FILE)).expect("the example's policy");
        let cases = read_cases(example()).expect("the example's cases");
        assert!(cases.len() >= 10, "{}", cases.len());
        let mut broken = std::collections::BTreeSet::new();
        for case in &cases {
            let judged = Judged::new(case, &policy.rules(), "2027-01-01");
            assert!(judged.differences.is_empty(), "{}: {:#?}", case.name, judged.differences);
            broken.extend(judged.broken());
        }
        for kind in [
            "signing_keys",
            "content_tags",
            "parent_images",
            "registries",
            "repositories",
            "labels",
            "packages",
            "same_versions",
            "size",
            "files",
        ] {
            assert!(broken.iter().any(|rule| rule.starts_with(kind)), "no case breaks a rule of the kind {kind}");
        }
    }

    fn one(text: &str) -> Result<Vec<Case>, CaseError> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("case.toml"), text).expect("written");
        read_cases(dir.path())
    }

    fn differences(text: &str) -> Vec<String> {
        let policy = Settings::load_policy(&example().join(POLICY_FILE)).expect("the example's policy");
        let cases = one(text).expect("a case");
        Judged::new(&cases[0], &policy.rules(), "2027-01-01").differences
    }

    #[test]
    fn what_is_not_as_expected_is_told() {
        let image = "[[image]]\nsize_mb = 4100\nlabels = { maintainer = \"m\", url = \"https://x\" }\n";
        let found = differences(&format!(
            "about = \"a\"\n{image}[expect]\noutcome = \"passed\"\nrefused = [\"size/small\", \"size/smal\"]\nsays = [\"tiny\"]\n"
        ));
        assert_eq!(
            found,
            [
                "expected passed, the policy says refused",
                "refused: size/smal was expected; there is no such rule for this target",
                "refused: size/small was expected; it says warned",
                "refused: size/hard-limit was not expected",
                "no refusal or warning says `tiny`",
            ]
        );
    }

    #[test]
    fn what_rules_cannot_know_is_not_told() {
        let text = "about = \"a\"\n[[image]]\nparents = [{ reference = \"quay.io/example/x\", koji_build = \"x-1-1\" }]\n\
                    [expect]\noutcome = \"not-told\"\n";
        assert!(differences(text).is_empty(), "labels and size are unknown: {:?}", differences(text));
    }

    #[test]
    fn cases_that_are_none_are_refused_with_their_place() {
        let message = |text: &str| one(text).expect_err("no case").to_string();
        assert!(
            message("about = \"a\"\n[[image]]\nlables = 1\n")
                .contains("case.toml:3:1: unknown key `lables`; did you mean `labels`?")
        );
        assert!(
            message("about = \"a\"\n[expect]\noutcome = \"pased\"\n").contains("unknown value `pased`; did you mean `passed`?")
        );
        assert!(message("about = \"a\"\n[expect]\noutcome = \"passed\"\n").contains("needs either `provenance`"));
        let twice = "about = \"a\"\n[[image]]\npackages = [{ nvra = \"a-1-1.noarch\" }, { nvra = \"a-1-1.noarch\" }]\n\
                     [expect]\noutcome = \"passed\"\n";
        assert!(message(twice).contains("described twice"));
        let empty = tempfile::tempdir().expect("a directory");
        assert!(read_cases(empty.path()).expect_err("empty").to_string().contains("holds no case"));
    }
}
