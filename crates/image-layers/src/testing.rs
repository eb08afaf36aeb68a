//! What the unit tests share: stores in memory, layers from a few words, trees as text.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use build_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::tar_format::{TarEntry, TarKind, TarWriter};
use crate::{Descriptor, Store, UnpackError, UnpackLimits, UnpackedLayer, media_types, overlay};

/// A directory on tmpfs where there is one: file systems on disks are slow at making many small files.
pub(crate) fn scratch() -> tempfile::TempDir {
    let builder = || tempfile::Builder::new();
    builder().prefix("image-layers-").tempdir_in("/dev/shm").or_else(|_| builder().tempdir()).expect("a temporary directory")
}

/// A store of its own.
pub(crate) fn store() -> (tempfile::TempDir, Store) {
    let dir = scratch();
    let store = Store::open(&dir.path().join("store")).expect("a store");
    (dir, store)
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

/// A tar of entries with their contents.
pub(crate) fn tar(entries: &[(TarEntry, &[u8])]) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new());
    for (entry, content) in entries {
        writer.append_file(&TarEntry { size: content.len() as u64, ..entry.clone() }, *content).expect("appended");
    }
    writer.finish().expect("finished").0
}

/// A tar from lines: `d PATH`, `f PATH CONTENT`, `l PATH TARGET` (symbolic), `h PATH TARGET` (hard), `p PATH` (fifo),
/// `c PATH MAJOR:MINOR`, `b PATH MAJOR:MINOR`.
pub(crate) fn tar_of(lines: &[&str]) -> Vec<u8> {
    let entries: Vec<(TarEntry, &[u8])> = lines.iter().map(|line| entry_of(line)).collect();
    tar(&entries)
}

fn entry_of(line: &str) -> (TarEntry, &[u8]) {
    let mut words = line.splitn(3, ' ');
    let (kind, path, rest) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
    let entry = |kind, mode| TarEntry { mode, mtime: 1000, ..TarEntry::new(path, kind) };
    let link = |kind| TarEntry { link: rest.into(), ..entry(kind, 0o777) };
    let device = |kind| {
        let (major, minor) = rest.split_once(':').expect("MAJOR:MINOR");
        TarEntry { device: (major.parse().expect("major"), minor.parse().expect("minor")), ..entry(kind, 0o600) }
    };
    match kind {
        "d" => (entry(TarKind::Directory, 0o755), b""),
        "f" => (entry(TarKind::File, 0o644), rest.as_bytes()),
        "l" => (link(TarKind::Symlink), b""),
        "h" => (link(TarKind::HardLink), b""),
        "p" => (entry(TarKind::Fifo, 0o600), b""),
        "c" => (device(TarKind::CharDevice), b""),
        "b" => (device(TarKind::BlockDevice), b""),
        other => panic!("no kind of entry: {other}"),
    }
}

/// Puts a blob into the store and unpacks it as the tar `plain`.
pub(crate) fn unpack(
    store: &Store,
    blob: &[u8],
    plain: &[u8],
    parent: Option<&UnpackedLayer>,
    limits: &UnpackLimits,
) -> Result<UnpackedLayer, UnpackError> {
    let digest = store.put_blob(blob).expect("a blob");
    let descriptor = Descriptor::new(media_types::OCI_LAYER, digest, blob.len() as u64);
    store.unpack_layer(&descriptor, &sha256(plain), parent.map(|p| &p.chain_id), limits)
}

/// Unpacks a plain tar with the usual limits.
pub(crate) fn unpack_plain(store: &Store, plain: &[u8], parent: Option<&UnpackedLayer>) -> Result<UnpackedLayer, UnpackError> {
    unpack(store, plain, plain, parent, &UnpackLimits::default())
}

/// A directory as text, one line per entry, sorted: type, mode, owner, path, and what else there is to say.
pub(crate) fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(dir, dir, &mut lines);
    lines
}

