//! The checks of the hub's `CG_Importer` (Koji 1.35) that need nothing but the document, in its order:
//! prep_build, prep_brs, prep_outputs. A document that passes can still be refused for what only the hub knows
//! (reservation, users, policy, uploaded files).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::MetadataError;
use crate::archive_types::has_known_extension;

/// What a particular hub knows beyond Koji's defaults.
#[derive(Debug, Clone, Copy, Default)]
pub struct HubRules<'a> {
    /// Archive extensions the site added.
    pub site_extensions: &'a [String],
}

const LEGACY_TYPES: [&str; 3] = ["maven", "win", "image"];

/// Checks a metadata document as far as that is possible without the hub's database.
///
/// # Errors
/// The first rule broken; [`MetadataError::Document`] with the place, [`MetadataError::UnknownExtension`],
/// [`MetadataError::DuplicateFile`] or [`MetadataError::Nvr`].
pub fn check(metadata: &Value, rules: &HubRules<'_>) -> Result<(), MetadataError> {
    let top = object(metadata, "metadata")?;
    if top.get("metadata_version").and_then(Value::as_i64) != Some(0) {
        return Err(broken("metadata_version", "only version 0 exists"));
    }
    let build = object(required(top, "", "build")?, "build")?;
    let types = check_build(build)?;
    let outputs = array(required(top, "", "output")?, "output")?;
    let buildroots = check_buildroots(array(required(top, "", "buildroots")?, "buildroots")?, outputs)?;
    check_outputs(outputs, &buildroots, &types, rules)
}

/// Returns the build types the document declares.
fn check_build(build: &Map<String, Value>) -> Result<BTreeSet<String>, MetadataError> {
    for key in ["name", "version", "release"] {
        text(build, "build", key)?;
    }
    for field in ["version", "release"] {
        let value = text(build, "build", field)?;
        if value.contains('-') {
            return Err(MetadataError::Nvr { field, value: value.to_owned(), reason: "a dash is not allowed" });
        }
    }
    required(build, "build", "source")?;
    for key in ["start_time", "end_time"] {
        if required(build, "build", key)?.as_f64().is_none() {
            return Err(broken(&format!("build.{key}"), "seconds since the epoch are needed"));
        }
    }
    if build.get("owner").is_some_and(|o| !o.is_string()) {
        return Err(broken("build.owner", "a user name is expected"));
    }
    let extra = object(required(build, "build", "extra")?, "build.extra")?;
    let task = build.get("task_id").map(|t| integer(t, "build.task_id")).transpose()?;
    let container_task =
        extra.get("container_koji_task_id").map(|t| integer(t, "build.extra.container_koji_task_id")).transpose()?;
    if let (Some(a), Some(b)) = (task, container_task)
        && a != b
    {
        return Err(broken("build.task_id", &format!("{a} differs from container_koji_task_id {b}")));
    }
    let mut types = BTreeSet::new();
    if let Some(typeinfo) = extra.get("typeinfo") {
        types.extend(object(typeinfo, "build.extra.typeinfo")?.keys().cloned());
    }
    for legacy in LEGACY_TYPES {
        if extra.contains_key(legacy) && !types.insert(legacy.to_owned()) {
            return Err(broken("build.extra.typeinfo", &format!("duplicate typeinfo for `{legacy}`")));
        }
    }
    Ok(types)
}

fn check_buildroots(buildroots: &[Value], outputs: &[Value]) -> Result<BTreeSet<String>, MetadataError> {
    if buildroots.is_empty() {
        return Err(broken("buildroots", "there must be one: it names the content generator"));
    }
    let used: BTreeSet<&str> = outputs.iter().filter_map(|o| o.get("buildroot_id")?.as_str()).collect();
    let mut ids = BTreeSet::new();
    let mut generator = None;
    for (i, value) in buildroots.iter().enumerate() {
        let at = format!("buildroots[{i}]");
        let buildroot = object(value, &at)?;
        let id = text(buildroot, &at, "id")?;
        if !used.contains(id) {
            return Err(broken(&at, &format!("buildroot id not used in output: `{id}`")));
        }
        if !ids.insert(id.to_owned()) {
            return Err(broken(&at, &format!("duplicate buildroot id `{id}`")));
        }
        for (part, keys) in
            [("host", ["os", "arch"]), ("content_generator", ["name", "version"]), ("container", ["type", "arch"])]
        {
            let place = format!("{at}.{part}");
            let map = object(required(buildroot, &at, part)?, &place)?;
            for key in keys {
                text(map, &place, key)?;
            }
        }
        let name = &buildroot["content_generator"]["name"];
        if generator.get_or_insert(name) != &name {
            return Err(broken(&at, "only one content generator per import is supported"));
        }
        check_tools(array(required(buildroot, &at, "tools")?, &at)?, &at)?;
        check_components(array(required(buildroot, &at, "components")?, &at)?, &at)?;
    }
    Ok(ids)
}

/// The primary key of buildroot_tools_info is (buildroot, tool).
fn check_tools(tools: &[Value], at: &str) -> Result<(), MetadataError> {
    let mut names = BTreeSet::new();
    for (i, tool) in tools.iter().enumerate() {
        let place = format!("{at}.tools[{i}]");
        let tool = object(tool, &place)?;
        let name = text(tool, &place, "name")?;
        text(tool, &place, "version")?;
        if !names.insert(name) {
            return Err(broken(&place, &format!("the tool `{name}` is listed twice")));
        }
    }
    Ok(())
}

