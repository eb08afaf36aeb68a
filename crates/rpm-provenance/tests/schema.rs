//! docs/provenance.schema.json describes every key that is written, with its type; the end-to-end suite validates real
//! reports with a full validator.

#![allow(clippy::unwrap_used)]

use rpm_provenance::files::{Class, Code, Decision, FilePolicy, Privilege, Record};
use rpm_provenance::policy::{Policy, SizeLimit};
use rpm_provenance::report::{Difference, FilesSection, LabelChange, PackageChange, ParentBuild, ParentImage, Provenance};
use serde_json::{Value, json};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/provenance.schema.json")).unwrap()
}

/// Keys of `value` that `schema` does not describe, and values of another type than it says.
fn strangers(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is not defined"));
        return strangers(root, target, value, path, found);
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let fits = |choice: &Value| {
            let mut inner = Vec::new();
            strangers(root, choice, value, path, &mut inner);
            inner.is_empty()
        };
        if !choices.iter().any(fits) {
            found.push(format!("{path} fits none of its forms"));
        }
        return;
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !types.is_empty() && !types.contains(&kind) {
        found.push(format!("{path} is {kind}, not {types:?}"));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|words| !words.contains(value)) {
        found.push(format!("{path} is {value}, which is not among its words"));
    }
    match value {
        Value::Object(map) => {
            for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                if !map.contains_key(key) {
                    found.push(format!("{path} lacks {key}"));
                }
            }
            for (key, inner) in map {
                let described = schema.get("properties").and_then(|p| p.get(key)).or_else(|| schema.get("additionalProperties"));
                match described {
                    Some(described) => strangers(root, described, inner, &format!("{path}.{key}"), found),
                    None => found.push(format!("{path}.{key} is not described")),
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                strangers(root, &schema["items"], item, &format!("{path}[{at}]"), found);
            }
        }
        _ => {}
    }
}

/// A document in which everything is there.
fn full() -> Provenance {
    let record = Record {
        path: "/opt/tool".into(),
        class: Class::Unexplained,
        code: Code::Binary,
        runs: Some("the loader".into()),
        size: 3,
        kind: "file".into(),
        layer: Some(0),
        owner: None,
        differs: vec!["content".into()],
        source: None,
        sha256: Some("00".into()),
    };
    let privilege = Privilege { path: "/opt/tool".into(), gained: vec!["setuid".into()], owner: None };
    let mut document: Provenance = serde_json::from_value(json!({
        "schema_version": 1, "image": "web-1-2", "arch": "x86_64", "target": "t", "source": "git+https://x#c",
        "manifest_digest": format!("sha256:{}", "0".repeat(64)), "size": 5 << 20, "labels": {"name": "web"},
        "packages": [{
            "nvra": "a-1-1.noarch", "epoch": 1, "sigmd5": "00", "sha256header": "00", "source_rpm": "a-1-1.src.rpm", "vendor": null,
            "size": 1, "build_time": 2, "signing_key": "0011223344556677", "verdict": "proven", "by": "header-digest",
            "origin": "gate", "released_as": "http://x", "koji": {"rpm_id": 1, "build_id": 2, "build_nvr": "a-1-1"},
            "content_source": "build", "tags": {"now": ["f40"], "before": []}, "koji_keys": ["44556677"],
            "why": {"reason": "requested", "instruction": "RUN dnf", "by": [], "capability": null}
        }],
        "public_keys": ["gpg-pubkey-1-1"], "new_public_keys": ["gpg-pubkey-1-1"], "removed": ["b-1-1.noarch"],
        "problems": [{"subject": "c-1-1.noarch", "rule": "draft", "evidence": "e", "remedy": "r"}],
        "sources": [{"name": "s", "base_url": "http://x", "repomd_sha256": "00", "packages": 1, "unusable": 0}],
        "requests": [{
            "at": 1, "method": "GET", "url": "http://x", "source": "s", "rule": "koji-rpm", "released": true, "evidence": "e",
            "nvra": "a-1-1.noarch", "checksum": "sha256:00", "sha256header": "00", "requests": 1, "remedy": null
        }],
        "tag_parents": {"f40-updates": ["f40"]}, "not_told": ["something"]
    }))
    .unwrap();
    document.parents = vec![ParentImage {
        reference: "r/base:1".into(),
        pinned: Some("r/base@sha256:0".into()),
        build: Some(ParentBuild { id: 3, nvr: "base-1-1".into() }),
        foreign: Some("why".into()),
        base: true,
    }];
    document.files = Some(FilesSection::of_records(vec![record], vec![privilege]));
    document.previous = Some(Difference {
        nvr: "web-1-1".into(),
        unavailable: Some("why".into()),
        size: Some(1),
        packages: vec![PackageChange {
            name: "a".into(),
            arch: "noarch".into(),
            after: Some("1-1".into()),
            ..PackageChange::default()
        }],
        labels: vec![LabelChange { label: "l".into(), before: None, after: Some("v".into()) }],
        ..Difference::default()
    });
    let size = SizeLimit {
        name: "small".into(),
        decision: Decision::Warn,
        reason: "r".into(),
        remedy: None,
        targets: Vec::new(),
        max_mb: Some(1),
        max_growth_mb: None,
    };
    let policy = Policy {
        signing_keys: &[],
        content_tags: &[],
        parent_images: &[],
        registries: &[],
        repositories: &[],
        labels: &[],
        packages: &[],
        same_versions: &[],
        size: &[size],
        files: &FilePolicy::default(),
    };
    document.set_policy(policy.judge(&document, "2030-01-01"));
    document
}

#[test]
fn every_key_that_is_written_is_described_with_its_type() {
    let (schema, document) = (schema(), full().to_json());
    let mut found = Vec::new();
    strangers(&schema, &schema, &document, "report", &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_key_that_is_described_is_written() {
    let (schema, document) = (schema(), full().to_json());
    let written: Vec<&String> = document.as_object().unwrap().keys().collect();
    let unwritten: Vec<&String> = schema["properties"].as_object().unwrap().keys().filter(|key| !written.contains(key)).collect();
    assert!(unwritten.is_empty(), "{unwritten:?}");
}

#[test]
fn a_report_is_read_back_as_it_was_written() {
    let document = full();
    assert_eq!(serde_json::from_value::<Provenance>(document.to_json()).unwrap(), document);
}
