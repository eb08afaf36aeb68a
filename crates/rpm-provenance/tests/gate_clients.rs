//! What clients other than dnf 4 ask of the gate, as their own libraries and programs ask it.
//!
//! librepo is the downloader of microdnf and dnf 5: metadata with zchunk copies, differences to older metadata by ranges, and
//! packages that are gone on with where they stopped. yum 3 (urlgrabber) reads the headers of packages by the byte ranges
//! that the metadata gives, and asks with If-Modified-Since: curl asks the same. The programs dnf5, microdnf and yum are in
//! no Debian; dnf 4 is run in `gate.rs` and in tests/e2e.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rpm_provenance::policy::ReleaseRules;
use rpm_provenance::{ContentSource, Gate, GateOptions, HttpClients, Rule};
use support::{MapKoji, Recipe, createrepo, rpmbuild};

/// librepo as libdnf 5 calls it: everything of a repository, then one package that is half there already.
const LIBREPO: &str = r#"
import json, os, sys, librepo
url, cache, destination, package, checksum = sys.argv[1:]
def handle():
    made = librepo.Handle()
    made.repotype, made.urls, made.checksum = librepo.LR_YUMREPO, [url], True
    if cache:
        made.cachedir = cache
    made.destdir = destination
    return made
result = librepo.Result()
os.makedirs(destination)
handle().perform(result)
kinds = {kind: path for kind, path in result.yum_repo.items() if isinstance(path, str)}
half = os.path.join(destination, package)
with open(os.environ["HALF"], "rb") as begun, open(half, "wb") as file:
    file.write(begun.read())
target = librepo.PackageTarget(package, handle=handle(), dest=half, checksum_type=librepo.SHA256, checksum=checksum, resume=True)
librepo.download_packages([target])
print(json.dumps({"kinds": sorted(kinds), "error": target.err}))
"#;

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("repo")).unwrap();
        World { dir }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn rpm(&self, name: &str) -> PathBuf {
        rpmbuild(&self.path("repo"), &Recipe { name, ..Recipe::default() })
    }
    async fn gate(&self, rpms: &[&Path]) -> (Gate, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/repo/koji/", listener.local_addr().unwrap().port());
        let options = GateOptions {
            sources: vec![ContentSource {
                name: "koji".into(),
                base_url: format!("file://{}", self.path("repo").display()),
                repomd_sha256: None,
                gpgkeys: Vec::new(),
                of_request: false,
            }],
            cache_dir: self.path("cache"),
            cache_limit: None,
            lookup: Some(Arc::new(MapKoji::with(rpms))),
            rules: ReleaseRules::default(),
            http: HttpClients::new().unwrap(),
        };
        (Gate::start(vec![listener], options).await.unwrap(), url)
    }
}

async fn output(command: &mut Command) -> String {
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("true")));
    let done = command.env("no_proxy", "*").output().await.unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn sha256(file: &Path) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(std::fs::read(file).unwrap()).iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librepo_takes_all_metadata_differences_by_zchunk_and_the_rest_of_a_package() {
    let world = World::new();
    let web = world.rpm("web");
    let comps = world.path("comps.xml");
    std::fs::write(&comps, "<comps><group><id>g</id><name>G</name><packagelist/></group></comps>").unwrap();
    let options = ["--zck", "-g", comps.to_str().unwrap()];
    createrepo(&world.path("repo"), &options);
    let half = world.path("half");
    std::fs::write(&half, &std::fs::read(&web).unwrap()[..1000]).unwrap();
    let mut cache = String::new();
    for round in ["first", "second"] {
        if round == "second" {
            world.rpm("other");
            createrepo(&world.path("repo"), &options);
        }
        let (gate, url) = world.gate(&[&web]).await;
        let destination = world.path(round);
        let arguments = [url.as_str(), cache.as_str(), destination.to_str().unwrap(), "web-1.0-1.noarch.rpm", &sha256(&web)];
        let mut librepo = Command::new("/usr/bin/python3");
        let said = output(librepo.args(["-c", LIBREPO]).args(arguments).env("HALF", &half)).await;
        let said: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(said["error"], serde_json::Value::Null);
        let kinds: Vec<&str> = said["kinds"].as_array().unwrap().iter().filter_map(|kind| kind.as_str()).collect();
        assert!(["primary", "filelists", "other"].iter().all(|kind| kinds.iter().any(|k| k.starts_with(kind))), "{kinds:?}");
        assert!(kinds.iter().any(|kind| kind.starts_with("group")), "{kinds:?}");
        assert_eq!(sha256(&destination.join("web-1.0-1.noarch.rpm")), sha256(&web));
        gate.settle().await;
        assert!(gate.refusals_since(0).is_empty(), "{:?}", gate.refusals_since(0));
        assert!(gate.verdicts().iter().any(|v| v.rule == Rule::KojiRpm));
        cache = destination.display().to_string();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yum_reads_headers_by_ranges_and_asks_whether_something_changed() {
    let world = World::new();
    let web = world.rpm("web");
    createrepo(&world.path("repo"), &[]);
    let primary = std::fs::read_dir(world.path("repo").join("repodata")).unwrap();
    let primary = primary.map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().contains("-primary.xml")).unwrap();
    let text = output(Command::new("zcat").arg(primary)).await;
    let number = |key: &str| -> usize {
        let at = text.find("rpm:header-range").unwrap();
        let value = text[at..].split(&format!("{key}=\"")).nth(1).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    };
    let (start, end) = (number("start"), number("end"));
    let (gate, url) = world.gate(&[&web]).await;
    let (rpm, repomd) = (format!("{url}web-1.0-1.noarch.rpm"), format!("{url}repodata/repomd.xml"));
    let got = world.path("got");
    // urlgrabber: `Range: bytes=START-END`, both inclusive, on a file that nobody has asked for before
    let curl = |options: &[&str], url: &str| {
        let mut command = Command::new("curl");
        command.args(["-sf", "-w", "%{http_code}", "-o"]).arg(&got).args(options).arg(url);
        command
    };
    assert_eq!(output(&mut curl(&["-r", &format!("{start}-{}", end - 1)], &rpm)).await, "206");
    assert_eq!(std::fs::read(&got).unwrap(), std::fs::read(&web).unwrap()[start..end]);
    // reget: the rest of a file that is half there
    std::fs::write(&got, &std::fs::read(&web).unwrap()[..500]).unwrap();
    assert_eq!(output(&mut curl(&["-C", "-"], &rpm)).await, "206");
    assert_eq!(sha256(&got), sha256(&web));
    // reget='check_timestamp', and what proxies do: not modified since it was fetched, with its own time
    std::fs::remove_file(&got).unwrap();
    assert_eq!(output(&mut curl(&["-R"], &repomd)).await, "200");
    let copy = world.path("copy");
    std::fs::rename(&got, &copy).unwrap();
    assert_eq!(output(&mut curl(&["-z", copy.to_str().unwrap()], &repomd)).await, "304");
    assert_eq!(output(&mut curl(&["-z", "Mon, 01 Jan 1990 00:00:00 GMT"], &repomd)).await, "200");
    assert_eq!(output(&mut curl(&["-I"], &rpm)).await, "200");
    gate.settle().await;
    assert!(gate.refusals_since(0).is_empty(), "{:?}", gate.refusals_since(0));
}
