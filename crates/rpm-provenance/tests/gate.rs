//! The gate with real repositories (rpmbuild, createrepo_c), asked over real sockets.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::header::{HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use rpm_provenance::policy::ReleaseRules;
use rpm_provenance::{ContentSource, Gate, GateError, GateOptions, HttpClients, KnownRpm, KojiRpms, Rule};
use support::{MapKoji, Recipe, SigningKey, createrepo, ident, known, rpmbuild, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// A gate over one repository directory.
struct World {
    dir: tempfile::TempDir,
    gate: Option<Gate>,
    port: u16,
    http: reqwest::Client,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().no_gzip().build().unwrap()
}

fn source(base: &Path) -> ContentSource {
    ContentSource {
        name: "koji".into(),
        base_url: format!("file://{}", base.display()),
        repomd_sha256: None,
        gpgkeys: Vec::new(),
        of_request: false,
    }
}

fn options(sources: Vec<ContentSource>, cache: &Path, koji: Option<Arc<dyn KojiRpms>>) -> GateOptions {
    GateOptions {
        sources,
        cache_dir: cache.to_owned(),
        cache_limit: None,
        lookup: koji,
        rules: ReleaseRules::default(),
        http: HttpClients::new().unwrap(),
    }
}

async fn start(sources: Vec<ContentSource>, cache: &Path, koji: Option<Arc<dyn KojiRpms>>) -> Result<(Gate, u16), GateError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    Ok((Gate::start(vec![listener], options(sources, cache, koji)).await?, port))
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("repo")).unwrap();
        World { dir, gate: None, port: 0, http: client() }
    }
    fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }
    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }
    fn build(&self, name: &str) -> PathBuf {
        rpmbuild(&self.repo(), &Recipe { name, ..Recipe::default() })
    }
    async fn start(&mut self, koji: impl KojiRpms + 'static) {
        let (gate, port) = start(vec![source(&self.repo())], &self.cache(), Some(Arc::new(koji))).await.unwrap();
        self.gate = Some(gate);
        self.port = port;
    }
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        let answer = self.http.get(self.url(path)).send().await.unwrap();
        let answer = (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec());
        self.gate().settle().await;
        answer
    }
    /// Asserts a refusal: its status, and a body that names rule, evidence and remedy.
    async fn refused(&self, path: &str, rule: Rule) -> String {
        let (status, body) = self.get(path).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(status, 403, "{text}");
        assert!(text.contains(&format!("refused by the RPM gate: {rule}\n")), "{text}");
        assert!(text.contains("\nevidence: ") && text.contains("\nremedy: "), "{text}");
        assert_eq!(self.gate().verdicts().last().unwrap().rule, rule);
        text
    }
    fn gate(&self) -> &Gate {
        self.gate.as_ref().unwrap()
    }
}

const WEB: &str = "/repo/koji/web-1.0-1.noarch.rpm";

#[tokio::test]
async fn kojis_own_rpm_is_released_byte_for_byte_with_a_verdict() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    world.start(MapKoji::with(&[&rpm])).await;
    let (status, body) = world.get(WEB).await;
    assert_eq!((status, body), (200, std::fs::read(&rpm).unwrap()));
    let verdicts = world.gate().verdicts();
    let verdict = &verdicts[0];
    assert_eq!((verdicts.len(), verdict.rule, verdict.released, verdict.rpm_id), (1, Rule::KojiRpm, true, Some(17)));
    assert_eq!(verdict.sha256header, ident(&rpm).sha256header);
    assert_eq!(verdict.nvra.as_ref().unwrap().to_string(), "web-1.0-1.noarch");
    assert!(world.gate().refusals_since(0).is_empty());
    world.gate.take().unwrap().stop().await;
}

