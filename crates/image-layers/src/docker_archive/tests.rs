//! Docker archives, ours and those of older and newer programs.

use std::fs;

use build_model::chain;

use super::*;
use crate::tar_format::TarEntry;
use crate::testing::{image, scratch, sha256, store, tar, tar_of};
use crate::{ManifestFormat, UnpackLimits};

const LAYERS: &[&[&str]] = &[&["d etc", "f etc/a 1"], &["f etc/b 2"]];

#[test]
fn an_image_survives_with_its_config_and_layers() {
    for (compression, gzip) in
        [(Compression::Gzip { level: 6 }, true), (Compression::Zstd { level: 3 }, false), (Compression::None, false)]
    {
        let (dir, from) = store();
        let image = image(&from, LAYERS, ManifestFormat::Oci, compression);
        let (file, again) = (dir.path().join("a.tar"), dir.path().join("b.tar"));
        let tags = ["registry.example.com/web:1".to_owned(), "registry.example.com/web:latest".to_owned()];
        write(&from, &image, &file, &tags, gzip).expect("written");
        write(&from, &image, &again, &tags, gzip).expect("written");
        assert!(fs::read(&file).expect("read") == fs::read(&again).expect("read"), "the same image, the same bytes");
        assert_eq!(fs::read(&file).expect("read").starts_with(&[0x1f, 0x8b]), gzip);
        for reference in [None, Some("registry.example.com/web:latest")] {
            let (_dir, to) = store();
            let copy = read(&to, &file, reference).expect("read");
            assert_eq!(copy.config_bytes, image.config_bytes);
            assert_eq!(copy.manifest_media_type, DOCKER_MANIFEST);
            assert_eq!(to.unpack_image(&copy, &UnpackLimits::default()).expect("unpacked").len(), 2);
        }
        let error = read(&from, &file, Some("other")).expect_err("no such tag");
        assert!(error.to_string().contains("no image `other`; it holds registry.example.com/web:1"), "{error}");
    }
}

#[test]
fn the_size_of_a_layer_is_found_out_when_nobody_noted_it_or_wrongly() {
    let (dir, store) = store();
    let image = image(&store, LAYERS, ManifestFormat::Oci, Compression::Gzip { level: 6 });
    let (right, other) = (dir.path().join("right.tar"), dir.path().join("other.tar"));
    write(&store, &image, &right, &[], false).expect("written");
    store.forget_uncompressed_size(&image.layers()[0].digest);
    write(&store, &image, &other, &[], false).expect("written");
    assert!(fs::read(&right).expect("read") == fs::read(&other).expect("read"));
    store.note_uncompressed_size(&image.layers()[0].digest, 7);
    write(&store, &image, &other, &[], false).expect_err("a wrong note");
    write(&store, &image, &other, &[], false).expect("the note is forgotten");
}

#[test]
fn layers_in_gzip_go_into_an_archive_in_gzip_as_they_are() {
    let (dir, store) = store();
    let image = image(&store, LAYERS, ManifestFormat::Oci, Compression::Gzip { level: 6 });
    let file = dir.path().join("image.tar.gz");
    write(&store, &image, &file, &[], true).expect("written");
    let bytes = fs::read(&file).expect("read");
    for layer in image.layers() {
        let blob = store.read_blob(&layer.digest, 1 << 20).expect("a layer");
        assert!(bytes.windows(blob.len()).any(|window| window == blob), "the layer's own members are in the archive");
    }
    store.forget_uncompressed_size(&image.layers()[0].digest);
    write(&store, &image, &file, &[], true).expect("written");
    assert!(fs::read(&file).expect("read") == bytes, "the same bytes, whoever counts");
    let listed = std::process::Command::new("tar").arg("-tzf").arg(&file).output().expect("tar runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 4, "config, two layers, manifest");
}

/// Names and contents; symbolic links are given as `-> target`.
type Files<'a> = &'a [(&'a str, &'a [u8])];

fn archive(files: Files) -> Vec<u8> {
    let entries: Vec<(TarEntry, &[u8])> = files
        .iter()
        .map(|(name, content)| match content.strip_prefix(b"-> ") {
            Some(target) => (TarEntry { link: target.to_vec(), ..TarEntry::new(*name, TarKind::Symlink) }, &b""[..]),
            None => (TarEntry::file(*name, 0), *content),
        })
        .collect();
    tar(&entries)
}

#[test]
fn layers_behind_links_and_compressed_layers_are_found() {
    let (plain, zipped) = (tar_of(&["f a 1"]), tar_of(&["f b 2"]));
    let gzip = crate::testing::gzip(&zipped);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{0}","{0}","{1}"]}}}}"#,
        sha256(&plain),
        sha256(&zipped)
    );
    let manifest =
        br#"[{"Config":"blobs/sha256/c","RepoTags":null,"Layers":["one/layer.tar","two/layer.tar","three/layer.tar"]}]"#;
    let bytes = archive(&[
        ("manifest.json", manifest),
        ("two/layer.tar", b"-> ../one/layer.tar"),
        ("one/layer.tar", &plain),
        ("three/layer.tar", &gzip),
        ("blobs/sha256/c", config.as_bytes()),
    ]);
    let dir = scratch();
    let file = dir.path().join("a.tar");
    fs::write(&file, &bytes).expect("written");
    let (_dir, store) = store();
    let image = read(&store, &file, None).expect("read");
    let types: Vec<&str> = image.layers().iter().map(|l| l.media_type.as_str()).collect();
    assert_eq!(types, [DOCKER_LAYER, DOCKER_LAYER, DOCKER_LAYER_GZIP]);
    assert_eq!(store.unpack_image(&image, &UnpackLimits::default()).expect("unpacked").len(), 3);
}

#[test]
fn malformed_archives_say_what_is_wrong() {
    let plain = tar_of(&["f a 1"]);
    let config = |diff_id: &Digest| format!(r#"{{"os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
    let (right, wrong) = (config(&sha256(&plain)), config(&sha256(b"x")));
    let one = br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#;
    let cases: &[(Files, &str)] = &[
        (&[("x", b"y")], "no file `manifest.json`"),
        (&[("manifest.json", b"{")], "cannot read the manifest.json"),
        (&[("manifest.json", b"[]")], "holds no image"),
        (&[("manifest.json", br#"[{"Config":"c"},{"Config":"d","RepoTags":["t"]}]"#)], "several images, one must be named: t"),
        (&[("manifest.json", one)], "no file `c.json`"),
        (&[("manifest.json", one), ("c.json", b"[]")], "cannot read the image config"),
        (&[("manifest.json", one), ("c.json", right.as_bytes())], "no file `l.tar`"),
        (&[("manifest.json", one), ("c.json", right.as_bytes()), ("l.tar", b"-> l.tar")], "no file `l.tar`"),
        (&[("manifest.json", one), ("c.json", right.as_bytes()), ("l.tar", b"-> ../l.tar")], "no file `l.tar`"),
        (&[("manifest.json", one), ("c.json", wrong.as_bytes()), ("l.tar", &plain)], "the config says"),
        (&[("manifest.json", one), ("c.json", b"{}"), ("l.tar", &plain)], "1 layers and the config 0 diff ids"),
        (&[("../x", b"y")], "leads out of the archive"),
    ];
    for (files, problem) in cases {
        let dir = scratch();
        let file = dir.path().join("a.tar");
        fs::write(&file, archive(files)).expect("written");
        let (_dir, store) = store();
        let error = read(&store, &file, None).expect_err(problem);
        assert!(chain(&error).contains(problem), "{problem}: {}", chain(&error));
    }
}
