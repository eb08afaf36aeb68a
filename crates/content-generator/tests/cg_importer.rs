//! The document before the real judge: Koji's own `CG_Importer`, with its database calls replaced
//! (tests/cg_importer.py). Needs a directory with Koji's source, named by `KOJI_SRC`, hence ignored by default:
//! `KOJI_SRC=… cargo test -p content-generator -- --ignored`.

mod two_arches;

use std::process::Command;

use content_generator::metadata;
use serde_json::{Value, json};
use two_arches::two_arches;

/// Runs the hub's preparation steps; returns what they say.
fn judge(document: &Value) -> Value {
    let source = std::env::var("KOJI_SRC").expect("KOJI_SRC names a directory with Koji's source");
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("metadata.json"), document.to_string()).expect("write");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cg_importer.py");
    let out = Command::new("/usr/bin/python3").arg(script).arg(&source).arg(dir.path()).output().expect("python3");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("the script prints JSON")
}

#[test]
#[ignore = "needs KOJI_SRC"]
fn kojis_importer_accepts_the_document_and_reads_it_as_meant() {
    let verdict = judge(&metadata(&two_arches()).expect("metadata"));
    assert_eq!(verdict["error"], Value::Null, "{verdict}");
    assert_eq!(verdict["build"]["task_id"], json!(4711));
    assert_eq!(verdict["build"]["build_id"], json!(77));
    assert_eq!(verdict["types"], json!(["icm", "image"]));
    let outputs = verdict["outputs"].as_array().expect("outputs");
    let archives: Vec<_> = outputs.iter().filter(|o| !o["btype"].is_null()).collect();
    assert_eq!(archives.len(), 4);
    assert_eq!(
        (&archives[0]["btype"], &archives[0]["arch"], &archives[0]["rpms"]),
        (&json!("image"), &json!("x86_64"), &json!(3))
    );
    assert_eq!(archives[0]["archive_type"], json!("tar"));
    assert_eq!(verdict["log"], json!([]), "no component was ignored");
}

#[test]
#[ignore = "needs KOJI_SRC"]
fn kojis_importer_refuses_what_our_check_refuses() {
    let good = metadata(&two_arches()).expect("metadata");
    for (says, change) in [
        ("not used in output", (|d: &mut Value| d["buildroots"][1]["id"] = json!("ppc64le-1")) as fn(&mut Value)),
        ("Duplicate typeinfo", |d| d["build"]["extra"]["typeinfo"]["image"] = json!({})),
        ("non-matching task_id", |d| d["build"]["task_id"] = json!(1)),
        ("not allowed in version", |d| d["build"]["version"] = json!("1-2")),
        ("unsupported file extension", |d| d["output"][0]["filename"] = json!("image.tar.zst")),
        ("multiple types", |d| d["output"][0]["extra"]["typeinfo"] = json!({"icm": {}})),
        ("No typeinfo", |d| d["output"][0]["extra"] = json!({})),
        ("External rpms", |d| d["output"][0]["components"][0]["location"] = json!("x")),
        ("Unexpected 'id'", |d| d["output"][0]["components"][0]["id"] = json!(5)),
        ("sigmd5", |d| {
            d["output"][0]["components"][0].as_object_mut().expect("rpm").remove("sigmd5");
        }),
        ("duplicate key", |d| d["output"][0]["components"][1] = d["output"][0]["components"][0].clone()),
        ("duplicate key", |d| d["buildroots"][0]["tools"][1] = d["buildroots"][0]["tools"][0].clone()),
    ] {
        let mut document = good.clone();
        change(&mut document);
        assert!(content_generator::check(&document, &Default::default()).is_err(), "{says}");
        let verdict = judge(&document);
        let error = verdict["error"].as_str().unwrap_or_default();
        assert!(error.contains(says), "expected `{says}`, got `{error}`");
    }
}