fn list(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        let meta = fs::symlink_metadata(&path).expect("metadata");
        let name = path.strip_prefix(root).expect("below the root").display();
        let kind = meta.file_type();
        let what = if kind.is_dir() {
            let opaque = if overlay::is_opaque(&path).expect("attributes") { " opaque" } else { "" };
            format!("d{opaque}")
        } else if kind.is_symlink() {
            format!("l -> {}", fs::read_link(&path).expect("a link").display())
        } else if kind.is_fifo() {
            "p".to_owned()
        } else if kind.is_char_device() || kind.is_block_device() {
            let letter = if kind.is_char_device() { 'c' } else { 'b' };
            format!("{letter} {}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()))
        } else {
            let content = fs::read(&path).expect("a file");
            let text = if content.len() < 40 {
                String::from_utf8_lossy(&content).into_owned()
            } else {
                sha256(&content).short().to_owned()
            };
            format!("f {text:?}")
        };
        let xattrs: Vec<String> = overlay::image_xattrs(&path)
            .expect("attributes")
            .iter()
            .map(|(name, value)| format!(" {}={}", String::from_utf8_lossy(name), value.escape_ascii()))
            .collect();
        lines.push(format!(
            "{name} {:o} {}:{} @{} {what}{}",
            meta.mode() & 0o7777,
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            xattrs.concat()
        ));
        if kind.is_dir() {
            list(root, &path, lines);
        }
    }
}

/// What a merged tree looks like, in the form of [`listing`] without times of directories.
pub(crate) fn merged_listing(view: &crate::MergedView) -> Vec<String> {
    let mut lines = Vec::new();
    list_merged(view.root(), "", &mut lines);
    lines
}

fn list_merged(dir: &crate::merged_view::MergedDir, prefix: &str, lines: &mut Vec<String>) {
    use crate::merged_view::Found;
    for name in dir.names().expect("names") {
        let path = format!("{prefix}/{}", name.to_string_lossy());
        let found = dir.child(&name).expect("readable").expect("there");
        let host = match &found {
            Found::Dir(dir) => dir.top().expect("a directory").to_owned(),
            Found::Other(host, _) => host.clone(),
        };
        let meta = fs::symlink_metadata(&host).expect("metadata");
        let content = match &found {
            Found::Dir(_) => String::new(),
            Found::Other(..) if meta.is_file() => sha256(&fs::read(&host).expect("a file")).short().to_owned(),
            Found::Other(..) if meta.is_symlink() => format!("{:?}", fs::read_link(&host).expect("a link")),
            Found::Other(..) => meta.rdev().to_string(),
        };
        let time = if meta.is_dir() { 0 } else { meta.mtime() };
        let xattrs = overlay::image_xattrs(&host).expect("attributes");
        lines.push(format!("{path} {:o} {}:{} @{time} {content} {xattrs:?}", meta.mode(), meta.uid(), meta.gid()));
        if let Found::Dir(dir) = found {
            list_merged(&dir, &path, lines);
        }
    }
}

/// `gzip` of flate2: not the code that packs layers.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

/// Devices and owners need root; says so and gives `false` for anybody else.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: this test needs root");
    }
    root
}

/// Sets an extended attribute.
pub(crate) fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).expect("attribute set");
}

/// Runs a shell script in a mount namespace of its own; what it mounts is gone afterwards.
pub(crate) fn shell(dir: &Path, script: &str) {
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-euc", script])
        .current_dir(dir)
        .env("LC_ALL", "C")
        .output()
        .expect("unshare runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A small image of `layers` (lines as for [`tar_of`], bottom first), packed by us.
pub(crate) fn image(
    store: &Store,
    layers: &[&[&str]],
    format: crate::ManifestFormat,
    compression: crate::Compression,
) -> crate::LocalImage {
    let mut packed = Vec::new();
    let mut lowers: Vec<std::path::PathBuf> = Vec::new();
    let mut parent: Option<UnpackedLayer> = None;
    for lines in layers {
        let layer = unpack_plain(store, &tar_of(lines), parent.as_ref()).expect("unpacked");
        let options = crate::PackOptions { compression, clamp_mtime: Some(1000), ..crate::PackOptions::default() };
        packed.push(crate::pack_layer(store, &layer.dir, &lowers, &options).expect("packed"));
        lowers.insert(0, layer.dir.clone());
        parent = Some(layer);
    }
    let mut config = crate::ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..crate::ImageConfig::default() };
    config.created = Some("1970-01-01T00:16:40Z".into());
    config.config.env.push("PATH=/usr/bin".into());
    config.config.cmd = Some(vec!["/bin/sh".into()]);
    config.config.labels.insert("name".into(), "test".into());
    for _ in layers {
        config.history.push(crate::History { created_by: Some("RUN something".into()), ..crate::History::default() });
    }
    crate::assemble_image(store, None, &packed, config, format).expect("an image")
}
