//! A real registry (Debian's docker-registry) on a free loopback port, a faulty line to it, and images to move.
#![allow(dead_code, missing_docs)] // each test file uses its part

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use build_model::{Arch, Digest, ImageTag};
use image_layers::media_types::{DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
use image_layers::{LocalImage, Store};
use registry::{Registry, RegistryConfig, RetryPolicy};
use serde_json::{Value, json};

pub mod canned;
pub mod proxy;

/// docker-registry with its data in a temporary directory; gone on drop.
pub struct DockerRegistry {
    child: Child,
    data: tempfile::TempDir,
    /// `127.0.0.1:port`
    pub host: String,
}

impl DockerRegistry {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"), "")
    }

    /// `builder` with the password `s3cret:x` may do everything, nobody else anything.
    pub fn start_with_password() -> Self {
        // The hash is bcrypt's, the only one docker-registry takes; it is made by `htpasswd -nbB`.
        let users = "builder:$2y$05$ihpHhqZ.kt5q.BaZxsYH4eGFtfVCyDajy.Oi6spgaRWN7rvUoNlKG\n";
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("htpasswd"), users).expect("write");
        Self::start_in(dir, "auth: {htpasswd: {realm: test, path: htpasswd}}\n")
    }

    /// Over https, with a certificate that only `bundle.pem` vouches for (the second of two in it).
    pub fn start_with_tls() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["other", "own"] {
            let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
            let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"];
            let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", &key, "-out", &cert];
            run(Command::new("openssl").args(request).args(names).current_dir(dir.path()));
        }
        let read = |name| std::fs::read_to_string(dir.path().join(name)).expect("a certificate");
        std::fs::write(dir.path().join("bundle.pem"), read("other.pem") + &read("own.pem")).expect("write");
        Self::start_in(dir, "  tls: {certificate: own.pem, key: own.key}\n")
    }

    /// A file of the registry's directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    fn start_in(data: tempfile::TempDir, more: &str) -> Self {
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: 127.0.0.1:0\n{more}",
            data.path().join("data").display()
        );
        std::fs::write(data.path().join("config.yml"), config).expect("write");
        let mut child = Command::new("docker-registry")
            .args(["serve", "config.yml"])
            .current_dir(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry (apt-get install docker-registry)");
        let mut log = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let mut host = None;
        while host.is_none() {
            let line = log.next().expect("docker-registry says where it listens").expect("its log");
            host =
                line.split("listening on ").nth(1).map(|rest| rest.split(['"', ' ', ',']).next().unwrap_or_default().to_owned());
        }
        // A full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, data, host: host.expect("an address") }
    }

    /// Where the registry keeps a blob.
    pub fn blob_file(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.data.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("store")).expect("a store");
    (dir, store)
}

/// Access without aliases over plain http, with two quick retries.
pub fn client(hosts: &[&str]) -> Registry {
    client_of(RegistryConfig { insecure: hosts.iter().map(|h| (*h).to_owned()).collect(), ..RegistryConfig::default() })
}

pub fn client_of(config: RegistryConfig) -> Registry {
    let pause = std::time::Duration::from_millis(10);
    Registry::new(config).expect("a registry client").with_retry(RetryPolicy {
        attempts: 3,
        first_pause: pause,
        longest_pause: pause,
    })
}

pub fn x86_64() -> Arch {
    Arch::canonical("x86_64").expect("an arch")
}

pub fn tag(text: &str) -> ImageTag {
    ImageTag::new(text).expect("a tag")
}

/// A layer: one file of `size` pseudo-random bytes, in a gzipped tar made by the system's tar, twice the same for one seed.
pub fn layer(store: &Store, seed: u64, size: usize) -> (Digest, u64, Digest) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(size)
    .collect();
    std::fs::write(dir.path().join(format!("file-{seed}")), bytes).expect("write");
    let plain =
        run(Command::new("tar").args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-c", "."]).current_dir(dir.path()));
    std::fs::write(dir.path().join("layer.tar"), &plain).expect("write");
    let packed = run(Command::new("gzip").args(["-n", "-1", "-c", "layer.tar"]).current_dir(dir.path()));
    let diff_id = sha256(&plain);
    let digest = store.put_blob(&packed).expect("put");
    (digest, packed.len() as u64, diff_id)
}

pub fn sha256(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(&sha2::Sha256::digest(bytes).into())
}

/// An image for `arch` of the given layers.
pub fn image(store: &Store, arch: &Arch, docker: bool, layers: &[(Digest, u64, Digest)]) -> LocalImage {
    let config = json!({
        "architecture": arch.oci(), "os": "linux", "created": "2024-01-01T00:00:00Z",
        "config": {"Labels": {"name": "f40/web"}},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| &l.2).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>(),
    });
    let config = serde_json::to_vec(&config).expect("json");
    let (manifest_type, config_type, layer_type) =
        if docker { (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP) } else { (OCI_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP) };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": {"mediaType": config_type, "digest": store.put_blob(&config).expect("put"), "size": config.len()},
        "layers": layers.iter().map(|l| json!({"mediaType": layer_type, "digest": l.0, "size": l.1})).collect::<Vec<_>>(),
    });
    // With spaces and a final newline: the bytes, not their meaning, make the digest.
    let mut bytes = serde_json::to_vec_pretty(&manifest).expect("json");
    bytes.push(b'\n');
    let digest = store.put_blob(&bytes).expect("put");
    LocalImage::load(store, &digest, manifest_type).expect("an image")
}

/// Runs `skopeo` and returns what it prints; the second opinion on everything.
pub fn skopeo(args: &[&str]) -> String {
    String::from_utf8(run(Command::new("skopeo").args(args))).expect("text")
}

pub fn skopeo_inspect(image: &str, more: &[&str]) -> Value {
    let mut args = vec!["inspect", "--tls-verify=false", "--no-tags"];
    args.extend(more);
    let image = format!("docker://{image}");
    args.push(&image);
    serde_json::from_str(&skopeo(&args)).expect("json")
}

pub fn run(command: &mut Command) -> Vec<u8> {
    let out = command.stderr(Stdio::piped()).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Files below a directory of the store.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
