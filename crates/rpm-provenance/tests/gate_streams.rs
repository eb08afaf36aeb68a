//! The gate while files are still coming: first bytes early, the last byte only when everything is verified, one
//! download for all builds, and broken transfers that go on where they stopped.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rpm_provenance::policy::{Policy, ReleaseRules};
use rpm_provenance::{
    BuildStep, ContentSource, Gate, GateOptions, HttpClients, KnownSignature, KojiRpms, Rule, Verdict, package_file,
};
use support::upstream::{Conduct, Upstream};
use support::{MapKoji, Recipe, SigningKey, createrepo, rpmbuild};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

const BIG: &str = "big-1.0-1.noarch.rpm";

/// A repository behind a web server, with one RPM larger than what is sent only when it is whole.
struct World {
    dir: tempfile::TempDir,
    rpm: PathBuf,
    upstream: Upstream,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        // hex digits of a simple generator: compresses to a half
        let mut seed = 88_172_645_463_325_252_u64;
        let content: String = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            format!("{seed:016x}")
        })
        .take(400_000)
        .collect();
        let rpm = rpmbuild(&repo, &Recipe { name: "big", content: &content, ..Recipe::default() });
        assert!(rpm.metadata().unwrap().len() > 2 << 20);
        createrepo(&repo, &[]);
        let upstream = Upstream::start(&repo).await;
        World { dir, rpm, upstream }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn options(&self, koji: impl KojiRpms + 'static) -> GateOptions {
        GateOptions {
            sources: vec![ContentSource {
                name: "koji".into(),
                base_url: self.upstream.url(),
                repomd_sha256: None,
                gpgkeys: Vec::new(),
                of_request: false,
            }],
            cache_dir: self.cache(),
            cache_limit: None,
            lookup: Some(Arc::new(koji)),
            rules: ReleaseRules::default(),
            http: HttpClients::new().unwrap(),
        }
    }

    async fn gate(&self) -> (Gate, u16) {
        start(self.options(MapKoji::with(&[&self.rpm]))).await
    }
}

async fn start(options: GateOptions) -> (Gate, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (Gate::start(vec![listener], options).await.unwrap(), port)
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/repo/koji/{BIG}")
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().no_gzip().build().unwrap()
}

