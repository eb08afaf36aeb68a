//! Assembles the metadata document (content generator metadata version 0; keys as atomic-reactor wrote them).
//! Called by the worker's import step, after the pushes and before the upload of `metadata.json`.

use std::collections::BTreeSet;

use build_model::Arch;
use serde_json::{Map, Value, json};

use crate::component::components_json;
use crate::input::{ArchOutput, ExtraFile, ImageIndex, ImageInfo, ImportInput, LogFile};
use crate::printable::printable_value;
use crate::{HubRules, MetadataError, OutputFile, check};

/// Keys of `build.extra` this module writes, or that the hub reads as a build type.
const RESERVED: [&str; 9] = [
    "image",
    "osbs_build",
    "submitter",
    "container_koji_task_id",
    "filesystem_koji_task_id",
    "custom_user_metadata",
    "typeinfo",
    "maven",
    "win",
];

/// The metadata of an import, ready to be written as `metadata.json`.
///
/// # Errors
/// When something in `input` would make the hub refuse the import or record it wrongly; nothing else can fail.
pub fn metadata(input: &ImportInput) -> Result<Value, MetadataError> {
    check_nvr(input)?;
    check_generator(input)?;
    check_arches(input)?;
    let document = json!({
        "metadata_version": 0,
        "build": build(input)?,
        "buildroots": input.arches.iter().map(|a| buildroot(input, a)).collect::<Result<Vec<_>, _>>()?,
        "output": outputs(input)?,
    });
    let document = printable_value(document);
    check(&document, &HubRules { site_extensions: &input.site_extensions })?;
    Ok(document)
}

fn check_nvr(input: &ImportInput) -> Result<(), MetadataError> {
    let nvr = &input.nvr;
    for (field, value) in [("name", &nvr.name), ("version", &nvr.version), ("release", &nvr.release)] {
        let reason = if value.is_empty() {
            "it is empty"
        } else if field != "name" && value.contains('-') {
            "a dash is not allowed"
        } else if value.chars().any(|c| c == '/' || c.is_control() || c.is_whitespace()) {
            "slashes, blanks and control characters are not allowed"
        } else {
            continue;
        };
        return Err(MetadataError::Nvr { field, value: value.clone(), reason });
    }
    Ok(())
}

fn check_generator(input: &ImportInput) -> Result<(), MetadataError> {
    for (field, value) in [("name", &input.generator.name), ("version", &input.generator.version)] {
        if value.trim().is_empty() {
            return Err(MetadataError::Generator { field });
        }
    }
    Ok(())
}

fn check_arches(input: &ImportInput) -> Result<(), MetadataError> {
    if input.arches.is_empty() {
        return Err(MetadataError::NoImages);
    }
    let mut arches = BTreeSet::new();
    for output in &input.arches {
        if !arches.insert(&output.arch) {
            return Err(MetadataError::DuplicateArch { arch: output.arch.clone() });
        }
    }
    let logs = input.logs.iter().map(|l| (&l.file, &l.arch));
    let files = input.files.iter().map(|f| (&f.file, &f.arch));
    for (file, arch) in logs.chain(files) {
        if let Some(arch) = arch.as_ref().filter(|a| !arches.contains(a)) {
            return Err(MetadataError::UnknownArch { file: file.name.clone(), arch: arch.clone() });
        }
    }
    Ok(())
}

fn build(input: &ImportInput) -> Result<Value, MetadataError> {
    let mut build = json!({
        "name": input.nvr.name,
        "version": input.nvr.version,
        "release": input.nvr.release,
        // The key is required even when there is nothing to say.
        "source": input.source,
        "start_time": input.start_time,
        "end_time": input.end_time,
        "extra": extra(input)?,
    });
    if let Some(map) = build.as_object_mut() {
        insert_some(map, "owner", &input.owner);
        insert_some(map, "build_id", &input.build_id);
        insert_some(map, "task_id", &input.task_id);
    }
    Ok(build)
}

fn extra(input: &ImportInput) -> Result<Value, MetadataError> {
    if let Some(key) = input.extra.keys().find(|k| RESERVED.contains(&k.as_str())) {
        return Err(MetadataError::ReservedExtraKey { key: key.clone() });
    }
    let mut extra = input.extra.clone();
    extra.insert("image".to_owned(), image(&input.image));
    extra.insert(
        "osbs_build".to_owned(),
        json!({"kind": input.osbs_build.kind, "subtypes": input.osbs_build.subtypes, "engine": input.osbs_build.engine}),
    );
    insert_some(&mut extra, "submitter", &input.submitter);
    insert_some(&mut extra, "container_koji_task_id", &input.task_id);
    if let Some(userdata) = input.userdata.as_ref().filter(|u| !u.is_empty()) {
        extra.insert("custom_user_metadata".to_owned(), Value::Object(userdata.clone()));
    }
    // `image` must not appear here: the hub copies `extra.image` and refuses a second one ("Duplicate typeinfo").
    let types: BTreeSet<&str> = input.files.iter().map(|f| f.btype.as_str()).filter(|t| *t != "image").collect();
    if !types.is_empty() {
        let typeinfo: Map<String, Value> = types.into_iter().map(|t| (t.to_owned(), json!({}))).collect();
        extra.insert("typeinfo".to_owned(), Value::Object(typeinfo));
    }
    Ok(Value::Object(extra))
}

