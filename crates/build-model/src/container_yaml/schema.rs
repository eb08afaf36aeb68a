//! The published JSON Schema of `container.yaml` (docs/container-yaml.schema.json), from the table of keys.
//! For editors and for checks before a push; the service itself uses the table, whose messages are better.

use serde_json::{Map, Value, json};

use super::keys::{Fate, Key, Shape, TOP};

/// The schema, draft 2020-12.
pub fn container_yaml_schema() -> Value {
    let mut schema = table(TOP, json!(["object", "null"]));
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        map.insert("title".into(), "container.yaml of a layered image build".into());
        map.insert(
            "description".into(),
            "Read from the directory of the Dockerfile. Generated; see docs/CONTAINER-YAML.md.".into(),
        );
    }
    schema
}

fn table(keys: &[Key], kind: Value) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|k| (k.name.to_owned(), property(k))).collect();
    json!({"type": kind, "properties": properties, "additionalProperties": false})
}

fn property(key: &Key) -> Value {
    let (mut schema, description) = match key.fate {
        Fate::Kept => (value(&key.shape), key.about.to_owned()),
        Fate::Noted(reason) => (value(&key.shape), format!("{} Changes nothing: {reason}.", key.about)),
        Fate::Ignored(reason) => (json!({"deprecated": true}), format!("{} Ignored: {reason}.", key.about)),
        // What says nothing is let through, as the service does.
        Fate::Refused(reason) => {
            (json!({"enum": [null, false, "", [], {}], "deprecated": true}), format!("{} Not supported: {reason}.", key.about))
        }
    };
    if let Value::Object(map) = &mut schema {
        map.insert("description".into(), description.into());
    }
    schema
}

fn value(shape: &Shape) -> Value {
    let arch = json!({"type": "string", "pattern": "^[A-Za-z0-9_]{1,16}$"});
    match shape {
        Shape::Text => json!({"type": ["string", "null"]}),
        Shape::Texts => json!({"type": ["array", "null"], "items": {"type": "string"}}),
        Shape::EnvName => json!({"type": ["string", "null"], "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"}),
        Shape::Tags => {
            json!({"type": ["array", "null"], "items": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"}})
        }
        Shape::Arches => json!({"anyOf": [arch, {"type": "array", "items": arch}, {"type": "null"}]}),
        Shape::Flag => json!({"type": ["boolean", "null"]}),
        Shape::Whole(least) => json!({"type": ["integer", "null"], "minimum": least}),
        Shape::Table(keys) => table(keys, json!(["object", "null"])),
        Shape::Anything => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with `WRITE_SCHEMA=1` after a change of the table.
    #[test]
    fn the_published_schema_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/container-yaml.schema.json");
        let current = format!("{:#}\n", container_yaml_schema());
        if std::env::var_os("WRITE_SCHEMA").is_some() {
            std::fs::write(path, &current).expect("written");
        }
        let published = std::fs::read_to_string(path).expect("docs/container-yaml.schema.json");
        assert!(published == current, "docs/container-yaml.schema.json is not current: run this test with WRITE_SCHEMA=1");
    }

    /// The words of the document are for people, but no key may be missing from it.
    #[test]
    fn the_document_names_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONTAINER-YAML.md");
        let text = std::fs::read_to_string(path).expect("docs/CONTAINER-YAML.md");
        let names = TOP.iter().flat_map(|key| match key.shape {
            Shape::Table(keys) => keys.iter().map(|inner| format!("`{}.{}`", key.name, inner.name)).collect(),
            _ => vec![format!("`{}`", key.name)],
        });
        let missing: Vec<String> = names.filter(|name| !text.contains(name)).collect();
        assert!(missing.is_empty(), "docs/CONTAINER-YAML.md does not name {missing:?}");
    }
}