#[tokio::test]
async fn gzip_and_xz_metadata_is_read_and_served_as_pinned() {
    for options in [&["--general-compress-type=gz"][..], &["--general-compress-type=xz"], &["--checksum=sha512"]] {
        let mut world = World::new();
        let rpm = world.build("web");
        createrepo(&world.repo(), options);
        world.start(MapKoji::with(&[&rpm])).await;
        assert_eq!(world.gate().pins()[0].packages, 1, "{options:?}");
        let (status, repomd) = world.get("/repo/koji/repodata/repomd.xml").await;
        assert_eq!((status, &repomd), (200, &std::fs::read(world.repo().join("repodata/repomd.xml")).unwrap()));
        let mut files = 0;
        for entry in std::fs::read_dir(world.repo().join("repodata")).unwrap() {
            let file = entry.unwrap();
            let (status, body) = world.get(&format!("/repo/koji/repodata/{}", file.file_name().to_str().unwrap())).await;
            assert_eq!((status, body), (200, std::fs::read(file.path()).unwrap()));
            files += 1;
        }
        assert!(files >= 4, "{files}");
        assert_eq!(world.get(WEB).await.0, 200, "{options:?}");
        // metadata asked for again does not lengthen the log
        let before = world.gate().verdict_count();
        world.get("/repo/koji/repodata/repomd.xml").await;
        assert_eq!(world.gate().verdict_count(), before);
    }
}

#[tokio::test]
async fn a_foreign_rpm_is_refused() {
    let mut world = World::new();
    world.build("web");
    createrepo(&world.repo(), &[]);
    world.start(MapKoji::default()).await;
    let text = world.refused(WEB, Rule::UnknownToKoji).await;
    assert!(text.contains("Koji has no RPM web-1.0-1.noarch"), "{text}");
    let refusals = world.gate().refusals_since(0);
    assert_eq!(refusals.len(), 1);
    assert!(world.gate().refusals_since(1).is_empty());
}

#[tokio::test]
async fn an_rpm_of_a_known_name_with_another_payload_is_refused() {
    let mut world = World::new();
    let koji_dir = tempfile::tempdir().unwrap();
    let kojis = rpmbuild(koji_dir.path(), &Recipe { content: "built by Koji", ..Recipe::default() });
    let ours = world.build("web");
    createrepo(&world.repo(), &[]);
    // an older hub, which has SIGMD5 only
    let mut koji = MapKoji::default();
    koji.rpms.insert(ident(&kojis).nvra, KnownRpm { sha256header: None, ..known(&kojis) });
    world.start(koji).await;
    let text = world.refused(WEB, Rule::DigestDiffers).await;
    for digest in [ident(&ours).sigmd5.unwrap(), ident(&kojis).sigmd5.unwrap()] {
        assert!(text.contains(&digest), "{text}");
    }
}

#[tokio::test]
async fn a_signed_copy_is_kojis_rpm_all_the_same() {
    let mut world = World::new();
    let rpm = world.build("web");
    let koji = MapKoji::with(&[&rpm]);
    SigningKey::new(world.dir.path()).sign(&rpm);
    createrepo(&world.repo(), &[]);
    world.start(koji).await;
    assert_eq!(world.get(WEB).await.0, 200);
}

