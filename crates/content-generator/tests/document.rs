//! The whole document as a snapshot, and the hub's checks against broken documents.

mod two_arches;

use build_model::{Arch, Blame, Diagnose};
use content_generator::{HubRules, ImportInput, LogFile, MetadataError, check, metadata};
use serde_json::{Value, json};
use two_arches::two_arches;

fn good() -> Value {
    metadata(&two_arches()).expect("metadata")
}

fn refused(change: impl FnOnce(&mut ImportInput)) -> MetadataError {
    let mut input = two_arches();
    change(&mut input);
    metadata(&input).expect_err("must be refused")
}

/// Changes a good document and returns what the check says.
fn broken(change: impl FnOnce(&mut Value)) -> String {
    let mut document = good();
    change(&mut document);
    check(&document, &HubRules::default()).expect_err("must be refused").to_string()
}

#[test]
fn the_document_of_a_two_arch_build() {
    insta::assert_json_snapshot!(good());
}

#[test]
fn a_build_from_scratch_without_reservation_names_no_parent_and_no_build() {
    let mut input = two_arches();
    input.image.parents.retain(|p| p.pull_spec == "scratch");
    input.image.parent_build_id = None;
    input.image.index = None;
    (input.build_id, input.task_id, input.owner, input.submitter, input.userdata) = (None, None, None, None, None);
    input.source = None;
    input.arches.truncate(1);
    let document = metadata(&input).expect("metadata");
    assert_eq!(document["build"]["extra"]["image"]["parent_images"], json!(["scratch"]));
    assert_eq!(document["build"]["extra"]["image"]["parent_image_builds"], json!({}));
    for pointer in
        ["/build/build_id", "/build/task_id", "/build/owner", "/build/extra/custom_user_metadata", "/build/extra/image/index"]
    {
        assert_eq!(document.pointer(pointer), None, "{pointer}");
    }
    assert_eq!(document.pointer("/build/source"), Some(&Value::Null), "the hub needs the key");
}

