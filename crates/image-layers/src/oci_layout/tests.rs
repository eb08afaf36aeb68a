//! Layouts and OCI archives, ours and as others might write them.

use std::fs;
use std::os::unix::fs::symlink;

use build_model::chain;

use super::*;
use crate::media_types::OCI_MANIFEST;
use crate::testing::{image, is_root, store, tar_of};
use crate::{Compression, ManifestFormat, UnpackLimits, oci_archive};

const LAYERS: &[&[&str]] = &[&["d etc", "f etc/a 1"], &["f etc/b 2"]];

fn small(store: &Store) -> LocalImage {
    image(store, LAYERS, ManifestFormat::Oci, Compression::Gzip { level: 6 })
}

#[test]
fn an_image_survives_layout_and_archive() {
    let (dir, from) = store();
    let image = small(&from);
    let (layout, archive) = (dir.path().join("layout"), dir.path().join("a.tar"));
    write(&from, &image, &layout, Some("web:1")).expect("written");
    oci_archive::write(&from, &image, &archive, Some("web:1")).expect("written");
    for reference in [Some("web:1"), None] {
        let (_dir, to) = store();
        assert_eq!(read(&to, &layout, reference, "amd64").expect("read"), image);
        let (_dir, to) = store();
        let copy = oci_archive::read(&to, &archive, reference, "amd64").expect("read");
        assert_eq!(copy, image);
        assert!(copy.missing_blobs(&to).is_empty());
        assert_eq!(to.unpack_image(&copy, &UnpackLimits::default()).expect("unpacked").len(), 2);
    }
    let again = dir.path().join("b.tar");
    oci_archive::write(&from, &image, &again, Some("web:1")).expect("written");
    assert!(fs::read(&archive).expect("read") == fs::read(&again).expect("read"), "the same image, the same bytes");
}

#[test]
fn a_layout_holds_several_images_by_name() {
    let (dir, store) = store();
    let layout = dir.path().join("layout");
    let first = small(&store);
    let second = image(&store, &[&["f other 1"]], ManifestFormat::DockerV2s2, Compression::None);
    write(&store, &first, &layout, Some("one")).expect("written");
    write(&store, &second, &layout, Some("two")).expect("written");
    assert_eq!(read(&store, &layout, Some("two"), "amd64").expect("read"), second);
    let error = read(&store, &layout, Some("three"), "amd64").expect_err("no such image");
    assert!(error.to_string().contains("no image `three` for amd64; it holds one, two"), "{error}");
    let error = read(&store, &layout, Some("one"), "s390x").expect_err("another architecture");
    assert!(error.to_string().contains("`one` for s390x") && error.to_string().contains("for amd64"), "{error}");
    let error = read(&store, &layout, None, "amd64").expect_err("ambiguous");
    assert!(error.to_string().contains("several images"), "{error}");
    // A new image of the same name takes its place.
    write(&store, &second, &layout, Some("one")).expect("written");
    assert_eq!(read(&store, &layout, None, "amd64").expect("read"), second);
}

#[test]
fn nested_indexes_are_searched_by_architecture() {
    let (dir, from) = store();
    let layout = dir.path().join("layout");
    let image = small(&from);
    write(&from, &image, &layout, None).expect("written");
    let mut arm = index_entry(&image, None);
    arm.platform = Some(Platform::linux("arm64"));
    arm.digest = crate::testing::sha256(b"not there");
    let mut silent = index_entry(&image, None);
    silent.platform = None;
    let inner = serde_json::to_vec(&Index::oci(vec![arm, silent])).expect("json");
    let digest = crate::testing::sha256(&inner);
    fs::write(layout.join("blobs/sha256").join(digest.hex()), &inner).expect("written");
    let mut entry = IndexEntry::new(OCI_INDEX, digest, inner.len() as u64, None);
    entry.annotations.insert(REF_NAME.to_owned(), "multi".to_owned());
    fs::write(layout.join(INDEX_FILE), serde_json::to_vec(&Index::oci(vec![entry])).expect("json")).expect("written");
    let (_dir, to) = store();
    assert_eq!(read(&to, &layout, Some("multi"), "amd64").expect("read"), image, "found by its config");
    let error = read(&to, &layout, Some("multi"), "arm64").expect_err("not there");
    assert!(chain(&error).contains("blobs/sha256"), "{}", chain(&error));
}

