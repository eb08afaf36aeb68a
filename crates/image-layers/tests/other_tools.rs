//! Images written here are read by skopeo and buildah, and theirs are read here.
//!
//! Each test says so and passes when the tool is not installed; the continuous integration installs them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use image_layers::{
    Compression, History, ImageConfig, LocalImage, ManifestFormat, PackOptions, Store, UnpackLimits, assemble_image,
    docker_archive, oci_archive, oci_layout, pack_layer,
};

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// Runs a command and gives its output; `None` when it is not installed.
fn run(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = match command.args(args).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        other => other.expect("it runs"),
    };
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An image of two layers with what layers can hold: links, modes, a deletion, an opaque directory.
fn image(store: &Store, format: ManifestFormat, compression: Compression) -> LocalImage {
    let work = store.temp_dir().expect("a directory");
    let upper = |name: &str| {
        let dir = work.path().join(name);
        fs::create_dir(&dir).expect("made");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("mode");
        dir
    };
    let put = |root: &Path, path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    };
    let lower = upper("lower");
    put(&lower, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n");
    put(&lower, "usr/bin/tool", &b"binary ".repeat(400_000));
    put(&lower, "gone/file", b"x");
    put(&lower, "opaque/old", b"x");
    fs::set_permissions(lower.join("usr/bin/tool"), fs::Permissions::from_mode(0o4755)).expect("mode");
    fs::hard_link(lower.join("usr/bin/tool"), lower.join("usr/bin/alias")).expect("linked");
    std::os::unix::fs::symlink("usr/bin", lower.join("bin")).expect("linked");
    let long = format!("usr/share/{}/{}", "long".repeat(30), "name".repeat(40));
    put(&lower, &long, b"long");
    let over = upper("over");
    put(&over, "etc/new", b"new");
    put(&over, "opaque/new", b"new");
    let options = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(over.join("opaque"), "trusted.overlay.opaque", b"y", options).expect("opaque");
    let (char_device, no_mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
    rustix::fs::mknodat(rustix::fs::CWD, over.join("gone"), char_device, no_mode, 0).expect("a whiteout");

    let options = PackOptions { compression, clamp_mtime: Some(1_700_000_000), ..PackOptions::default() };
    let first = pack_layer(store, &lower, &[], &options).expect("packed");
    let second = pack_layer(store, &over, std::slice::from_ref(&lower), &options).expect("packed");
    let mut config = ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    config.created = Some("2023-11-14T22:13:20Z".into());
    config.config.labels.insert("com.example.component".into(), "web-container".into());
    config.config.env.push("PATH=/usr/bin".into());
    config.history = vec![History { created_by: Some("COPY".into()), ..History::default() }; 2];
    assemble_image(store, None, &[first, second], config, format).expect("an image")
}

const KINDS: [(ManifestFormat, Compression); 3] = [
    (ManifestFormat::Oci, Compression::Gzip { level: 6 }),
    (ManifestFormat::Oci, Compression::Zstd { level: 3 }),
    (ManifestFormat::DockerV2s2, Compression::Gzip { level: 6 }),
];

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: this test needs root");
    }
    root
}