fn parts(cache: &Path) -> usize {
    std::fs::read_dir(cache.join("tmp")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_bytes_come_before_the_upstream_has_sent_the_last_ones() {
    let world = World::new().await;
    let go = Arc::new(Semaphore::new(0));
    world.upstream.conduct(BIG, Conduct::HalfUntil(go.clone()));
    let (gate, port) = world.gate().await;
    let bytes = std::fs::read(&world.rpm).unwrap();
    let mut answer = http().get(url(port)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut got = Vec::new();
    while got.len() < bytes.len() / 2 {
        got.extend_from_slice(&answer.chunk().await.unwrap().unwrap());
    }
    // a range of what is here is answered too, and the verdict waits for the rest
    let part = http().get(url(port)).header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap()), (206, bytes[100..200].to_vec().into()));
    assert!(!gate.verdicts().iter().any(|v| v.nvra.is_some()));
    go.add_permits(1);
    while let Some(piece) = answer.chunk().await.unwrap() {
        got.extend_from_slice(&piece);
    }
    assert_eq!(got, bytes);
    gate.settle().await;
    let verdicts: Vec<Verdict> = gate.verdicts().into_iter().filter(|v| v.nvra.is_some()).collect();
    assert!(verdicts.len() == 2 && verdicts.iter().all(|v| v.rule == Rule::KojiRpm && v.released), "{verdicts:?}");
    assert_eq!((world.upstream.requests(BIG).len(), parts(&world.cache())), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_turns_out_to_be_another_one_is_never_sent_to_its_end() {
    let world = World::new().await;
    world.upstream.conduct(BIG, Conduct::LastByteDiffers);
    let (gate, port) = world.gate().await;
    let size = world.rpm.metadata().unwrap().len() as usize;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("GET /repo/koji/{BIG} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got).await;
    let body = got.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| got.len() - at - 4);
    // broken off, or refused when the end was here before the answer began
    assert!(body < size, "{body}");
    gate.settle().await;
    let refusals = gate.refusals_since(0);
    assert_eq!((refusals.len(), refusals[0].rule), (1, Rule::ChecksumDiffers), "{refusals:?}");
    assert_eq!(parts(&world.cache()), 0);
    let cached = rpm_files(&world.cache());
    assert!(cached.iter().all(|f| f.metadata().unwrap().len() != size as u64), "{cached:?}");
}

/// Everything below the cache that is called by a digest.
fn rpm_files(cache: &Path) -> Vec<PathBuf> {
    let shards = std::fs::read_dir(cache.join("sha256")).unwrap().map(|e| e.unwrap().path());
    shards.flat_map(|shard| std::fs::read_dir(shard).unwrap().map(|e| e.unwrap().path())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_needs_no_more_than_the_headers() {
    let world = World::new().await;
    world.upstream.conduct(BIG, Conduct::HalfUntil(Arc::new(Semaphore::new(0))));
    let (gate, port) = start(world.options(MapKoji::default())).await;
    let answer = http().get(url(port)).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("unknown-to-koji"));
    assert_eq!(gate.refusals_since(0)[0].rule, Rule::UnknownToKoji);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_transfer_goes_on_where_it_stopped() {
    for conduct in [Conduct::BreaksOff(2), Conduct::BreaksOffWithoutRanges(1)] {
        let ranges = matches!(conduct, Conduct::BreaksOff(_));
        let world = World::new().await;
        world.upstream.conduct(BIG, conduct);
        let (_gate, port) = world.gate().await;
        let bytes = http().get(url(port)).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(bytes, std::fs::read(&world.rpm).unwrap());
        let asked = world.upstream.requests(BIG);
        assert_eq!(asked.len(), if ranges { 3 } else { 2 }, "{asked:?}");
        assert!(asked[0].is_none() && asked[1..].iter().all(Option::is_some), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_side_by_side_share_one_download() {
    let world = World::new().await;
    let go = Arc::new(Semaphore::new(0));
    world.upstream.conduct(BIG, Conduct::HalfUntil(go.clone()));
    // two gates know nothing of each other: the lock on the part file stands between them, as between processes
    let (one, first) = world.gate().await;
    let (two, second) = world.gate().await;
    let get = |port| tokio::spawn(async move { http().get(url(port)).send().await.unwrap().bytes().await.unwrap() });
    let begun = get(first);
    while world.upstream.requests(BIG).is_empty() {
        tokio::task::yield_now().await;
    }
    let waits = get(second);
    go.add_permits(1);
    let bytes = std::fs::read(&world.rpm).unwrap();
    assert!(begun.await.unwrap() == bytes && waits.await.unwrap() == bytes);
    assert_eq!(world.upstream.requests(BIG).len(), 1);
    for gate in [one, two] {
        gate.settle().await;
        assert!(gate.verdicts().iter().any(|v| v.rule == Rule::KojiRpm));
        gate.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_build_asks_the_upstream_for_repomd_alone() {
    let world = World::new().await;
    let (gate, port) = world.gate().await;
    assert_eq!(http().get(url(port)).send().await.unwrap().bytes().await.unwrap(), std::fs::read(&world.rpm).unwrap());
    let pins = gate.pins();
    gate.stop().await;
    // nothing but repomd.xml can be had any more
    std::fs::remove_file(&world.rpm).unwrap();
    let repodata = world.dir.path().join("repo/repodata");
    for entry in std::fs::read_dir(&repodata).unwrap().map(|e| e.unwrap().path()) {
        if !entry.ends_with("repomd.xml") {
            std::fs::remove_file(entry).unwrap();
        }
    }
    let koji = world.dir.path().join("koji.rpm");
    let cached = rpm_files(&world.cache()).into_iter().find(|f| f.metadata().unwrap().len() > 2 << 20).unwrap();
    std::fs::copy(cached, &koji).unwrap();
    let (gate, port) = start(world.options(MapKoji::with(&[&koji]))).await;
    assert_eq!(gate.pins(), pins);
    assert_eq!(http().get(url(port)).send().await.unwrap().status(), 200);
    assert_eq!(world.upstream.requests("repodata/repomd.xml").len(), 2);
}

/// A site's rules about RPMs, as they stand in its configuration.
fn rules(json: serde_json::Value) -> ReleaseRules {
    fn list<T: serde::de::DeserializeOwned>(json: &serde_json::Value, kind: &str) -> Vec<T> {
        json.get(kind).map(|rules| serde_json::from_value(rules.clone()).unwrap()).unwrap_or_default()
    }
    let policy = Policy {
        signing_keys: &list(&json, "signing_keys"),
        content_tags: &list(&json, "content_tags"),
        packages: &list(&json, "packages"),
        parent_images: &[],
        registries: &[],
        repositories: &[],
        labels: &[],
        same_versions: &[],
        size: &[],
        files: &rpm_provenance::files::FilePolicy::default(),
    };
    ReleaseRules::of(&policy, Some("f40-container-candidate"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_verdict_names_the_run_that_asked() {
    let world = World::new().await;
    let options = GateOptions {
        rules: rules(serde_json::json!({"packages": [
            {"name": "small", "reason": "too big", "forbidden": ["b?g"], "remedy": "take a small one"}
        ]})),
        ..world.options(MapKoji::with(&[&world.rpm]))
    };
    let (gate, port) = start(options).await;
    let step = BuildStep { line: 7, instruction: "RUN dnf -y install big".into() };
    gate.set_step(Some(step.clone()));
    let answer = http().get(url(port)).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let seen = "`b?g` is forbidden (rule packages/small: too big)";
    assert!(text.contains("blocked-package") && text.contains(seen) && text.contains("take a small one"), "{text}");
    gate.set_step(None);
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x02\x00 hello\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let told = gate.verdicts_since(0);
    let rules: Vec<(Rule, Option<&BuildStep>)> = told.iter().map(|v| (v.rule, v.step.as_ref())).collect();
    assert_eq!(rules, [(Rule::BlockedPackage, Some(&step)), (Rule::MalformedRequest, None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_site_allows_tags_only_rpms_of_builds_in_them_are_released() {
    let world = World::new().await;
    for (tags, decision, expected) in [
        (&["f40"][..], "refuse", (200, Rule::KojiRpm)),
        // Only the hub knows the tags, and it is asked about many at once: the verdict comes after the file.
        (&["f40-candidate"], "refuse", (200, Rule::WrongTag)),
        (&[], "refuse", (200, Rule::WrongTag)),
        (&["f40-candidate"], "warn", (200, Rule::KojiRpm)),
    ] {
        let rule = serde_json::json!({"name": "released", "reason": "r", "allowed": ["f40-updates"], "decision": decision});
        let koji = MapKoji {
            build_tags: [(5, tags.iter().map(|tag| (*tag).to_owned()).collect())].into(),
            inherited_tags: [("f40-updates".to_owned(), vec!["f40".to_owned()])].into(),
            ..MapKoji::with(&[&world.rpm])
        };
        let options = GateOptions { rules: rules(serde_json::json!({"content_tags": [rule]})), ..world.options(koji) };
        let (gate, port) = start(options).await;
        let answer = http().get(url(port)).send().await.unwrap();
        let status = answer.status().as_u16();
        let _ = answer.bytes().await;
        gate.settle().await;
        let verdict = gate.verdicts().pop().unwrap();
        assert_eq!((status, verdict.rule), expected, "{tags:?}");
        assert_eq!(verdict.evidence.contains("(rule content_tags/released: r)"), tags != ["f40"], "{}", verdict.evidence);
        let refused = expected.1 == Rule::WrongTag;
        assert_eq!(gate.refusals_since(0).len(), usize::from(refused), "the step fails");
        // What was refused once is refused before the next gets a byte.
        let again = http().get(url(port)).send().await.unwrap();
        assert_eq!(again.status().as_u16(), if refused { 403 } else { 200 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_site_allows_keys_only_kojis_own_signature_releases() {
    let world = World::new().await;
    let signed = |signatures| MapKoji { signatures: [(17, signatures)].into(), ..MapKoji::with(&[&world.rpm]) };
    let keys = |key: &str| rules(serde_json::json!({"signing_keys": [{"name": "ours", "reason": "r", "allowed": [key]}]}));
    let status = async |options: GateOptions| {
        let (gate, port) = start(options).await;
        let answer = http().get(url(port)).send().await.unwrap();
        let status = answer.status().as_u16();
        let _ = answer.bytes().await;
        gate.settle().await;
        let verdict = gate.verdicts().pop().unwrap();
        gate.stop().await;
        (status, verdict.rule, verdict.evidence)
    };
    let unsigned = status(GateOptions { rules: keys("deadbeef"), ..world.options(signed(Vec::new())) }).await;
    assert_eq!((unsigned.0, unsigned.1), (403, Rule::Unsigned));

    SigningKey::new(world.dir.path()).sign(&world.rpm);
    createrepo(&world.dir.path().join("repo"), &[]);
    let mut file = std::io::BufReader::new(std::fs::File::open(&world.rpm).unwrap());
    let header = package_file::read_header(&mut file).unwrap();
    let key = header.ident.sigkey().unwrap().to_owned();
    let recorded = |sighash: &str| vec![KnownSignature { sigkey: key.clone(), sighash: sighash.to_owned() }];
    let ours = signed(recorded(&header.sighash));
    let wrong = status(GateOptions { rules: keys("deadbeef"), ..world.options(ours) }).await;
    assert_eq!((wrong.0, wrong.1), (403, Rule::WrongKey));
    let forged = signed(recorded(&"00".repeat(16)));
    let forged = status(GateOptions { rules: keys(&key), ..world.options(forged) }).await;
    assert_eq!((forged.0, forged.1), (200, Rule::WrongKey), "{}", forged.2);
    let ours = signed(recorded(&header.sighash));
    let right = status(GateOptions { rules: keys(&key), ..world.options(ours) }).await;
    assert_eq!((right.0, right.1), (200, Rule::KojiRpm));
    assert!(right.2.ends_with(&format!("signed by {key}")), "{}", right.2);
}

#[test]
fn the_sighash_is_the_md5_of_the_signature_header_with_its_padding() {
    use md5::Digest as _;
    let dir = tempfile::tempdir().unwrap();
    let rpm = rpmbuild(dir.path(), &Recipe::default());
    let bytes = std::fs::read(&rpm).unwrap();
    // as koji.find_rpm_sighdr counts: 16 bytes of intro, 16 an index entry, the data, up to a multiple of 8
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let size = (16 + 16 * word(104) + word(108)).next_multiple_of(8);
    let sum: String = md5::Md5::digest(&bytes[96..96 + size]).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(package_file::read_header(&mut bytes.as_slice()).unwrap().sighash, sum);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_names_may_not_lead_to_another_host() {
    let world = World::new().await;
    let elsewhere = format!("http://localhost:{}/{BIG}?there", world.upstream.port);
    world.upstream.conduct(BIG, Conduct::LeadsTo(elsewhere));
    for (confined, status) in [(true, 502), (false, 200)] {
        let mut options = world.options(MapKoji::with(&[&world.rpm]));
        options.sources[0].of_request = confined;
        options.cache_dir = world.dir.path().join(format!("cache-{confined}"));
        let (gate, port) = start(options).await;
        assert_eq!(http().get(url(port)).send().await.unwrap().status(), status, "{confined}");
        gate.settle().await;
        assert_eq!(world.upstream.requests(&format!("{BIG}?there")).len(), usize::from(!confined));
    }
}

/// Where a client hangs up, the download goes on for others, and the step still gets its verdict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_changes_nothing_for_the_verdict() {
    let world = World::new().await;
    let go = Arc::new(Semaphore::new(0));
    world.upstream.conduct(BIG, Conduct::HalfUntil(go.clone()));
    let (gate, port) = world.gate().await;
    let mut answer = http().get(url(port)).send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    drop(answer);
    let settled = tokio::time::timeout(Duration::from_millis(200), gate.settle()).await;
    assert!(settled.is_err(), "the file is not verified yet");
    go.add_permits(1);
    gate.settle().await;
    assert_eq!(gate.verdicts().last().map(|v| v.rule), Some(Rule::KojiRpm));
}
