//! The import check: every RPM component of a container import must be a Koji RPM with the same SIGMD5.
//!
//! The hub itself drops unknown components with a log line and records those with another sigmd5 (CG_Importer.match_rpm).
//! The plugin's `preImport` callback asks [`container_components`] what an import holds, looks the RPMs up in one query per
//! batch, and hands the rows to [`check_components`], which refuses. So an honest worker is not required.

use std::collections::{BTreeMap, BTreeSet};

use pyo3::prelude::*;
use pyo3::types::PyAny;
use serde_json::Value;

use crate::convert::{to_json, to_python};
use crate::fence::fenced;
use crate::refusal::{parameter_error, sentence};

/// How many offenders one message names; the rest is counted.
const NAMED: usize = 10;

/// What identifies an RPM in Koji.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RpmKey {
    name: String,
    version: String,
    release: String,
    arch: String,
}

impl RpmKey {
    fn of(value: &Value) -> Option<Self> {
        let part = |key: &str| value.get(key).and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_owned);
        Some(RpmKey { name: part("name")?, version: part("version")?, release: part("release")?, arch: part("arch")? })
    }
}

impl std::fmt::Display for RpmKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}.{}", self.name, self.version, self.release, self.arch)
    }
}

/// One RPM an image claims to hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    key: RpmKey,
    /// Lower-case hex; `None` when the metadata has none (then the header digests must be there).
    sigmd5: Option<String>,
}

/// One RPM as Koji knows it.
#[derive(Debug, Clone)]
struct Known {
    payloadhash: String,
    external: bool,
    draft: bool,
}

/// The RPM components of a container import, or `None` when the import is no container import of one of `generators`.
///
/// A container import has `extra.image` or `extra.container_koji_task_id` in its build, and all its buildroots name a content
/// generator in `generators`. The answer is a list of structs {name, version, release, arch, sigmd5}, without duplicates.
/// Raises `koji.ParameterError` when a component cannot be identified: then it cannot be proven either.
#[pyfunction]
pub fn container_components<'py>(
    py: Python<'py>,
    metadata: &Bound<'py, PyAny>,
    generators: Vec<String>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    fenced("preImport", || {
        let metadata = json(py, metadata, "metadata")?;
        if !is_container_import(&metadata, &generators) {
            return Ok(None);
        }
        let components = components(&metadata).map_err(|text| parameter_error(py, &text))?;
        let list = components
            .iter()
            .map(|c| {
                serde_json::json!({"name": c.key.name, "version": c.key.version, "release": c.key.release,
                    "arch": c.key.arch, "sigmd5": c.sigmd5})
            })
            .collect();
        to_python(py, &Value::Array(list)).map(Some)
    })
}

/// Refuses an import whose components are not all Koji's RPMs.
///
/// `components` is what [`container_components`] gave, `known` the rows of Koji's rpminfo for their names:
/// {name, version, release, arch, payloadhash, external_repo_id, draft}. Raises `koji.ParameterError` naming up to ten offenders.
#[pyfunction]
pub fn check_components(py: Python<'_>, components: &Bound<'_, PyAny>, known: &Bound<'_, PyAny>) -> PyResult<()> {
    fenced("preImport", || {
        let components = json(py, components, "components")?;
        let known = json(py, known, "known")?;
        let wanted: Vec<Component> = components.as_array().into_iter().flatten().filter_map(component).collect();
        match judge(&wanted, &index(&known)) {
            None => Ok(()),
            Some(text) => Err(parameter_error(py, &text)),
        }
    })
}

fn json(py: Python<'_>, value: &Bound<'_, PyAny>, what: &str) -> PyResult<Value> {
    to_json(value, what).map_err(|e| parameter_error(py, &sentence(&e.to_string(), None)))
}

fn is_container_import(metadata: &Value, generators: &[String]) -> bool {
    let extra = metadata.get("build").and_then(|b| b.get("extra"));
    let marked = extra.is_some_and(|e| {
        e.get("container_koji_task_id").is_some()
            || e.get("image").is_some()
            || e.get("typeinfo").is_some_and(|t| t.get("image").is_some())
    });
    let ours = |root: &Value| {
        let name = root.get("content_generator").and_then(|cg| cg.get("name")).and_then(Value::as_str);
        name.is_some_and(|name| generators.iter().any(|g| g == name))
    };
    marked && metadata.get("buildroots").and_then(Value::as_array).is_some_and(|roots| roots.iter().any(ours))
}

/// The RPMs of all outputs. What the build environment itself consisted of (buildroot components) is not judged.
fn components(metadata: &Value) -> Result<BTreeSet<Component>, String> {
    let mut found = BTreeSet::new();
    for output in metadata.get("output").and_then(Value::as_array).into_iter().flatten() {
        for entry in output.get("components").and_then(Value::as_array).into_iter().flatten() {
            if entry.get("type").and_then(Value::as_str) != Some("rpm") {
                continue;
            }
            let file = output.get("filename").and_then(Value::as_str).unwrap_or("an output");
            let component = component(entry).ok_or_else(|| {
                sentence(
                    &format!("the import of {file} has an RPM component without name, version, release or arch: {entry}"),
                    Some("the content generator must name every RPM in full"),
                )
            })?;
            found.insert(component);
        }
    }
    Ok(found)
}

