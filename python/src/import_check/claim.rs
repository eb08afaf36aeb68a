//! What an import's metadata claims: its RPMs, parents and task, and what is wrong with it before the hub is asked.
//!
//! Everything comes from whoever imports, so every part may be missing or of another type.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::parents::ClaimedParent;
use super::rpms::Component;
use super::{Check, Offence, parents};

/// Method of tasks that build images of source packages; only they may have none in their component list.
pub(super) const SOURCE_METHOD: &str = "buildSourceContainer";

/// The claim, in the form that crosses to Python and back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claim {
    /// Name-version-release, for messages.
    pub nvr: String,
    /// Every RPM of every output, once.
    pub components: BTreeSet<Component>,
    /// The images this one is made from.
    pub parents: Vec<ClaimedParent>,
    /// Builds to look up, for the plugin.
    pub parent_ids: BTreeSet<i64>,
    /// The task that built it.
    pub task_id: Option<i64>,
    /// The user the build will belong to; the importer when absent.
    pub owner: Option<String>,
    /// Images without a single RPM.
    pub bare_images: Vec<String>,
    /// What the metadata itself gives away.
    pub offences: Vec<Offence>,
}

/// Whether an import is one of these content generators'. The hub refuses several in one import.
pub(super) fn is_of(metadata: &Value, generators: &[String]) -> bool {
    let named = |root: &Value| root.get("content_generator")?.get("name")?.as_str().map(str::to_owned);
    let roots = metadata.get("buildroots").and_then(Value::as_array).into_iter().flatten();
    roots.filter_map(named).any(|name| generators.contains(&name))
}

impl Claim {
    /// Reads metadata version 0.
    pub fn read(metadata: &Value) -> Self {
        let empty = Value::Null;
        let build = metadata.get("build").unwrap_or(&empty);
        let extra = build.get("extra").unwrap_or(&empty);
        let part = |key: &str| build.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        let mut claim = Claim {
            nvr: format!("{}-{}-{}", part("name"), part("version"), part("release")),
            components: BTreeSet::new(),
            parents: Vec::new(),
            parent_ids: BTreeSet::new(),
            // The hub has checked that the two are equal where both are given.
            task_id: [extra.get("container_koji_task_id"), build.get("task_id")].into_iter().flatten().find_map(number),
            owner: build.get("owner").and_then(Value::as_str).map(str::to_owned),
            bare_images: Vec::new(),
            offences: Vec::new(),
        };
        claim.read_outputs(metadata);
        claim.parents = parents::read(extra, &mut claim.offences);
        claim.parent_ids = claim.parents.iter().filter_map(|parent| parent.id).collect();
        claim
    }

    fn read_outputs(&mut self, metadata: &Value) {
        let mut images = 0;
        for output in metadata.get("output").and_then(Value::as_array).into_iter().flatten() {
            let file = output.get("filename").and_then(Value::as_str).unwrap_or("an output without a name");
            if output.get("type").and_then(Value::as_str) == Some("rpm") {
                let text = format!("{file} is an RPM, which it would make one of this Koji's");
                self.offences.push(Offence::new(
                    Check::Components,
                    text,
                    "build RPMs as RPM builds; an image import holds images",
                ));
            }
            let listed = self.read_components(output, file);
            if is_image(output) {
                images += 1;
                if listed == 0 {
                    self.bare_images.push(file.to_owned());
                }
            }
        }
        if images == 0 {
            let text = "there is no image archive in it, so nothing says which RPMs it is made of";
            self.offences.push(Offence::new(
                Check::Components,
                text,
                "an import names each image as an output of the build type `image`",
            ));
        }
    }

    /// Reads the components of one output; how many RPMs it names.
    fn read_components(&mut self, output: &Value, file: &str) -> usize {
        let mut listed = 0;
        for entry in output.get("components").and_then(Value::as_array).into_iter().flatten() {
            if entry.get("type").and_then(Value::as_str) != Some("rpm") {
                continue;
            }
            match Component::read(entry) {
                Some(component) => {
                    listed += 1;
                    self.components.insert(component);
                }
                None => {
                    let text = format!("{file} has an RPM component without name, version, release or arch: {entry}");
                    self.offences.push(Offence::new(
                        Check::Components,
                        text,
                        "the content generator must name every RPM in full",
                    ));
                }
            }
        }
        listed
    }
}