#[test]
fn skopeo_reads_our_layouts_and_archives_and_we_read_what_it_writes() {
    if !is_root() || run("skopeo", &["--version"]).is_none() {
        return;
    }
    for (format, compression) in KINDS {
        let dir = scratch();
        let store = Store::open(&dir.path().join("store")).expect("a store");
        let image = image(&store, format, compression);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (layout, oci, docker) = (path("layout"), path("oci.tar"), path("docker.tar"));
        oci_layout::write(&store, &image, Path::new(&layout), Some("web")).expect("written");
        oci_archive::write(&store, &image, Path::new(&oci), Some("web")).expect("written");
        let tags = ["example.com/web:1".to_owned()];
        docker_archive::write(&store, &image, Path::new(&docker), &tags, false).expect("written");
        // The compressed form is the same archive in gzip. skopeo before 1.10 reads none of those (it loses the first
        // megabyte of what it inflates), so it is given the plain one.
        let zipped = format!("{docker}.gz");
        docker_archive::write(&store, &image, Path::new(&zipped), &tags, true).expect("written");
        let same = format!("gzip -dc {zipped} | cmp - {docker}");
        run("sh", &["-euc", &same]);

        let mut sources = vec![(format!("docker-archive:{docker}"), "docker")];
        // By its name, skopeo finds only images with an OCI manifest in a layout.
        if format == ManifestFormat::Oci {
            let inspected = run("skopeo", &["inspect", &format!("oci:{layout}:web")]).expect("skopeo");
            assert!(inspected.contains("web-container") && inspected.contains(image.manifest_digest.as_str()), "{inspected}");
            sources.extend([(format!("oci:{layout}:web"), "layout"), (format!("oci-archive:{oci}:web"), "archive")]);
        }
        for (from, name) in sources {
            let (saved, copied) = (path(&format!("saved-{name}.tar")), path(&format!("copied-{name}")));
            run("skopeo", &["copy", "-q", &from, &format!("oci:{copied}:copy")]);
            let other = Store::open(&dir.path().join(format!("store-{name}"))).expect("a store");
            let mut images = vec![oci_layout::read(&other, Path::new(&copied), Some("copy"), "amd64").expect("read")];
            // skopeo refuses to make a docker archive of zstd layers; ours are inflated on the way.
            if !matches!(compression, Compression::Zstd { .. }) || from.starts_with("docker") {
                run("skopeo", &["copy", "-q", &from, &format!("docker-archive:{saved}:example.com/web:2")]);
                images.push(docker_archive::read(&other, Path::new(&saved), Some("example.com/web:2")).expect("read"));
            }
            for back in images {
                assert_eq!(back.config.rootfs.diff_ids, image.config.rootfs.diff_ids, "{from}");
                let unpacked = other.unpack_image(&back, &UnpackLimits::default()).expect("unpacked");
                assert_eq!(unpacked.last().map(|l| &l.chain_id), image.chain_ids().last());
            }
        }
    }
}

#[test]
fn buildah_sees_the_tree_we_packed() {
    if !is_root() || run("buildah", &["--version"]).is_none() {
        return;
    }
    for (format, compression) in KINDS {
        let dir = scratch();
        let store = Store::open(&dir.path().join("store")).expect("a store");
        let image = image(&store, format, compression);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let archive = path("docker.tar");
        docker_archive::write(&store, &image, Path::new(&archive), &["example.com/web:1".to_owned()], false).expect("written");
        let oci = path("oci.tar");
        oci_archive::write(&store, &image, Path::new(&oci), None).expect("written");
        for from in [format!("docker-archive:{archive}"), format!("oci-archive:{oci}")] {
            let (root, runroot) = (path("root"), path("run"));
            let storage = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
            let buildah = |args: &[&str]| run("buildah", &[&storage[..], args].concat()).expect("buildah").trim().to_owned();
            let container = buildah(&["from", &from]);
            let seen = tree(Path::new(&buildah(&["mount", &container])));
            buildah(&["umount", &container]);
            buildah(&["rm", &container]);
            assert_eq!(
                seen.iter().map(|(path, _)| path.as_str()).filter(|p| !p.starts_with("usr/share/")).collect::<Vec<_>>(),
                [
                    "bin",
                    "etc",
                    "etc/new",
                    "etc/passwd",
                    "opaque",
                    "opaque/new",
                    "usr",
                    "usr/bin",
                    "usr/bin/alias",
                    "usr/bin/tool",
                    "usr/share"
                ]
            );
            let tool = seen.iter().find(|(path, _)| path == "usr/bin/tool").map(|(_, what)| what.clone());
            assert_eq!(tool.as_deref(), Some("104755 2 2800000 @1700000000"));
        }
    }
}

/// Paths below `root` with mode, number of names, size and time (the latter for files only), sorted.
fn tree(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("metadata");
            let what = if meta.is_file() {
                format!("{:o} {} {} @{}", meta.mode(), meta.nlink(), meta.len(), meta.mtime())
            } else {
                format!("{:o}", meta.mode())
            };
            found.push((path.strip_prefix(root).expect("below").display().to_string(), what));
            if meta.is_dir() {
                pending.push(path);
            }
        }
    }
    found.sort();
    found
}