/// Damages the layout in a directory.
type Spoil<'a> = Box<dyn Fn(&Path) + 'a>;

#[test]
fn malformed_layouts_say_what_is_wrong() {
    let (dir, from) = store();
    let image = small(&from);
    let layer = format!("blobs/sha256/{}", image.layers()[0].digest.hex());
    let index_of = |text: &str| text.replace("DIGEST", image.manifest_digest.as_str()).into_bytes();
    let manifest_type = OCI_MANIFEST;
    let cases: Vec<(&str, Spoil, &str)> = vec![
        ("no oci-layout", Box::new(|d| fs::remove_file(d.join(LAYOUT_FILE)).expect("removed")), "cannot open"),
        (
            "version 2",
            Box::new(|d| fs::write(d.join(LAYOUT_FILE), r#"{"imageLayoutVersion":"2.0"}"#).expect("written")),
            "version `2.0`",
        ),
        ("no json", Box::new(|d| fs::write(d.join(INDEX_FILE), "{").expect("written")), "cannot read the image index"),
        (
            "empty",
            Box::new(|d| fs::write(d.join(INDEX_FILE), r#"{"schemaVersion":2,"manifests":null}"#).expect("written")),
            "no image for amd64",
        ),
        ("no layer", Box::new(|d| fs::remove_file(d.join(&layer)).expect("removed")), "cannot open"),
        ("damaged", Box::new(|d| fs::write(d.join(&layer), "x").expect("written")), "is damaged"),
        (
            "pipe",
            Box::new(|d| {
                fs::remove_file(d.join(&layer)).expect("removed");
                rustix::fs::mkfifoat(rustix::fs::CWD, d.join(&layer), Mode::RUSR).expect("a pipe");
            }),
            "no regular file",
        ),
        (
            "a link out",
            Box::new(|d| {
                fs::rename(d.join(&layer), d.join("../outside")).expect("moved");
                symlink("../../../outside", d.join(&layer)).expect("linked");
            }),
            "cannot open",
        ),
        (
            "bad digest",
            Box::new(move |d| {
                let text = format!(
                    r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{manifest_type}","digest":"sha256:../../x","size":1}}]}}"#
                );
                fs::write(d.join(INDEX_FILE), text).expect("written");
            }),
            "not a sha256 digest",
        ),
        (
            "wrong type",
            Box::new(move |d| {
                let text = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"DIGEST","size":1}]}"#;
                fs::write(d.join(INDEX_FILE), index_of(text)).expect("written");
            }),
            "not `application/vnd.docker",
        ),
    ];
    for (name, spoil, problem) in cases {
        let layout = dir.path().join(name).join("layout");
        write(&from, &image, &layout, None).expect("written");
        spoil(&layout);
        let (_dir, to) = store();
        let error = read(&to, &layout, None, "amd64").expect_err(name);
        assert!(chain(&error).contains(problem), "{name}: {}", chain(&error));
    }
}

#[test]
fn archives_in_any_order_and_compression_are_read() {
    let (dir, from) = store();
    let image = small(&from);
    let layout = dir.path().join("layout");
    write(&from, &image, &layout, None).expect("written");
    for (name, command) in [
        ("blobs-first.tar", "tar -cf ../blobs-first.tar ./blobs ./oci-layout ./index.json"),
        ("zipped.tar.gz", "tar -czf ../zipped.tar.gz ."),
    ] {
        let status = std::process::Command::new("sh").args(["-c", command]).current_dir(&layout).status().expect("tar runs");
        assert!(status.success());
        let (_dir, to) = store();
        assert_eq!(oci_archive::read(&to, &dir.path().join(name), None, "amd64").expect(name), image);
    }
    let whole = fs::read(dir.path().join("blobs-first.tar")).expect("read");
    for (bytes, problem) in [
        (whole[..whole.len() / 2].to_vec(), "cut off"),
        (tar_of(&["f ../oci-layout x"]), "leads out of the layout"),
        (tar_of(&["f oci-layout {}"]), "no file oci-layout"),
        (tar_of(&["d oci-layout"]), "oci-layout is no file"),
        (tar_of(&["f hello x"]), "no file oci-layout"),
    ] {
        let path = dir.path().join("bad.tar");
        fs::write(&path, bytes).expect("written");
        let (_dir, to) = store();
        let error = oci_archive::read(&to, &path, None, "amd64").expect_err(problem);
        let problem = if problem == "no file oci-layout" { "no file" } else { problem };
        assert!(chain(&error).contains(problem), "{problem}: {}", chain(&error));
    }
}

#[test]
fn a_blob_damaged_in_the_store_does_not_get_into_a_layout() {
    let (dir, store) = store();
    let image = small(&store);
    let blob = store.blob_path(&image.layers()[1].digest);
    let mut bytes = fs::read(&blob).expect("read");
    bytes[20] ^= 1;
    fs::write(&blob, bytes).expect("damaged");
    for error in [
        write(&store, &image, &dir.path().join("layout"), None).expect_err("damaged"),
        oci_archive::write(&store, &image, &dir.path().join("a.tar"), None).expect_err("damaged"),
    ] {
        assert!(chain(&error).contains("is damaged"), "{}", chain(&error));
    }
    assert!(!dir.path().join("a.tar").exists() && !dir.path().join("layout").join(INDEX_FILE).exists());
}

#[test]
fn a_new_image_stands_on_its_base_and_is_the_same_every_time() {
    if !is_root() {
        return;
    }
    let (_dir, store) = store();
    let base = image(&store, LAYERS, ManifestFormat::DockerV2s2, Compression::Gzip { level: 6 });
    let upper = store.temp_dir().expect("a directory");
    fs::write(upper.path().join("new"), "x").expect("written");
    let options = crate::PackOptions { clamp_mtime: Some(1), ..crate::PackOptions::default() };
    let new = crate::pack_layer(&store, upper.path(), &[], &options).expect("packed");
    let mut config = base.config.clone();
    config.history.push(crate::History::default());
    let make = |format| crate::assemble_image(&store, Some(&base), std::slice::from_ref(&new), config.clone(), format);
    let image = make(ManifestFormat::Oci).expect("an image");
    assert_eq!(image, make(ManifestFormat::Oci).expect("an image"));
    assert_eq!(image, LocalImage::load(&store, &image.manifest_digest, "").expect("loaded"));
    assert_eq!(image.layers()[0].digest, base.layers()[0].digest);
    assert_eq!(image.layers()[0].media_type, media_types::OCI_LAYER_GZIP);
    assert_eq!(image.chain_ids()[..2], base.chain_ids()[..]);
    assert_eq!(make(ManifestFormat::DockerV2s2).expect("an image").layers()[2].media_type, media_types::DOCKER_LAYER_GZIP);

    let mut wrong = base.config.clone();
    wrong.history.truncate(1);
    let error = crate::assemble_image(&store, Some(&base), &[], wrong, ManifestFormat::Oci).expect_err("a step is missing");
    assert!(matches!(error, ImageError::HistoryCount { history: 1, layers: 2 }), "{error}");
    let zstd = crate::PackOptions { compression: Compression::Zstd { level: 3 }, ..options };
    let new = crate::pack_layer(&store, upper.path(), &[], &zstd).expect("packed");
    let error = crate::assemble_image(&store, None, &[new], crate::ImageConfig::default(), ManifestFormat::DockerV2s2);
    assert!(matches!(error, Err(ImageError::LayerType { .. })), "{error:?}");
}