#[tokio::test]
async fn external_draft_deleted_and_other_epoch_are_refused_each_by_its_rule() {
    type Change = fn(KnownRpm) -> KnownRpm;
    let cases: [(Change, Rule); 4] = [
        (|k| KnownRpm { external_repo_id: 3, external_repo_name: Some("epel".into()), ..k }, Rule::External),
        (|k| KnownRpm { draft: true, ..k }, Rule::Draft),
        (|k| KnownRpm { build_deleted: true, ..k }, Rule::DeletedBuild),
        (|k| KnownRpm { epoch: Some(9), ..k }, Rule::EpochDiffers),
    ];
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    for (change, rule) in cases {
        let mut koji = MapKoji::default();
        koji.rpms.insert(ident(&rpm).nvra, change(known(&rpm)));
        world.start(koji).await;
        world.refused(WEB, rule).await;
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_the_metadata_promises_is_refused() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    // same size, other bytes
    let mut bytes = std::fs::read(&rpm).unwrap();
    let koji = MapKoji::with(&[&rpm]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&rpm, &bytes).unwrap();
    world.start(koji).await;
    world.refused(WEB, Rule::ChecksumDiffers).await;
    // longer than promised
    bytes.push(0);
    std::fs::write(&rpm, &bytes).unwrap();
    world.refused(WEB, Rule::ChecksumDiffers).await;
}

#[tokio::test]
async fn metadata_that_names_another_package_than_the_file_holds_is_refused() {
    let mut world = World::new();
    let rpm = world.build("evil");
    createrepo(&world.repo(), &["--no-database", "--general-compress-type=gz"]);
    rewrite_primary(&world.repo(), |text| text.replace("<name>evil</name>", "<name>good</name>"));
    let mut koji = MapKoji::default();
    koji.rpms.insert("good-1.0-1.noarch".parse().unwrap(), known(&rpm));
    world.start(koji).await;
    world.refused("/repo/koji/evil-1.0-1.noarch.rpm", Rule::NameDiffers).await;
}

/// Edits primary.xml and makes repomd.xml fit again, as a hostile mirror would.
fn rewrite_primary(repo: &Path, change: impl FnOnce(String) -> String) {
    let text = change(plain_primary(repo));
    repomd_for(repo, "primary.xml", text.as_bytes());
}

fn plain_primary(repo: &Path) -> String {
    let files = std::fs::read_dir(repo.join("repodata")).unwrap().map(|e| e.unwrap().path());
    let primary = files.into_iter().find(|p| p.to_str().unwrap().ends_with("primary.xml.gz")).unwrap();
    run(std::process::Command::new("zcat").arg(primary))
}

/// A repomd.xml that lists one primary file of these bytes.
fn repomd_for(repo: &Path, name: &str, bytes: &[u8]) {
    use sha2::Digest as _;
    let sum: String = sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    std::fs::write(repo.join("repodata").join(name), bytes).unwrap();
    let repomd = format!(
        "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><data type=\"primary\"><checksum type=\"sha256\">{sum}</checksum>\
         <location href=\"repodata/{name}\"/><size>{}</size></data></repomd>",
        bytes.len()
    );
    std::fs::write(repo.join("repodata/repomd.xml"), repomd).unwrap();
}

#[tokio::test]
async fn zstd_metadata_is_read() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    // the createrepo_c of this machine may be too old to write it
    let packed = zstd::encode_all(plain_primary(&world.repo()).as_bytes(), 3).unwrap();
    repomd_for(&world.repo(), "primary.xml.zst", &packed);
    world.start(MapKoji::with(&[&rpm])).await;
    assert_eq!(world.get(WEB).await.0, 200);
}

#[tokio::test]
async fn metadata_that_is_no_metadata_does_not_start_a_gate() {
    let world = World::new();
    world.build("web");
    createrepo(&world.repo(), &[]);
    let bomb = format!("<metadata>{}", "<package>".repeat(1000));
    for text in ["", "<html/>", "<metadata><package></metadata>", bomb.as_str()] {
        repomd_for(&world.repo(), "primary.xml", text.as_bytes());
        match start(vec![source(&world.repo())], &world.cache(), None).await {
            Err(GateError::Metadata { file, .. }) => assert_eq!(file, "repodata/primary.xml"),
            other => panic!("{text}: {:?}", other.err()),
        }
    }
}

#[tokio::test]
async fn locations_that_leave_the_repository_are_never_handed_out() {
    let mut world = World::new();
    let rpm = world.build("web");
    let outside = world.dir.path().join("outside.rpm");
    std::fs::copy(&rpm, &outside).unwrap();
    createrepo(&world.repo(), &["--no-database", "--general-compress-type=gz"]);
    rewrite_primary(&world.repo(), |text| text.replace("href=\"web-1.0-1.noarch.rpm\"", "href=\"../outside.rpm\""));
    world.start(MapKoji::with(&[&rpm])).await;
    let pin = &world.gate().pins()[0];
    assert_eq!((pin.packages, pin.unusable), (0, 1));
    for path in [
        "/repo/koji/../outside.rpm",
        "/repo/koji/x/../../outside.rpm",
        "/repo/koji/%2e%2e/outside.rpm",
        "/repo/koji/..%2foutside.rpm",
    ] {
        let answer = raw(world.port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("path-escapes"), "{path}: {answer}");
    }
    // the file is there under its old name, but the metadata does not list it
    world.refused(WEB, Rule::NotListed).await;
}