fn component(entry: &Value) -> Option<Component> {
    let sigmd5 = entry.get("sigmd5").and_then(Value::as_str).filter(|s| !s.is_empty()).map(str::to_ascii_lowercase);
    RpmKey::of(entry).map(|key| Component { key, sigmd5 })
}

fn index(rows: &Value) -> BTreeMap<RpmKey, Vec<Known>> {
    let mut index: BTreeMap<RpmKey, Vec<Known>> = BTreeMap::new();
    for row in rows.as_array().into_iter().flatten() {
        let Some(key) = RpmKey::of(row) else { continue };
        let payloadhash = row.get("payloadhash").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
        let external = row.get("external_repo_id").and_then(Value::as_i64) != Some(0);
        let draft = row.get("draft").and_then(Value::as_bool) == Some(true);
        index.entry(key).or_default().push(Known { payloadhash, external, draft });
    }
    index
}

/// The message of the refusal, `None` when every component is proven.
fn judge(components: &[Component], known: &BTreeMap<RpmKey, Vec<Known>>) -> Option<String> {
    let offences: Vec<String> =
        components.iter().filter_map(|c| offence(c, known).map(|why| format!("{} ({why})", c.key))).collect();
    if offences.is_empty() {
        return None;
    }
    let named = offences.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = offences.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    Some(sentence(
        &format!(
            "this image may not be imported: {} of its {} RPMs are not RPMs of this Koji: {named}{more}",
            offences.len(),
            components.len()
        ),
        Some("build the packages in this Koji, or install the copies it built"),
    ))
}

fn offence(component: &Component, known: &BTreeMap<RpmKey, Vec<Known>>) -> Option<String> {
    let Some(rows) = known.get(&component.key) else { return Some("not built here".to_owned()) };
    let internal: Vec<&Known> = rows.iter().filter(|row| !row.external).collect();
    if internal.is_empty() {
        return Some("only seen in an external repository".to_owned());
    }
    let Some(sigmd5) = &component.sigmd5 else { return Some("the metadata has no sigmd5 for it".to_owned()) };
    match internal.iter().find(|row| row.payloadhash == *sigmd5) {
        Some(row) if row.draft => Some("a draft build".to_owned()),
        Some(_) => None,
        None => {
            let ours = internal.first().map(|row| row.payloadhash.as_str()).unwrap_or_default();
            Some(format!("same name, other content: sigmd5 {sigmd5}, Koji's is {ours}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metadata(components: Value) -> Value {
        json!({"build": {"extra": {"image": {}}}, "buildroots": [{"content_generator": {"name": "atomic-reactor"}}],
            "output": [{"filename": "i.tar.gz", "components": components}, {"filename": "x.log"}]})
    }

    fn bash(sigmd5: &str) -> Value {
        json!({"type": "rpm", "name": "bash", "version": "5.2", "release": "1", "arch": "x86_64", "sigmd5": sigmd5})
    }

    fn verdict(components_: Value, rows: Value) -> Option<String> {
        let wanted: Vec<Component> = components(&metadata(components_)).expect("complete").into_iter().collect();
        judge(&wanted, &index(&rows))
    }

    fn row(payloadhash: &str, external: i64, draft: bool) -> Value {
        json!({"name": "bash", "version": "5.2", "release": "1", "arch": "x86_64", "payloadhash": payloadhash,
            "external_repo_id": external, "draft": draft})
    }

    #[test]
    fn only_imports_of_the_named_generators_with_image_data_are_container_imports() {
        let ours = ["atomic-reactor".to_owned()];
        assert!(is_container_import(&metadata(json!([])), &ours));
        assert!(!is_container_import(&metadata(json!([])), &["osbuild".to_owned()]));
        assert!(!is_container_import(&json!({"build": {"extra": {"typeinfo": {"maven": {}}}}}), &ours));
        assert!(!is_container_import(&json!(null), &ours));
    }

    #[test]
    fn equal_sigmd5_passes_and_duplicates_count_once() {
        assert_eq!(verdict(json!([bash("AB"), bash("ab")]), json!([row("ab", 0, false)])), None);
    }

    #[test]
    fn every_way_not_to_be_kojis_is_refused_with_its_reason() {
        let text = |rows| verdict(json!([bash("ab")]), rows).expect("refused");
        assert!(text(json!([])).contains("bash-5.2-1.x86_64 (not built here)"));
        assert!(text(json!([row("ab", 3, false)])).contains("external repository"));
        assert!(text(json!([row("cd", 0, false)])).contains("sigmd5 ab, Koji's is cd"));
        assert!(text(json!([row("ab", 0, true)])).contains("draft"));
        assert!(verdict(json!([bash("")]), json!([row("ab", 0, false)])).expect("refused").contains("no sigmd5"));
    }

    #[test]
    fn a_component_that_cannot_be_identified_is_refused() {
        let text = components(&metadata(json!([{"type": "rpm", "name": "bash"}]))).expect_err("refused");
        assert!(text.contains("without name, version, release or arch"), "{text}");
    }

    #[test]
    fn a_long_list_of_offenders_is_cut() {
        let many: Vec<Value> = (0..25)
            .map(|n| json!({"type": "rpm", "name": format!("p{n}"), "version": "1", "release": "1", "arch": "noarch", "sigmd5": "0"}))
            .collect();
        assert!(verdict(Value::Array(many), json!([])).expect("refused").contains("and 15 more"));
    }
}
