//! Parents of an imported image: each must be a complete build of this Koji.
//!
//! `extra.image` names them as atomic-reactor did: `parent_images` (pull specifications, `scratch` among them),
//! `parent_image_builds` (pull specification → {id, nvr}, null for an image that is no build) and `parent_build_id`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, Offence};

/// koji.BUILD_STATES
const COMPLETE: i64 = 1;
const STATES: [&str; 5] = ["still being built", "complete", "deleted", "failed", "cancelled"];
const HINT: &str = "use images in FROM and COPY --from that were built in this Koji";

/// A parent as the metadata names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClaimedParent {
    /// Pull specification, or `parent_build_id`.
    pub name: String,
    /// Build id; `None` for an image that is no build.
    pub id: Option<i64>,
    /// Name-version-release, where the metadata gives it.
    pub nvr: Option<String>,
}

/// A row of the table `build`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BuildRow {
    id: i64,
    name: String,
    version: String,
    release: String,
    state: i64,
}

/// Reads the parents. An import that does not say what it is made from is an offence: an image from nothing says so with
/// an empty list.
pub(super) fn read(extra: &Value, offences: &mut Vec<Offence>) -> Vec<ClaimedParent> {
    let empty = Value::Null;
    let typed = extra.get("typeinfo").and_then(|t| t.get("image"));
    let image = extra.get("image").or(typed).unwrap_or(&empty);
    let Some(names) = image.get("parent_images").and_then(Value::as_array) else {
        let text = "extra.image.parent_images is missing, so nothing says what it is made from";
        offences.push(Offence::new(Check::Parents, text, "an image without parents has an empty list there"));
        return Vec::new();
    };
    let builds = image.get("parent_image_builds").and_then(Value::as_object);
    let mut parents: BTreeMap<String, ClaimedParent> = BTreeMap::new();
    let mut add = |name: &str, build: Option<&Value>| {
        let id = build.and_then(|b| b.get("id")).and_then(Value::as_i64);
        let nvr = build.and_then(|b| b.get("nvr")).and_then(Value::as_str).map(str::to_owned);
        parents.insert(name.to_owned(), ClaimedParent { name: name.to_owned(), id, nvr });
    };
    // `koji/image-build` is atomic-reactor's word for a root that Koji itself has made.
    let counts = |name: &&str| *name != "scratch" && !name.starts_with("koji/image-build");
    for name in names.iter().filter_map(Value::as_str).filter(counts) {
        add(name, builds.and_then(|b| b.get(name)));
    }
    for (name, build) in builds.into_iter().flatten().filter(|(name, _)| counts(&name.as_str())) {
        add(name, Some(build));
    }
    if let Some(id) = image.get("parent_build_id").filter(|id| !id.is_null()) {
        add("parent_build_id", Some(&serde_json::json!({ "id": id })));
    }
    parents.into_values().collect()
}

/// What is wrong with the parents, one offence for all of them.
pub(super) fn offences(parents: &[ClaimedParent], rows: &[BuildRow]) -> Option<Offence> {
    let rows: BTreeMap<i64, &BuildRow> = rows.iter().map(|row| (row.id, row)).collect();
    let found: Vec<String> = parents.iter().filter_map(|p| wrong(p, &rows).map(|why| format!("{} ({why})", p.name))).collect();
    (!found.is_empty()).then(|| {
        let text = format!(
            "{} of its {} parents are not complete builds of this Koji: {}",
            found.len(),
            parents.len(),
            found.join(", ")
        );
        Offence::new(Check::Parents, text, HINT)
    })
}

fn wrong(parent: &ClaimedParent, rows: &BTreeMap<i64, &BuildRow>) -> Option<String> {
    let Some(id) = parent.id else { return Some("no build is named for it".to_owned()) };
    let Some(row) = rows.get(&id) else { return Some(format!("there is no build {id}")) };
    let nvr = format!("{}-{}-{}", row.name, row.version, row.release);
    if parent.nvr.as_ref().is_some_and(|claimed| *claimed != nvr) {
        let claimed = parent.nvr.as_deref().unwrap_or_default();
        return Some(format!("build {id} is {nvr}, not {claimed}"));
    }
    if row.state != COMPLETE {
        let state = usize::try_from(row.state).ok().and_then(|n| STATES.get(n)).copied().unwrap_or("in an unknown state");
        return Some(format!("build {nvr} is {state}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(image: Value, rows: Value) -> Option<String> {
        let mut seen = Vec::new();
        let parents = read(&json!({ "image": image }), &mut seen);
        let rows: Vec<BuildRow> = serde_json::from_value(rows).expect("rows");
        seen.extend(offences(&parents, &rows));
        seen.first().map(|offence| offence.text.clone())
    }

    fn row(state: i64) -> Value {
        json!([{"id": 3, "name": "base", "version": "40", "release": "1", "state": state}])
    }

    fn image(build: Value) -> Value {
        json!({"parent_images": ["r/base:40", "scratch"], "parent_image_builds": {"r/base:40": build}})
    }

    #[test]
    fn complete_builds_pass_and_an_image_from_nothing_has_none() {
        assert_eq!(text(image(json!({"id": 3, "nvr": "base-40-1"})), row(1)), None);
        assert_eq!(text(json!({"parent_images": []}), json!([])), None);
        assert_eq!(text(json!({"parent_images": ["scratch"], "parent_build_id": null}), json!([])), None);
    }

    #[test]
    fn each_way_not_to_be_a_parent_has_its_reason() {
        let why = |build: Value, rows: Value| text(image(build), rows).expect("an offence");
        assert!(why(json!(null), row(1)).contains("r/base:40 (no build is named for it)"));
        assert!(why(json!({"id": 4, "nvr": "base-40-1"}), row(1)).contains("there is no build 4"));
        assert!(why(json!({"id": 3, "nvr": "base-39-9"}), row(1)).contains("build 3 is base-40-1, not base-39-9"));
        assert!(why(json!({"id": 3, "nvr": "base-40-1"}), row(2)).contains("build base-40-1 is deleted"));
        assert!(why(json!({"id": "3"}), row(1)).contains("no build is named"));
    }

    #[test]
    fn a_list_that_is_left_out_does_not_hide_a_parent() {
        assert!(text(json!({}), json!([])).expect("missing").contains("parent_images is missing"));
        assert!(text(json!({"parent_images": ["r/x:1"]}), json!([])).expect("unnamed").contains("r/x:1"));
        let only_build = json!({"parent_images": [], "parent_image_builds": {"r/x:1": null}});
        assert!(text(only_build, json!([])).expect("unlisted").contains("r/x:1"));
        assert!(text(json!({"parent_images": [], "parent_build_id": 9}), json!([])).expect("id").contains("there is no build 9"));
    }
}
