//! A built image on few lines: what its config has, how it was made, and the entries of its new layers as they are in the
//! blobs that are pushed. Read with the `tar` crate, not with this project's own reader.

use std::fmt::Write as _;
use std::io::Read;

use image_build::{BuildError, BuiltImage};
use image_layers::{ContainerConfig, Store};
use sha2::{Digest, Sha256};

use super::scene::FILE_TIME;
use crate::world::EPOCH;

/// Longest content that is shown in place of its digest.
const SHORT: usize = 240;

/// Config and layers.
pub fn image(store: &Store, built: &BuiltImage) -> String {
    let mut out = String::new();
    let config = &built.image.config;
    if let Some(author) = &config.author {
        let _ = writeln!(out, "author {author}");
    }
    container(&mut out, &config.config);
    // What the base brought.
    let old = built.base.as_ref().map_or(0, |base| base.config.history.len());
    let layers = &built.image.manifest.layers;
    let mut new_layers = layers[layers.len() - built.new_layers..].iter();
    for step in &config.history[old..] {
        let how = step.created_by.as_deref().unwrap_or_default().replace('\n', "\\n");
        let _ = writeln!(out, "{} {how}", if step.empty_layer { "config" } else { "layer" });
        if !step.empty_layer {
            let layer = new_layers.next().expect("a layer for every step that made one");
            entries(&mut out, store.open_blob(&layer.digest).expect("the blob"));
        }
    }
    assert!(new_layers.next().is_none(), "a layer of which the history knows nothing");
    out
}

/// The message, with the output's last lines.
pub fn refusal(error: &BuildError) -> String {
    let mut out = "no image: ".to_owned();
    let _ = writeln!(out, "{error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        if !out.contains(&source.to_string()) {
            let _ = writeln!(out, "    because {source}");
        }
        cause = source.source();
    }
    let _ = writeln!(out, "    ({} of the {})", build_model::Diagnose::kind(error), build_model::Diagnose::blame(error));
    out
}

fn container(out: &mut String, config: &ContainerConfig) {
    for variable in &config.env {
        let _ = writeln!(out, "env {variable:?}");
    }
    let lists = [("entrypoint", &config.entrypoint), ("cmd", &config.cmd), ("shell", &config.shell)];
    for (name, list) in lists {
        if let Some(list) = list {
            let _ = writeln!(out, "{name} {list:?}");
        }
    }
    for (name, value) in [("user", &config.user), ("workdir", &config.working_dir)] {
        if !value.is_empty() {
            let _ = writeln!(out, "{name} {value:?}");
        }
    }
    for (name, values) in [("port", &config.exposed_ports), ("volume", &config.volumes)] {
        for value in values {
            let _ = writeln!(out, "{name} {value:?}");
        }
    }
    for (key, value) in &config.labels {
        let _ = writeln!(out, "label {key:?} = {value:?}");
    }
    if let Some(signal) = &config.stop_signal {
        let _ = writeln!(out, "stop signal {signal:?}");
    }
    if let Some(check) = &config.healthcheck {
        let _ = writeln!(
            out,
            "healthcheck {:?} interval={} timeout={} start={}/{} retries={}",
            check.test, check.interval, check.timeout, check.start_period, check.start_interval, check.retries
        );
    }
    for trigger in &config.on_build {
        let _ = writeln!(out, "trigger {trigger:?}");
    }
    if config.args_escaped.is_some() || !config.other.is_empty() {
        let _ = writeln!(out, "other {:?} {:?}", config.args_escaped, config.other);
    }
}

/// One line an entry: type, mode, owner, size or link, attributes, content, and the time where it is not the build's.
fn entries(out: &mut String, blob: impl Read) {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(blob));
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let attributes = attributes(&mut entry);
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("a name in UTF-8");
        let header = entry.header().clone();
        let number = |n: std::io::Result<u64>| n.expect("a number");
        let (uid, gid) = (number(header.uid()), number(header.gid()));
        let kind = match header.entry_type() {
            tar::EntryType::Regular => 'f',
            tar::EntryType::Directory => 'd',
            tar::EntryType::Symlink => 'l',
            tar::EntryType::Link => 'h',
            tar::EntryType::Fifo => 'p',
            tar::EntryType::Char => 'c',
            other => panic!("{path} is {other:?}"),
        };
        let _ = write!(out, "  {kind} {:04o} {uid}:{gid} {path:?}", header.mode().expect("a mode"));
        if let Some(target) = entry.link_name_bytes() {
            let _ = write!(out, " -> {:?}", String::from_utf8_lossy(&target));
        }
        let mtime = number(header.mtime());
        // Without a word: the time of the build.
        if mtime == FILE_TIME {
            out.push_str(" @source");
        } else if mtime != EPOCH.unsigned_abs() {
            let _ = write!(out, " @{mtime}");
        }
        for (name, value) in attributes {
            let _ = write!(out, " {name}={value}");
        }
        // Another one on every distribution.
        if path.ends_with("bin/busybox") && kind == 'f' {
            out.push_str(" (busybox)");
        } else if kind == 'f' {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            let _ = match std::str::from_utf8(&content).ok().filter(|text| text.len() <= SHORT) {
                Some(text) => write!(out, " {text:?}"),
                None => write!(out, " {} bytes {}", content.len(), digest(&content)),
            };
        }
        out.push('\n');
    }
}

/// The extended attributes; other extensions are the reader's business.
fn attributes<R: Read>(entry: &mut tar::Entry<'_, R>) -> Vec<(String, String)> {
    let Some(extensions) = entry.pax_extensions().expect("extensions") else { return Vec::new() };
    let shown = extensions.map(|extension| {
        let extension = extension.expect("an extension");
        let value = extension.value_bytes().escape_ascii().to_string();
        (extension.key().expect("a key").to_owned(), value)
    });
    shown.filter(|(key, _)| key.starts_with("SCHILY.xattr.")).collect()
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