/// Whether an output is a container image: by its type, by its build type, or because it carries a registry's data, so
/// that one cannot come in under the name of something else.
fn is_image(output: &Value) -> bool {
    let kind = output.get("type").and_then(Value::as_str).unwrap_or_default();
    let extra = output.get("extra");
    let has = |key: &str| extra.and_then(|e| e.get(key)).is_some();
    kind == "docker-image"
        || kind == "oci-image"
        || (kind != "log" && kind != "rpm" && (has("image") || has("docker")))
        || extra.and_then(|e| e.get("typeinfo")).and_then(|t| t.get("image")).is_some()
}

/// A number, also in the text form that Koji converts.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bash() -> Value {
        json!({"type": "rpm", "name": "bash", "version": "5.2", "release": "1", "arch": "x86_64", "sigmd5": "AB"})
    }

    fn claim(output: Value) -> Claim {
        Claim::read(&json!({"build": {"extra": {"image": {"parent_images": [], "parent_image_builds": {}}}}, "output": output}))
    }

    fn image(components: Value) -> Value {
        json!({"filename": "i.tar.gz", "type": "docker-image", "extra": {"image": {"arch": "x86_64"}}, "components": components})
    }

    #[test]
    fn only_imports_of_the_named_generators_are_looked_at() {
        let of = |name: &str| is_of(&json!({"buildroots": [{"content_generator": {"name": name}}]}), &["containerbuild".into()]);
        assert!(of("containerbuild"));
        assert!(!of("osbuild"));
        for odd in [json!(null), json!({"buildroots": 3}), json!({"buildroots": [{"content_generator": "containerbuild"}]})] {
            assert!(!is_of(&odd, &["containerbuild".into()]), "{odd}");
        }
    }

    #[test]
    fn components_of_all_outputs_count_once() {
        let found = claim(json!([image(json!([bash()])), image(json!([bash()])), {"filename": "x.log", "type": "log"}]));
        assert_eq!(found.components.len(), 1);
        assert!(found.offences.is_empty() && found.bare_images.is_empty(), "{found:?}");
    }

    #[test]
    fn a_component_that_cannot_be_identified_is_an_offence() {
        let found = claim(json!([image(json!([bash(), {"type": "rpm", "name": "bash"}]))]));
        assert!(found.offences[0].text.contains("i.tar.gz has an RPM component without name"), "{found:?}");
    }

    #[test]
    fn images_that_do_not_say_what_is_in_them_are_seen_whatever_they_are_called() {
        for odd in [
            image(json!([])),
            image(json!(null)),
            image(json!([{"type": "kojifile", "archive_id": 1}])),
            json!({"filename": "i.tar.gz", "type": "docker-image", "extra": {"typeinfo": {"remote-sources": {}}}, "metadata_only": true}),
            json!({"filename": "i.tar.gz", "type": "tar", "extra": {"typeinfo": {"image": {"arch": "x86_64"}}}}),
            json!({"filename": "i.tar.gz", "type": "zip", "extra": {"docker": {}, "typeinfo": {"icm": {}}}}),
        ] {
            let found = claim(json!([image(json!([bash()])), odd]));
            assert_eq!(found.bare_images, ["i.tar.gz"], "{odd}");
        }
    }

    #[test]
    fn an_import_without_an_image_or_with_rpms_of_its_own_is_an_offence() {
        let log = json!({"filename": "x.log", "type": "log", "extra": {"image": {}}});
        assert!(claim(json!([log])).offences[0].text.contains("no image archive"));
        assert!(Claim::read(&json!(null)).offences.iter().any(|o| o.text.contains("no image archive")));
        let rpm = json!({"filename": "evil-1-1.x86_64.rpm", "type": "rpm"});
        assert!(claim(json!([image(json!([bash()])), rpm])).offences[0].text.contains("evil-1-1.x86_64.rpm is an RPM"));
    }

    #[test]
    fn the_task_is_found_in_both_places_and_forms() {
        let task = |build: Value| Claim::read(&json!({"build": build})).task_id;
        assert_eq!(task(json!({"task_id": 7})), Some(7));
        assert_eq!(task(json!({"extra": {"container_koji_task_id": "8"}})), Some(8));
        assert_eq!(task(json!({"task_id": {}, "extra": null})), None);
    }
}