#[test]
fn control_characters_never_reach_the_hub() {
    let text = serde_json::to_string(&good()).expect("json");
    assert!(text.contains(r"PS1=\\u001b[1m\\u0000> "), "visible escapes");
    assert!(!text.contains(r#"PS1=\u001b"#));
}

#[test]
fn dashes_in_version_or_release_are_the_packagers_move() {
    let err = refused(|i| i.nvr.version = "1.2-beta".into());
    assert!(matches!(err, MetadataError::Nvr { field: "version", .. }));
    assert_eq!(err.blame(), Blame::Packager);
    assert!(err.hint().expect("a hint").contains("version"));
    assert!(matches!(refused(|i| i.nvr.release = "3-1".into()), MetadataError::Nvr { field: "release", .. }));
    assert!(matches!(refused(|i| i.nvr.name = "a/b".into()), MetadataError::Nvr { field: "name", .. }));
}

#[test]
fn inputs_the_hub_would_refuse_are_refused_first() {
    assert_eq!(refused(|i| i.arches.clear()), MetadataError::NoImages);
    assert!(matches!(refused(|i| i.arches.push(i.arches[0].clone())), MetadataError::DuplicateArch { .. }));
    let s390x = Arch::canonical("s390x").expect("an arch");
    assert!(matches!(
        refused(|i| i.logs.push(LogFile { file: two_arches::file("s390x.log", 1), arch: Some(s390x) })),
        MetadataError::UnknownArch { .. }
    ));
    assert!(matches!(refused(|i| i.logs.push(i.logs[0].clone())), MetadataError::DuplicateFile { .. }));
    assert!(matches!(refused(|i| i.arches[0].archive.name = "image.tar.zst".into()), MetadataError::UnknownExtension { .. }));
    assert!(matches!(refused(|i| i.files[0].file.name = "../x.json".into()), MetadataError::FileName { .. }));
    assert!(matches!(
        refused(|i| i.arches[1].components.push(two_arches::rpm("gpg-pubkey-1-2.(none)", None))),
        MetadataError::GpgPubkey { .. }
    ));
    assert!(matches!(
        refused(|i| {
            i.extra.insert("image".into(), json!({}));
        }),
        MetadataError::ReservedExtraKey { .. }
    ));
    assert!(matches!(refused(|i| i.generator.version = " ".into()), MetadataError::Generator { field: "version" }));
    let doubled = refused(|i| {
        let tool = i.arches[0].tools[0].clone();
        i.arches[0].tools.push(tool);
    });
    assert!(doubled.to_string().contains("listed twice"), "{doubled}");
}

#[test]
fn a_site_extension_is_accepted_once_it_is_configured() {
    let mut input = two_arches();
    input.arches[0].archive.name = "image.tar.zst".into();
    input.site_extensions.push("tar.zst".into());
    assert!(metadata(&input).is_ok());
}

#[test]
fn each_rule_of_the_importer_is_noticed() {
    for (expected, change) in [
        ("only version 0", (|d: &mut Value| d["metadata_version"] = json!(1)) as fn(&mut Value)),
        ("`source` is missing", |d| {
            d["build"].as_object_mut().expect("build").remove("source");
        }),
        ("differs from container_koji_task_id", |d| d["build"]["task_id"] = json!(1)),
        ("duplicate typeinfo for `image`", |d| d["build"]["extra"]["typeinfo"]["image"] = json!({})),
        ("not listed in the build's types", |d| {
            d["build"]["extra"].as_object_mut().expect("extra").remove("typeinfo");
        }),
        ("a user name is expected", |d| d["build"]["owner"] = json!(5)),
        ("there must be one", |d| d["buildroots"] = json!([])),
        ("not used in output", |d| d["buildroots"][1]["id"] = json!("ppc64le-1")),
        ("duplicate buildroot id", |d| d["buildroots"][1]["id"] = d["buildroots"][0]["id"].clone()),
        ("only one content generator", |d| d["buildroots"][1]["content_generator"]["name"] = json!("other")),
        ("`container` is missing", |d| {
            d["buildroots"][0].as_object_mut().expect("buildroot").remove("container");
        }),
        ("missing buildroot metadata", |d| d["output"][4]["buildroot_id"] = json!("nowhere")),
        ("unsupported checksum type", |d| d["output"][0]["checksum_type"] = json!("sha1")),
        ("no build type", |d| d["output"][0]["extra"] = json!({})),
        ("several build types", |d| d["output"][0]["extra"]["typeinfo"] = json!({"icm": {}})),
        ("`arch` is missing", |d| d["output"][0]["extra"]["image"] = json!({})),
        ("subdir is not allowed", |d| d["output"][0]["subdir"] = json!("x")),
        ("external rpms", |d| d["output"][0]["components"][0]["location"] = json!("x")),
        ("unexpected `id`", |d| d["output"][0]["components"][0]["id"] = json!(5)),
        ("`sigmd5` must be a text", |d| d["output"][0]["components"][0]["sigmd5"] = Value::Null),
        ("rpm is listed twice", |d| d["output"][0]["components"][1] = d["output"][0]["components"][0].clone()),
        ("epoch must be", |d| d["output"][0]["components"][0]["epoch"] = json!("(none)")),
        ("no such component type", |d| d["output"][0]["components"][0]["type"] = json!("deb")),
        ("no archive type", |d| d["output"][0]["filename"] = json!("image.tar.zst")),
        ("two outputs are named", |d| d["output"][0]["filename"] = d["output"][1]["filename"].clone()),
    ] {
        let said = broken(change);
        assert!(said.contains(expected), "expected `{expected}`, got `{said}`");
    }
}

#[test]
fn a_document_of_the_wrong_shape_is_an_error_and_no_panic() {
    for document in [
        json!(null),
        json!([]),
        json!({}),
        json!({"metadata_version": 0, "build": 1}),
        json!({"metadata_version": 0, "build": {}}),
    ] {
        assert!(check(&document, &HubRules::default()).is_err());
    }
}
