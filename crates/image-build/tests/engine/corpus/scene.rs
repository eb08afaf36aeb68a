//! Where the corpus is built: a small image for every name, with programs that write down how
//! they were called, and one build context that has the files which the Dockerfiles of the corpus name.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use build_model::BoxedDiagnose;
use dockerfile::Platform;
use image_build::{ImageSource, SandboxOptions, Secrets};
use image_layers::{ContainerConfig, ImageConfig, LocalImage, ManifestFormat, PackOptions, assemble_image, pack_layer};

use crate::world::{World, busybox_root};

/// Name of what all images have in common.
const COMMON: &str = "common";
/// The time of the files, before the build's.
pub const FILE_TIME: u64 = 1_600_000_000;
/// A file capability (`cap_net_bind_service=ep`), as the kernel keeps it.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Appends a line to `/var/log/called`: name, arguments, working directory, user; and makes the file named after `-o`.
/// In a pipeline it waits for the program before it, so that the lines have an order.
const RECORDER: &str = r#"#!/bin/sh
[ ! -p /dev/stdin ] || cat > /dev/null
line="${0##*/}"
for argument; do line="$line [$argument]"; done
echo "$line in $PWD as $(id -u):$(id -g)" >> /var/log/called
while [ $# -gt 1 ]; do
  if [ "$1" = -o ]; then mkdir -p "${2%/*}" && echo made > "$2"; fi
  shift
done
"#;

/// The programs that are such a recorder.
const RECORDED: &str = "a b c j x y one two three four apk cargo curl dnf dir go indented make npm pip print yum";

/// Files of every image, for COPY from stages and images, and for programs.
const COMMON_FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\ndaemon:x:2:2::/:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\nl:x:12:12::/:/bin/sh\n",
    ),
    ("etc/group", "root:x:0:\ndaemon:x:2:\nwheel:x:10:app\nl:x:12:\napp:x:1001:\n"),
    ("seed/one", "seed\n"),
    ("src/lib/code.c", "code\n"),
    ("src/lib/code.o", "object\n"),
    ("src/lib/keep.o", "kept\n"),
    ("target/app", "program\n"),
    ("etc/pki/tls/certs/ca-bundle.crt", "certificates\n"),
    ("etc/ssl/certs/ca-certificates.crt", "certificates\n"),
    ("opt/venv/bin/python3", "python\n"),
    ("opt/old/deep/file", "old\n"),
    ("opt/old/other", "other\n"),
    ("lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service", "wanted\n"),
    ("lib/systemd/system/sysinit.target.wants/other.service", "unwanted\n"),
    ("etc/systemd/system/multi-user.target.wants/some.service", "unwanted\n"),
    ("var/log/called", ""),
];

/// Files of every image but the one that is called `base`; each holds the image's name.
const OWN_FILES: &[&str] = &["a", "f", "x", "y"];

/// Files of the build context.
const CONTEXT_FILES: &[(&str, &str)] = &[
    ("a", "a\n"),
    ("a b", "a b\n"),
    ("b", "b\n"),
    ("c", "c\n"),
    ("x", "x\n"),
    ("x y.tar", "not an archive\n"),
    ("ab.txt", "ab\n"),
    ("ad.txt", "ad\n"),
    ("m.md", "m\n"),
    ("main.c", "main\n"),
    ("h.h", "h\n"),
    ("main.go", "main\n"),
    ("arr[0].txt", "array\n"),
    ("*.md", "star\n"),
    ("--odd", "odd\n"),
    ("--strange", "strange\n"),
    ("[x]", "brackets\n"),
    ("with,comma", "comma\n"),
    ("ünï", "unicode\n"),
    ("hello", "hello\n"),
    ("src/lib/x1.txt", "x1\n"),
    ("src/lib/xa.txt", "xa\n"),
    ("dir/main.c", "dir\n"),
    ("files/etc/httpd/conf.d/site.conf", "site\n"),
    ("go.mod", "module app\n"),
    ("go.sum", ""),
    ("cmd/app/main.go", "package main\n"),
    ("package.json", "{}\n"),
    ("package-lock.json", "{}\n"),
    ("test/index.js", "test\n"),
    ("requirements.txt", "flask\n"),
    ("app/main.py", "main\n"),
    ("run-httpd.sh", "#!/bin/sh\n"),
];

/// A store with what all images have in common, and that context.
pub fn world() -> World {
    let mut world = World::new();
    let root = world.dir.path().join("corpus-base");
    busybox_root(&root);
    write_all(&root, COMMON_FILES.iter().copied());
    mode(&root.join("var/log/called"), 0o666);
    executable(&root.join("bin/called"), RECORDER);
    executable(&root.join("bin/bash"), "#!/bin/sh\nexec sh \"$@\"\n");
    for name in RECORDED.split_whitespace() {
        symlink("called", root.join("bin").join(name)).expect("symlink");
    }
    fs::create_dir_all(root.join("usr/bin")).expect("mkdir");
    symlink("/bin/called", root.join("usr/bin/python3")).expect("symlink");
    symlink("/bin/called", root.join("opt/venv/bin/pip")).expect("symlink");
    xattr::set(root.join("target/app"), "security.capability", &CAPABILITY).expect("a file capability");
    world.add_image(COMMON, &root, ImageConfig::default());
    write_all(&world.context(), CONTEXT_FILES.iter().copied());
    mode(&world.context().join("run-httpd.sh"), 0o755);
    world
}

/// What RUN mounts of the corpus ask for.
pub fn sandbox() -> SandboxOptions {
    let mut secrets = Secrets::default();
    for id in ["key", "token", "other"] {
        secrets.add(id, format!("the {id}").into_bytes()).expect("a secret");
    }
    SandboxOptions { secrets, ..SandboxOptions::new("crun") }
}

/// An image for every name, which says in a variable what it was asked for as.
pub struct Everywhere<'a>(pub &'a World);

impl ImageSource for Everywhere<'_> {
    fn resolve(&self, reference: &str, platform: &Platform) -> Result<LocalImage, BoxedDiagnose> {
        let store = &self.0.store;
        let common = &self.0.images.0[COMMON];
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).expect("chmod");
        let own = if reference == "base" { &[] } else { OWN_FILES };
        let text = format!("of {reference}\n");
        write_all(dir.path(), own.iter().map(|name| (*name, text.as_str())));
        let packed = pack_layer(store, dir.path(), &[], &PackOptions::default()).expect("a layer");
        let env = vec!["PATH=/usr/bin:/bin".to_owned(), format!("BASE={reference}")];
        let config = ContainerConfig { env, cmd: Some(vec!["/bin/sh".to_owned()]), ..ContainerConfig::default() };
        let config = ImageConfig { config, architecture: platform.architecture.clone(), ..common.config.clone() };
        Ok(assemble_image(store, Some(common), &[packed], config, ManifestFormat::Oci).expect("an image"))
    }
}

fn write_all<'a>(root: &Path, files: impl Iterator<Item = (&'a str, &'a str)>) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        fs::write(&path, text).expect("write");
        mode(&path, 0o644);
        let file = fs::File::options().append(true).open(&path).expect("open");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(FILE_TIME)).expect("set the time");
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("write");
    mode(path, 0o755);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}
