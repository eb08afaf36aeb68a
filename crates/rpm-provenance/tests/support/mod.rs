//! Real RPMs, databases and repositories for the tests, made by rpmbuild, rpm and createrepo_c.

#![allow(dead_code, clippy::unwrap_used, missing_docs)]

pub mod upstream;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use build_model::Nvra;
use futures_util::future::BoxFuture;
use rpm_provenance::{KnownRpm, KnownSignature, KojiRpms, LookupError, RpmIdent, package_file};

pub fn run(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let output = command.output().unwrap_or_else(|e| panic!("these tests need {shown}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A package to build.
pub struct Recipe<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub epoch: Option<u32>,
    pub arch: &'a str,
    /// What its one file holds: two builds of one NVRA differ by it.
    pub content: &'a str,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Recipe { name: "web", version: "1.0", epoch: None, arch: "noarch", content: "content" }
    }
}

/// Builds one binary RPM in `dir` and returns its path.
pub fn rpmbuild(dir: &Path, recipe: &Recipe<'_>) -> PathBuf {
    let Recipe { name, version, epoch, arch, content } = recipe;
    let epoch = epoch.map(|e| format!("Epoch: {e}\n")).unwrap_or_default();
    let spec = format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: A test package\nLicense: MIT\nVendor: Example\n{epoch}\
         %description\nFor tests.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n\
         echo '{content}' > %{{buildroot}}/usr/share/{name}/file\n%files\n/usr/share/{name}\n"
    );
    rpmbuild_spec(dir, &format!("{name}-{version}-1.{arch}.rpm"), arch, &spec)
}

/// Builds the binary RPM of a spec file in `dir` and returns its path.
pub fn rpmbuild_spec(dir: &Path, file: &str, arch: &str, spec: &str) -> PathBuf {
    let top = tempfile::tempdir_in(dir).unwrap();
    let spec_file = top.path().join("package.spec");
    std::fs::write(&spec_file, spec).unwrap();
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--target", arch, "--define", "debug_package %{nil}", "--define"])
        .arg(format!("_topdir {}", top.path().display()))
        .arg(&spec_file));
    let built = top.path().join("RPMS").join(arch).join(file);
    let to = dir.join(file);
    std::fs::copy(built, &to).unwrap();
    to
}

/// Installs RPMs into a root directory. rpm changes its root, so this needs the rights to.
pub fn install(root: &Path, rpms: &[&Path]) {
    std::fs::create_dir_all(root).unwrap();
    run(rpm(root).args(["-i", "--nodeps", "--noscripts"]).args(rpms));
}

/// `rpm` on a root with the usual database path (Debian's own default is another).
pub fn rpm(root: &Path) -> Command {
    let mut command = Command::new("rpm");
    command.arg("--root").arg(root).args(["--dbpath", "/var/lib/rpm"]);
    command
}

pub fn createrepo(dir: &Path, options: &[&str]) {
    run(Command::new("createrepo_c").arg("--quiet").args(options).arg(dir));
}

pub fn ident(rpm: &Path) -> RpmIdent {
    let mut file = std::io::BufReader::new(std::fs::File::open(rpm).unwrap());
    package_file::read_header(&mut file).unwrap().verify_payload(&mut file).unwrap()
}

/// What Koji would say of an RPM it built.
pub fn known(rpm: &Path) -> KnownRpm {
    let ident = ident(rpm);
    KnownRpm {
        rpm_id: 17,
        build_id: 5,
        build_nvr: Some(ident.nvra.nvr.to_string()),
        epoch: ident.epoch,
        payloadhash: ident.sigmd5.unwrap(),
        sha256header: ident.sha256header,
        ..KnownRpm::default()
    }
}

