//! The import check of the hub plugin's `preImport` callback: an image comes in only from the task that built it, with
//! RPMs and parents that are this Koji's.
//!
//! The hub itself drops unknown RPM components with a log line, records those with another sigmd5 (before 1.36), does not
//! look at the state of their builds, and asks nothing about task and parents (CG_Importer.match_rpm, prep_build). So an
//! honest worker is not required. The callback asks [`container_import`] what the metadata claims, reads the rows of RPMs,
//! parents and task (one query for each batch), and hands them to [`check_import`]. Nothing here sees the image itself.

mod claim;
mod parents;
mod rpms;
mod task;

use pyo3::prelude::*;
use pyo3::types::PyAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::convert::{to_json, to_python};
use crate::fence::fenced;
use crate::refusal::{parameter_error, sentence};
use claim::Claim;
use rpms::RpmRow;

/// What becomes of an import that breaks a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    Allow,
    Warn,
    Refuse,
}

/// The plugin's configuration, as far as imports are concerned.
#[derive(Debug, Deserialize)]
struct ImportRules {
    check_components: Decision,
    check_parents: Decision,
    check_task: Decision,
    check_host: Decision,
    task_methods: Vec<String>,
}

/// Which check found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Check {
    Components,
    Parents,
    Task,
    Host,
}

/// One thing that speaks against an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Offence {
    check: Check,
    /// Without a full stop; names the component, parent or task.
    text: String,
    hint: String,
}

impl Offence {
    fn new(check: Check, text: impl Into<String>, hint: &str) -> Self {
        Self { check, text: text.into(), hint: hint.to_owned() }
    }
}

/// The rows the hub has for what the metadata names.
#[derive(Debug, Deserialize)]
struct Found {
    rpms: Vec<RpmRow>,
    parents: Vec<parents::BuildRow>,
    task: Option<task::TaskRow>,
    /// The host whose user is importing; `None` for everybody else.
    importer_host: Option<i64>,
}

/// What an import of a content generator in `generators` claims; `None` for the imports of all others.
///
/// The answer is a struct: `components` (name, version, release, arch and digests of each RPM, once), `parent_ids`, `task_id`,
/// and what else [`check_import`] needs. Raises `koji.ParameterError` when the metadata cannot be read at all.
#[pyfunction]
pub fn container_import<'py>(
    py: Python<'py>,
    metadata: &Bound<'py, PyAny>,
    generators: Vec<String>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    fenced("preImport", || {
        let metadata = json(py, metadata, "metadata")?;
        if !claim::is_of(&metadata, &generators) {
            return Ok(None);
        }
        let claim = serde_json::to_value(Claim::read(&metadata)).map_err(|e| bug(py, &e))?;
        to_python(py, &claim).map(Some)
    })
}

/// Refuses an import whose claim does not hold.
///
/// `claim` is what [`container_import`] gave. `found` holds `rpms` (rows of rpminfo with the state of their build),
/// `parents` (rows of build), `task` (a row of task, or None) and `importer_host`. `rules` is the plugin's configuration.
/// Returns what is only to be warned of, a list of sentences; raises `koji.ParameterError` with all that is refused.
#[pyfunction]
pub fn check_import(
    py: Python<'_>,
    claim: &Bound<'_, PyAny>,
    found: &Bound<'_, PyAny>,
    rules: &Bound<'_, PyAny>,
) -> PyResult<Vec<String>> {
    fenced("preImport", || {
        let claim: Claim = serde_json::from_value(json(py, claim, "claim")?).map_err(|e| bug(py, &e))?;
        let found: Found = serde_json::from_value(json(py, found, "found")?).map_err(|e| bug(py, &e))?;
        let rules: ImportRules = serde_json::from_value(json(py, rules, "rules")?).map_err(|e| bug(py, &e))?;
        let judged = judge(&claim, &found, &rules);
        if judged.refused.is_empty() { Ok(judged.warnings) } else { Err(parameter_error(py, &judged.refused.join(" "))) }
    })
}

fn json(py: Python<'_>, value: &Bound<'_, PyAny>, what: &str) -> PyResult<Value> {
    to_json(value, what).map_err(|e| parameter_error(py, &sentence(&e.to_string(), None)))
}