#[tokio::test]
async fn packages_of_another_place_are_not_handed_out() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &["--no-database", "--baseurl=http://mirror.example.org/"]);
    world.start(MapKoji::with(&[&rpm])).await;
    let text = world.refused(WEB, Rule::NotListed).await;
    assert!(text.contains("mirror.example.org"), "{text}");
}

#[tokio::test]
async fn metadata_changed_after_pinning_is_refused_and_the_pinned_repomd_stays() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &["--no-database", "--simple-md-filenames"]);
    world.start(MapKoji::with(&[&rpm])).await;
    let pinned = world.get("/repo/koji/repodata/repomd.xml").await.1;
    world.build("later");
    createrepo(&world.repo(), &["--no-database", "--simple-md-filenames"]);
    assert_eq!(world.get("/repo/koji/repodata/repomd.xml").await.1, pinned);
    // primary.xml was fetched when it was pinned; filelists.xml was not
    assert_eq!(world.get("/repo/koji/repodata/primary.xml.gz").await.0, 200);
    let text = world.refused("/repo/koji/repodata/filelists.xml.gz", Rule::MetadataChanged).await;
    assert!(text.contains("build again"), "{text}");
    world.refused("/repo/koji/later-1.0-1.noarch.rpm", Rule::NotListed).await;
    assert_eq!(world.get(WEB).await.0, 200);
}

#[tokio::test]
async fn a_repository_other_than_the_pinned_one_does_not_start() {
    let world = World::new();
    world.build("web");
    createrepo(&world.repo(), &[]);
    let wrong = ContentSource { repomd_sha256: Some("00".repeat(32)), ..source(&world.repo()) };
    match start(vec![wrong], &world.cache(), None).await {
        Err(GateError::PinDiffers { found, .. }) => {
            let right = ContentSource { repomd_sha256: Some(found), ..source(&world.repo()) };
            start(vec![right], &world.cache(), None).await.unwrap().0.stop().await;
        }
        other => panic!("{:?}", other.err()),
    }
    for (name, base) in [("a b", world.repo()), ("koji", world.dir.path().join("nothing"))] {
        let bad = ContentSource { name: name.into(), ..source(&base) };
        assert!(start(vec![bad], &world.cache(), None).await.is_err());
    }
    assert!(matches!(
        start(vec![source(&world.repo()), source(&world.repo())], &world.cache(), None).await,
        Err(GateError::BadSource { .. })
    ));
}

#[tokio::test]
async fn ranges_heads_and_validators_are_honoured() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    world.start(MapKoji::with(&[&rpm])).await;
    let bytes = std::fs::read(&rpm).unwrap();
    for path in [WEB, "/repo/koji/repodata/repomd.xml"] {
        let url = world.url(path);
        let whole = world.http.get(&url).send().await.unwrap();
        let (etag, modified) = (whole.headers()["etag"].clone(), whole.headers()["last-modified"].clone());
        let content = whole.bytes().await.unwrap();
        let part = world.http.get(&url).header(RANGE, "bytes=10-19").send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", content.len()));
        assert_eq!(part.bytes().await.unwrap(), content.slice(10..20));
        let tail = world.http.get(&url).header(RANGE, "bytes=-5").send().await.unwrap();
        assert_eq!(tail.bytes().await.unwrap(), content.slice(content.len() - 5..));
        let beyond = world.http.get(&url).header(RANGE, "bytes=99999999-").send().await.unwrap();
        assert_eq!(beyond.status(), 416);
        let head = world.http.head(&url).send().await.unwrap();
        assert_eq!(
            (head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()),
            (200, content.len().to_string().as_str())
        );
        assert!(head.bytes().await.unwrap().is_empty());
        for (name, value) in [(IF_MODIFIED_SINCE, &modified), (IF_NONE_MATCH, &etag)] {
            let answer = world.http.get(&url).header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), 304);
        }
    }
    assert_eq!(world.get(WEB).await.1, bytes);
}