fn check_components(components: &[Value], at: &str) -> Result<(), MetadataError> {
    let mut seen = BTreeSet::new();
    for (i, value) in components.iter().enumerate() {
        let place = format!("{at}.components[{i}]");
        let component = object(value, &place)?;
        match text(component, &place, "type")? {
            "rpm" => {}
            "kojifile" => {
                for key in ["archive_id", "nvr", "filename"] {
                    required(component, &place, key)?;
                }
                continue;
            }
            "file" => {
                for key in ["filename", "filesize", "checksum", "checksum_type"] {
                    required(component, &place, key)?;
                }
                continue;
            }
            other => return Err(broken(&place, &format!("no such component type: `{other}`"))),
        }
        for (key, rule) in [("location", "external rpms are not allowed"), ("id", "unexpected `id` field")] {
            if component.contains_key(key) {
                return Err(broken(&place, rule));
            }
        }
        let mut nvra = Vec::new();
        for key in ["name", "version", "release", "arch"] {
            nvra.push(text(component, &place, key)?);
        }
        text(component, &place, "sigmd5")?;
        if !matches!(component.get("epoch"), Some(Value::Null | Value::Number(_))) {
            return Err(broken(&place, "epoch must be an integer or null"));
        }
        // archive_rpm_components and buildroot_listing are unique over the rpm, which is found by NVRA alone.
        if !seen.insert(nvra) {
            return Err(broken(&place, "this rpm is listed twice"));
        }
    }
    Ok(())
}

fn check_outputs(
    outputs: &[Value],
    buildroots: &BTreeSet<String>,
    types: &BTreeSet<String>,
    rules: &HubRules<'_>,
) -> Result<(), MetadataError> {
    let mut names = BTreeSet::new();
    for (i, value) in outputs.iter().enumerate() {
        let at = format!("output[{i}]");
        let output = object(value, &at)?;
        let file = text(output, &at, "filename")?;
        if required(output, &at, "filesize")?.as_u64().is_none() {
            return Err(broken(&at, "filesize must be a number"));
        }
        text(output, &at, "checksum")?;
        text(output, &at, "arch")?;
        let checksum_type = text(output, &at, "checksum_type")?;
        if !matches!(checksum_type, "md5" | "sha256") {
            return Err(broken(&at, &format!("unsupported checksum type `{checksum_type}`")));
        }
        let buildroot = text(output, &at, "buildroot_id")?;
        if !buildroots.contains(buildroot) {
            return Err(broken(&at, &format!("missing buildroot metadata for id `{buildroot}`")));
        }
        let folder = (output.get("relpath").and_then(Value::as_str), output.get("subdir").and_then(Value::as_str));
        if !names.insert((folder, file)) {
            return Err(MetadataError::DuplicateFile { file: file.to_owned() });
        }
        if !matches!(text(output, &at, "type")?, "log" | "rpm") {
            check_archive(output, &at, types)?;
            if !has_known_extension(file, rules.site_extensions) {
                return Err(MetadataError::UnknownExtension { file: file.to_owned() });
            }
        }
    }
    Ok(())
}

/// An archive has exactly one build type, and the build has it too (prep_archive).
fn check_archive(output: &Map<String, Value>, at: &str, types: &BTreeSet<String>) -> Result<(), MetadataError> {
    let empty = Map::new();
    let extra = output.get("extra").map_or(Ok(&empty), |e| object(e, at))?;
    let typeinfo = extra.get("typeinfo").map_or(Ok(&empty), |t| object(t, at))?;
    let legacy = LEGACY_TYPES.iter().copied().filter(|t| extra.contains_key(*t));
    let mut found = legacy.chain(typeinfo.keys().map(String::as_str));
    let btype = found.next().ok_or_else(|| broken(at, "the output has no build type (`extra.image` or `extra.typeinfo`)"))?;
    if let Some(second) = found.next() {
        return Err(broken(at, &format!("the output has several build types: `{btype}` and `{second}`")));
    }
    if !types.contains(btype) {
        return Err(broken(at, &format!("output type `{btype}` is not listed in the build's types")));
    }
    if LEGACY_TYPES.contains(&btype) && output.get("subdir").is_some_and(|s| s.as_str() != Some("")) {
        return Err(broken(at, "a subdir is not allowed for this build type"));
    }
    if btype == "image" {
        let info = extra.get("image").or_else(|| typeinfo.get("image")).unwrap_or(&Value::Null);
        text(object(info, &format!("{at}.extra.image"))?, &format!("{at}.extra.image"), "arch")?;
    }
    if let Some(components) = output.get("components") {
        if matches!(btype, "maven" | "win") {
            return Err(broken(at, "a component list is not allowed for this build type"));
        }
        check_components(array(components, at)?, at)?;
    }
    Ok(())
}

fn broken(at: &str, rule: &str) -> MetadataError {
    MetadataError::Document { at: at.to_owned(), rule: rule.to_owned() }
}

fn required<'a>(map: &'a Map<String, Value>, at: &str, key: &str) -> Result<&'a Value, MetadataError> {
    map.get(key).ok_or_else(|| broken(if at.is_empty() { "metadata" } else { at }, &format!("the key `{key}` is missing")))
}

fn text<'a>(map: &'a Map<String, Value>, at: &str, key: &str) -> Result<&'a str, MetadataError> {
    match required(map, at, key)?.as_str() {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(broken(at, &format!("`{key}` must be a text that is not empty"))),
    }
}

fn integer(value: &Value, at: &str) -> Result<i64, MetadataError> {
    value.as_i64().ok_or_else(|| broken(at, "an integer is expected"))
}

fn object<'a>(value: &'a Value, at: &str) -> Result<&'a Map<String, Value>, MetadataError> {
    value.as_object().ok_or_else(|| broken(at, "an object is expected"))
}

fn array<'a>(value: &'a Value, at: &str) -> Result<&'a [Value], MetadataError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| broken(at, "a list is expected"))
}