/// Plugin and extension do not fit together: an installation of two versions.
fn bug(py: Python<'_>, error: &serde_json::Error) -> PyErr {
    let text = format!("the hub plugin and its extension module do not fit together ({error})");
    parameter_error(py, &sentence(&text, Some("the administrators of this hub have to install both from one version")))
}

/// Sentences, refused ones apart from warnings.
#[derive(Debug, Default)]
struct Judgement {
    refused: Vec<String>,
    warnings: Vec<String>,
}

fn judge(claim: &Claim, found: &Found, rules: &ImportRules) -> Judgement {
    let mut offences = claim.offences.clone();
    offences.extend(rpms::offences(&claim.components, &found.rpms));
    offences.extend(parents::offences(&claim.parents, &found.parents));
    offences.extend(task::offences(claim, found.task.as_ref(), &rules.task_methods));
    offences.extend(task::host_offence(found.task.as_ref(), found.importer_host));
    let mut judgement = Judgement::default();
    for offence in offences {
        let decision = match offence.check {
            Check::Components => rules.check_components,
            Check::Parents => rules.check_parents,
            Check::Task => rules.check_task,
            Check::Host => rules.check_host,
        };
        let text = sentence(&format!("the import of {} is not allowed: {}", claim.nvr, offence.text), Some(&offence.hint));
        match decision {
            Decision::Allow => {}
            Decision::Warn => judgement.warnings.push(text),
            Decision::Refuse => judgement.refused.push(text),
        }
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(decision: &str) -> ImportRules {
        serde_json::from_value(json!({"check_components": decision, "check_parents": decision, "check_task": decision,
            "check_host": decision, "task_methods": ["buildContainer"]}))
        .expect("rules")
    }

    fn claim() -> Claim {
        Claim::read(&json!({
            "build": {"name": "web", "version": "1", "release": "2", "task_id": 7, "owner": "jo",
                "extra": {"image": {"parent_images": ["r/base:1"], "parent_image_builds": {"r/base:1": {"id": 3, "nvr": "base-1-1"}}}}},
            "output": [{"filename": "i.tar.gz", "type": "docker-image", "extra": {"image": {"arch": "x86_64"}},
                "components": [{"type": "rpm", "name": "bash", "version": "5", "release": "1", "arch": "x86_64", "sigmd5": "ab"}]}],
        }))
    }

    fn found() -> Value {
        json!({
            "rpms": [{"name": "bash", "version": "5", "release": "1", "arch": "x86_64", "payloadhash": "ab", "external_repo_id": 0,
                "draft": false, "build_state": 1, "epoch": null}],
            "parents": [{"id": 3, "name": "base", "version": "1", "release": "1", "state": 1}],
            "task": {"id": 7, "state": 1, "method": "buildContainer", "owner_name": "jo", "host_id": 4},
            "importer_host": 4,
        })
    }

    #[test]
    fn an_honest_import_passes_every_check() {
        let judged = judge(&claim(), &serde_json::from_value(found()).expect("found"), &rules("refuse"));
        assert!(judged.refused.is_empty() && judged.warnings.is_empty(), "{judged:?}");
    }

    #[test]
    fn each_check_follows_its_own_decision() {
        let none: Found =
            serde_json::from_value(json!({"rpms": [], "parents": [], "task": null, "importer_host": null})).expect("f");
        assert_eq!(judge(&claim(), &none, &rules("refuse")).refused.len(), 3);
        let warned = judge(&claim(), &none, &rules("warn"));
        assert_eq!((warned.refused.len(), warned.warnings.len()), (0, 3));
        assert!(warned.warnings.iter().all(|w| w.starts_with("The import of web-1-2 is not allowed: ")), "{warned:?}");
        let allowed = judge(&claim(), &none, &rules("allow"));
        assert!(allowed.refused.is_empty() && allowed.warnings.is_empty());
        let mixed = ImportRules { check_task: Decision::Refuse, ..rules("allow") };
        assert_eq!(judge(&claim(), &none, &mixed).refused.len(), 1);
    }
}
