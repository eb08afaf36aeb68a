//! One case: what it is about, the image, and what is expected.

use std::path::{Path, PathBuf};

use rpm_provenance::Provenance;
use rpm_provenance::report::Outcome;
use serde::Deserialize;

use super::CaseError;
use super::description::ImageDescription;
use crate::config::unknown_key;

/// A case as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    /// One sentence.
    about: String,
    /// Build target the rules are chosen by; the recorded one when absent.
    #[serde(default)]
    target: Option<String>,
    /// Day the allow-lists are compared with, `YYYY-MM-DD`; today when absent.
    #[serde(default)]
    today: Option<String>,
    /// Recorded provenance.json files, one an architecture, relative to the case.
    #[serde(default)]
    provenance: Vec<PathBuf>,
    /// Described images, one an architecture.
    #[serde(default)]
    image: Vec<ImageDescription>,
    expect: Expectation,
}

/// What the policy must say. Lists that are given must be complete.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// `passed`, `warned`, `refused` or `not-told`.
    pub outcome: Outcome,
    /// Rules that refuse, as `KIND/NAME`.
    #[serde(default)]
    pub refused: Option<Vec<String>>,
    /// Rules that warn.
    #[serde(default)]
    pub warned: Option<Vec<String>>,
    /// Words that the lines of refusals and warnings hold.
    #[serde(default)]
    pub says: Vec<String>,
}

/// A case that can be judged.
#[derive(Debug)]
pub struct Case {
    /// File name.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// Day, where the case sets one.
    pub today: Option<String>,
    /// The images, one an architecture.
    pub images: Vec<Provenance>,
    /// What is expected.
    pub expect: Expectation,
}

/// Reads a case; `None` for a recorded provenance report.
pub(super) fn read(path: &Path, kind: &str) -> Result<Option<Case>, CaseError> {
    let text = read_text(path)?;
    let file: CaseFile = if kind == "toml" {
        toml::from_str(&text).map_err(|error| CaseError::Parse { explanation: unknown_key::explain(path, &text, &error) })?
    } else {
        let json: serde_json::Value = parse_json(path, &text)?;
        if json.get("schema_version").is_some() {
            return Ok(None);
        }
        parse_json(path, &text)?
    };
    let wrong = |problem: &str| CaseError::Value { path: path.to_owned(), problem: problem.to_owned() };
    if file.provenance.is_empty() == file.image.is_empty() {
        return Err(wrong("needs either `provenance` (recorded reports) or `[[image]]` (described ones)"));
    }
    let mut images = Vec::new();
    for name in &file.provenance {
        let recorded = path.parent().unwrap_or(Path::new(".")).join(name);
        images.push(parse_json(&recorded, &read_text(&recorded)?)?);
    }
    for described in &file.image {
        images.push(described.document().map_err(|problem| wrong(&problem))?);
    }
    for image in &mut images {
        if file.target.is_some() {
            image.target.clone_from(&file.target);
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(Case { name, about: file.about, today: file.today, images, expect: file.expect }))
}

fn read_text(path: &Path) -> Result<String, CaseError> {
    std::fs::read_to_string(path).map_err(|source| CaseError::Read { path: path.to_owned(), source })
}

fn parse_json<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, CaseError> {
    serde_json::from_str(text).map_err(|error| CaseError::Parse { explanation: unknown_key::explain_json(path, &error) })
}