/// One request as bytes, and everything that comes back.
async fn raw(port: u16, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn other_hosts_are_refused_by_name() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    world.start(MapKoji::with(&[&rpm])).await;
    for request in [
        "GET http://pypi.example.org/simple/ HTTP/1.1\r\nHost: pypi.example.org\r\nConnection: close\r\n\r\n",
        "CONNECT github.example.org:443 HTTP/1.1\r\nHost: github.example.org:443\r\nConnection: close\r\n\r\n",
        "GET /repo/koji/repodata/repomd.xml HTTP/1.1\r\nHost: mirror.example.org\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw(world.port, request).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("host not allowed"), "{answer}");
        let verdict = world.gate().verdicts().pop().unwrap();
        assert_eq!(verdict.rule, Rule::HostNotAllowed);
        assert!(verdict.evidence.contains(".example.org"), "{}", verdict.evidence);
    }
    assert_eq!(world.gate().refusals_since(0).len(), 3);
    // a proxy setting that leads to the gate itself does no harm
    let answer = world.http.get(world.url(WEB)).header(HOST, "localhost:1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let through_proxy = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", world.url(WEB), world.port);
    assert!(raw(world.port, &through_proxy).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn unknown_paths_are_missing_and_other_methods_are_refused() {
    let mut world = World::new();
    world.build("web");
    createrepo(&world.repo(), &[]);
    world.start(MapKoji::default()).await;
    for path in [
        "/",
        "/repo",
        "/repo/koji",
        "/repo/koji/comps.xml",
        "/repo/other/repodata/repomd.xml",
        "/repo/koji/repodata/primary_zck.xml.zck",
    ] {
        assert_eq!(world.get(path).await.0, 404, "{path}");
    }
    assert!(world.gate().refusals_since(0).is_empty(), "what is not there was not refused");
    let answer = world.http.post(world.url(WEB)).body("x").send().await.unwrap();
    assert_eq!(answer.status(), 405);
    let long = format!("GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "a".repeat(64 << 10));
    let answer = raw(world.port, &long).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn concurrent_requests_share_one_download_and_one_question() {
    // the gate under test fetches over HTTP from another one
    let mut upstream = World::new();
    let rpm = upstream.build("web");
    createrepo(&upstream.repo(), &[]);
    let (gate, port) = start(vec![source(&upstream.repo())], &upstream.cache(), None).await.unwrap();
    (upstream.gate, upstream.port) = (Some(gate), port);
    let koji = Arc::new(MapKoji::with(&[&rpm]));
    let base = ContentSource { base_url: upstream.url("/repo/koji"), ..source(Path::new("/")) };
    let cache = upstream.dir.path().join("second-cache");
    let (gate, port) = start(vec![base.clone()], &cache, Some(koji.clone())).await.unwrap();
    let world = World { dir: tempfile::tempdir().unwrap(), gate: Some(gate), port, http: client() };
    let answers = futures_util::future::join_all((0..16).map(|_| world.get(WEB))).await;
    let bytes = std::fs::read(&rpm).unwrap();
    assert!(answers.iter().all(|(status, body)| *status == 200 && *body == bytes));
    assert_eq!(*koji.questions.lock().unwrap(), 2, "its row before it is handed out, and what Koji says today");
    let downloads = |gate: &Gate| gate.verdicts().iter().filter(|v| v.nvra.is_some()).count();
    assert_eq!((downloads(upstream.gate()), downloads(world.gate())), (1, 16));
    assert_eq!(upstream.gate().verdicts().iter().find(|v| v.nvra.is_some()).unwrap().rule, Rule::NotChecked);

    // another build on the same worker finds the file in the cache
    let (second, port) = start(vec![base], &cache, Some(koji)).await.unwrap();
    let world = World { dir: tempfile::tempdir().unwrap(), gate: Some(second), port, http: client() };
    assert_eq!(world.get(WEB).await.0, 200);
    assert_eq!(downloads(upstream.gate()), 1);
    // and no half-written file is left behind
    assert_eq!(std::fs::read_dir(cache.join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_failing_server_is_the_sites_fault_and_is_asked_again() {
    let mut world = World::new();
    let rpm = world.build("web");
    createrepo(&world.repo(), &[]);
    world.start(MapKoji::with(&[&rpm])).await;
    let aside = world.dir.path().join("aside.rpm");
    std::fs::rename(&rpm, &aside).unwrap();
    assert_eq!(world.get(WEB).await.0, 502);
    let verdict = world.gate().verdicts().pop().unwrap();
    assert_eq!((verdict.rule, verdict.rule.blame()), (Rule::UpstreamFailed, build_model::Blame::Site));
    std::fs::rename(&aside, &rpm).unwrap();
    assert_eq!(world.get(WEB).await.0, 200);
}

#[tokio::test]
async fn dnf_reads_the_repo_files_and_downloads_through_the_gate() {
    let mut world = World::new();
    let rpm = world.build("web");
    rpmbuild(&world.repo(), &Recipe { name: "foreign", ..Recipe::default() });
    let key = SigningKey::new(world.dir.path());
    key.sign(&rpm);
    let armoured = world.dir.path().join("key.asc");
    key.export(&armoured);
    createrepo(&world.repo(), &[]);
    let with_key = ContentSource { gpgkeys: vec![armoured], ..source(&world.repo()) };
    let (gate, port) = start(vec![with_key], &world.cache(), Some(Arc::new(MapKoji::with(&[&rpm])))).await.unwrap();
    (world.gate, world.port) = (Some(gate), port);
    let root = world.dir.path().join("root");
    for (path, text) in world.gate().repo_files(port) {
        let file = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    // as the image has it: a proxy of its maker's network
    std::fs::create_dir_all(root.join("etc/dnf")).unwrap();
    std::fs::write(root.join("etc/dnf/dnf.conf"), "[main]\ninstallonly_limit=3\nproxy=http://proxy.example.org:3128\n").unwrap();
    let repo_file = root.join("etc/yum.repos.d/koji.repo");
    let text = std::fs::read_to_string(&repo_file).unwrap();
    assert!(text.contains("gpgcheck=1\ngpgkey=file:///etc/yum.repos.d/koji.0.gpgkey"), "{text}");
    // dnf does not change its root here, so the key has another path than in the sandbox
    std::fs::write(&repo_file, text.replace("file:///etc", &format!("file://{}/etc", root.display()))).unwrap();
    let to = world.dir.path().join("downloaded");
    let dnf = |package: &str| {
        let mut command = tokio::process::Command::new("dnf");
        command.env("http_proxy", world.url("/")).arg("-qy").arg("--installroot").arg(&root);
        command.args(["--releasever=1", "install", "--downloadonly", "--downloaddir"]).arg(&to).arg(package);
        command
    };
    let output = dnf("web").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read(to.join("web-1.0-1.noarch.rpm")).unwrap(), std::fs::read(&rpm).unwrap());
    let before = world.gate().verdict_count();
    assert!(!dnf("foreign").output().await.unwrap().status.success());
    assert_eq!(world.gate().refusals_since(before)[0].rule, Rule::UnknownToKoji);

    // where the image has no proxy of its own, the environment's is the gate, which knows what to say
    std::fs::write(root.join("etc/dnf/dnf.conf"), "[main]\n").unwrap();
    let before = world.gate().verdict_count();
    let elsewhere = dnf("web").arg("--repofrompath=mine,http://mirror.example.org/repo").output().await.unwrap();
    assert!(!elsewhere.status.success());
    assert_eq!(world.gate().refusals_since(before)[0].rule, Rule::HostNotAllowed);
}