fn image(image: &ImageInfo) -> Value {
    // A parent that is named twice in the Dockerfile is one key here, and null when it is no Koji build.
    let builds: Map<String, Value> = image
        .parents
        .iter()
        .filter(|p| p.pull_spec != "scratch")
        .map(|p| {
            let build = p.build.as_ref().map(|b| json!({"id": b.id, "nvr": b.nvr.to_string()}));
            (p.pull_spec.clone(), build.unwrap_or(Value::Null))
        })
        .collect();
    let mut value = json!({
        "isolated": image.isolated,
        "parent_images": image.parents.iter().map(|p| &p.pull_spec).collect::<Vec<_>>(),
        "parent_image_builds": builds,
        "yum_repourls": image.yum_repourls,
        "media_types": image.media_types,
    });
    if let Some(map) = value.as_object_mut() {
        insert_some(map, "parent_build_id", &image.parent_build_id);
        insert_some(map, "help", &image.help);
        insert_some(map, "sources_for_nvr", &image.sources_for_nvr.as_ref().map(ToString::to_string));
        if let Some(index) = &image.index {
            map.insert("index".to_owned(), index_json(index));
        }
    }
    value
}

fn index_json(index: &ImageIndex) -> Value {
    json!({
        "tags": index.tags,
        "floating_tags": index.floating_tags,
        "unique_tags": index.unique_tags,
        "pull": index.pull,
        "digests": index.digests,
    })
}

/// One buildroot per architecture; all carry the same content generator, as the hub demands.
fn buildroot(input: &ImportInput, output: &ArchOutput) -> Result<Value, MetadataError> {
    let id = buildroot_id(&output.arch);
    Ok(json!({
        "id": id,
        "host": {"os": output.host.os, "arch": output.host.arch},
        "content_generator": {"name": input.generator.name, "version": input.generator.version},
        "container": {"type": "none", "arch": output.arch},
        "tools": output.tools.iter().map(|t| json!({"name": t.name, "version": t.version})).collect::<Vec<_>>(),
        "components": components_json(&format!("buildroot {id}"), &output.host_components)?,
    }))
}

fn buildroot_id(arch: &Arch) -> String {
    format!("{arch}-1")
}

fn outputs(input: &ImportInput) -> Result<Vec<Value>, MetadataError> {
    let first = input.arches.first().ok_or(MetadataError::NoImages)?;
    let mut outputs = Vec::new();
    for output in &input.arches {
        outputs.push(image_output(output)?);
    }
    for file in &input.files {
        outputs.push(file_output(file, &first.arch)?);
    }
    for log in &input.logs {
        outputs.push(log_output(log, &first.arch)?);
    }
    Ok(outputs)
}

fn image_output(output: &ArchOutput) -> Result<Value, MetadataError> {
    let docker = &output.docker;
    let mut config = docker.config.clone();
    if let Some(map) = config.as_object_mut() {
        map.remove("container_config");
    }
    let mut docker_json = json!({
        "id": docker.id,
        "layer_sizes": docker.layer_sizes,
        "repositories": docker.repositories,
        "tags": docker.tags,
        "digests": docker.digests,
        "config": config,
    });
    if let Some(map) = docker_json.as_object_mut() {
        insert_some(map, "parent_id", &docker.parent_id);
    }
    let mut entry = entry(&output.archive, "docker-image", &output.arch, output.arch.as_str())?;
    entry.insert("components".to_owned(), components_json(output.arch.as_str(), &output.components)?.into());
    entry.insert("extra".to_owned(), json!({"image": {"arch": output.arch}, "docker": docker_json}));
    Ok(Value::Object(entry))
}

fn file_output(file: &ExtraFile, fallback: &Arch) -> Result<Value, MetadataError> {
    let buildroot = file.arch.as_ref().unwrap_or(fallback);
    let arch = file.arch.as_ref().map_or("noarch", Arch::as_str);
    let mut entry = entry(&file.file, &file.btype, buildroot, arch)?;
    let mut info = file.type_info.clone();
    let extra = if file.btype == "image" {
        // The hub's image_archives row needs the architecture.
        info.insert("arch".to_owned(), arch.into());
        json!({"image": info})
    } else {
        json!({"typeinfo": {file.btype.as_str(): info}})
    };
    entry.insert("extra".to_owned(), extra);
    Ok(Value::Object(entry))
}

fn log_output(log: &LogFile, fallback: &Arch) -> Result<Value, MetadataError> {
    let buildroot = log.arch.as_ref().unwrap_or(fallback);
    let arch = log.arch.as_ref().map_or("noarch", Arch::as_str);
    Ok(Value::Object(entry(&log.file, "log", buildroot, arch)?))
}

fn entry(file: &OutputFile, kind: &str, buildroot: &Arch, arch: &str) -> Result<Map<String, Value>, MetadataError> {
    file.check()?;
    let mut map = Map::new();
    map.insert("buildroot_id".to_owned(), buildroot_id(buildroot).into());
    map.insert("filename".to_owned(), file.name.as_str().into());
    insert_some(&mut map, "relpath", &file.dir);
    map.insert("filesize".to_owned(), file.size.into());
    map.insert("checksum_type".to_owned(), file.checksum.kind().into());
    map.insert("checksum".to_owned(), file.checksum.hex().into());
    map.insert("type".to_owned(), kind.into());
    map.insert("arch".to_owned(), arch.into());
    Ok(map)
}

/// Optional keys are left out rather than null: the hub looks with `in` as often as with `get`.
fn insert_some<T: serde::Serialize>(map: &mut Map<String, Value>, key: &str, value: &Option<T>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), json!(value));
    }
}