/// Koji as a map; counts the questions.
#[derive(Default)]
pub struct MapKoji {
    pub rpms: HashMap<Nvra, KnownRpm>,
    pub questions: Mutex<usize>,
    /// What Koji's own files say, by RPM id.
    pub files: HashMap<i64, String>,
    pub files_asked: Mutex<usize>,
    /// Signatures by RPM id.
    pub signatures: HashMap<i64, Vec<KnownSignature>>,
    /// Tags by build id.
    pub build_tags: HashMap<i64, Vec<String>>,
    /// What a tag inherits from.
    pub inherited_tags: HashMap<String, Vec<String>>,
}

impl MapKoji {
    pub fn with(rpms: &[&Path]) -> Self {
        MapKoji { rpms: rpms.iter().map(|p| (ident(p).nvra, known(p))).collect(), ..MapKoji::default() }
    }
}

impl KojiRpms for MapKoji {
    fn lookup<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        Box::pin(async move {
            *self.questions.lock().unwrap() += 1;
            Ok(rpms.iter().map(|nvra| self.rpms.get(nvra).cloned()).collect())
        })
    }

    fn header_digests<'a>(&'a self, rpms: &'a [KnownRpm]) -> BoxFuture<'a, Result<Vec<Option<String>>, LookupError>> {
        Box::pin(async move {
            *self.files_asked.lock().unwrap() += 1;
            Ok(rpms.iter().map(|rpm| self.files.get(&rpm.rpm_id).cloned()).collect())
        })
    }

    fn signatures<'a>(&'a self, rpm_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<KnownSignature>>, LookupError>> {
        let found = rpm_ids.iter().map(|id| self.signatures.get(id).cloned().unwrap_or_default()).collect();
        Box::pin(async { Ok(found) })
    }

    fn build_tags<'a>(&'a self, build_ids: &'a [i64]) -> BoxFuture<'a, Result<Vec<Vec<String>>, LookupError>> {
        let found = build_ids.iter().map(|id| self.build_tags.get(id).cloned().unwrap_or_default()).collect();
        Box::pin(async { Ok(found) })
    }

    fn inherited_tags<'a>(&'a self, tag: &'a str) -> BoxFuture<'a, Result<Vec<String>, LookupError>> {
        let found = self.inherited_tags.get(tag).cloned().unwrap_or_default();
        Box::pin(async { Ok(found) })
    }
}

/// A signing key in a GnuPG home of its own; the agent ends with it.
pub struct SigningKey {
    home: PathBuf,
    /// 16 hex digits.
    pub id: String,
}

impl SigningKey {
    pub fn new(dir: &Path) -> Self {
        // Short, because an agent's socket path must fit 107 bytes.
        let home = dir.join("gpg");
        std::fs::create_dir(&home).unwrap();
        run(Command::new("chmod").arg("0700").arg(&home));
        let mut key = SigningKey { home, id: String::new() };
        run(key.gpg().args(["--passphrase", "", "--quick-gen-key", "Tests <tests@example.org>", "rsa2048", "sign", "never"]));
        let listed = run(key.gpg().args(["--with-colons", "--list-keys"]));
        let line = listed.lines().find(|l| l.starts_with("pub:")).unwrap();
        key.id = line.split(':').nth(4).unwrap().to_lowercase();
        key
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", &self.home).args(["--batch", "--quiet", "--pinentry-mode", "loopback"]);
        command
    }

    pub fn sign(&self, rpm: &Path) {
        let gpg = run(Command::new("sh").args(["-c", "command -v gpg"]));
        run(Command::new("rpmsign")
            .env("GNUPGHOME", &self.home)
            .args(["--addsign", "--define", "_gpg_name tests@example.org", "--define"])
            .arg(format!("_gpg_path {}", self.home.display()))
            .arg("--define")
            .arg(format!("__gpg {}", gpg.trim()))
            .arg(rpm));
    }

    /// The public key, ASCII-armoured.
    pub fn export(&self, to: &Path) {
        std::fs::write(to, run(self.gpg().args(["--armor", "--export"]))).unwrap();
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").env("GNUPGHOME", &self.home).args(["--kill", "all"]).output();
    }
}
