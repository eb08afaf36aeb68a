//! What Koji says today of files that were handed out: asked of many at once, and no verdict counts before
//! (docs/adr/0019-what-koji-says-today.md).

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use build_model::{Blame, Diagnose, Nvra};
use futures_util::future::BoxFuture;
use rpm_provenance::policy::ReleaseRules;
use rpm_provenance::{ContentSource, Gate, GateOptions, HttpClients, KnownRpm, KojiRpms, LookupError, Rule};
use support::{MapKoji, Recipe, createrepo, rpmbuild};

const COUNT: usize = 12;

/// Koji whose rows are known without asking, as those of a repository's `rpmlist.jsonl` are.
struct Listed {
    rows: MapKoji,
    /// RPMs whose build is deleted, which no row says.
    deleted: HashSet<Nvra>,
    /// What `lookup` was asked, request by request.
    asked: Mutex<Vec<Vec<Nvra>>>,
    down: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
#[error("the hub is down")]
struct Down;

impl Diagnose for Down {
    fn blame(&self) -> Blame {
        Blame::Hub
    }
    fn kind(&self) -> &'static str {
        "hub-down"
    }
}

impl KojiRpms for Listed {
    fn lookup<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        Box::pin(async move {
            if self.down.load(Ordering::SeqCst) {
                return Err(LookupError::Hub { count: rpms.len(), source: Down.into() });
            }
            self.asked.lock().unwrap().push(rpms.to_vec());
            let row = |rpm: &Nvra| {
                self.rows.rpms.get(rpm).map(|row| KnownRpm { build_deleted: self.deleted.contains(rpm), ..row.clone() })
            };
            Ok(rpms.iter().map(row).collect())
        })
    }
    fn rows<'a>(&'a self, rpms: &'a [Nvra]) -> BoxFuture<'a, Result<Vec<Option<KnownRpm>>, LookupError>> {
        self.rows.lookup(rpms)
    }
}

struct World {
    dir: tempfile::TempDir,
    rpms: Vec<PathBuf>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("repo");
        std::fs::create_dir(&repo).unwrap();
        let rpm = |n: usize| rpmbuild(&repo, &Recipe { name: &format!("part{n}"), ..Recipe::default() });
        let rpms = (0..COUNT).map(rpm).collect();
        createrepo(&repo, &[]);
        World { dir, rpms }
    }

    fn koji(&self, deleted: &[usize]) -> Arc<Listed> {
        let paths: Vec<&Path> = self.rpms.iter().map(PathBuf::as_path).collect();
        Arc::new(Listed {
            rows: MapKoji::with(&paths),
            deleted: deleted.iter().map(|n| nvra(*n)).collect(),
            asked: Mutex::default(),
            down: AtomicBool::new(false),
        })
    }

    async fn gate(&self, koji: Arc<Listed>) -> (Gate, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let source = ContentSource {
            name: "koji".into(),
            base_url: format!("file://{}", self.dir.path().join("repo").display()),
            repomd_sha256: None,
            gpgkeys: Vec::new(),
            of_request: false,
        };
        let options = GateOptions {
            sources: vec![source],
            cache_dir: self.dir.path().join("cache"),
            cache_limit: None,
            lookup: Some(koji),
            rules: ReleaseRules::default(),
            http: HttpClients::new().unwrap(),
        };
        (Gate::start(vec![listener], options).await.unwrap(), port)
    }
}

fn nvra(n: usize) -> Nvra {
    format!("part{n}-1.0-1.noarch").parse().unwrap()
}

async fn get(port: u16, n: usize) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = http.get(format!("http://127.0.0.1:{port}/repo/koji/{}.rpm", nvra(n))).send().await.unwrap();
    let status = answer.status().as_u16();
    answer.bytes().await.unwrap();
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_koji_says_today_is_asked_for_all_files_of_a_run_together() {
    let world = World::new();
    let koji = world.koji(&[3]);
    let (gate, port) = world.gate(koji.clone()).await;
    for n in 0..COUNT {
        assert_eq!(get(port, n).await, 200);
    }
    gate.settle().await;
    let asked: Vec<Vec<Nvra>> = koji.asked.lock().unwrap().clone();
    // One after the other took less than the time after which a question is asked by itself; a slow machine makes it two.
    assert!(asked.len() <= 3, "{} requests for {COUNT} files", asked.len());
    assert_eq!(asked.concat(), (0..COUNT).map(nvra).collect::<Vec<_>>(), "each once, none left out");
    let verdicts = gate.verdicts();
    assert_eq!(verdicts.len(), COUNT);
    for verdict in &verdicts {
        let deleted = verdict.nvra == Some(nvra(3));
        assert_eq!(verdict.rule, if deleted { Rule::DeletedBuild } else { Rule::KojiRpm }, "{verdict}");
        assert_eq!((verdict.released, verdict.remedy.is_some()), (!deleted, deleted), "{verdict}");
    }
    assert_eq!(gate.refusals_since(0).len(), 1, "the step fails for it");
    // It is not handed out again, and nobody is asked again.
    assert_eq!((get(port, 3).await, get(port, 4).await), (403, 200));
    gate.settle().await;
    assert_eq!(koji.asked.lock().unwrap().len(), asked.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn koji_is_asked_while_the_run_goes_on_when_nothing_more_is_wanted() {
    let world = World::new();
    let (gate, port) = world.gate(world.koji(&[])).await;
    assert_eq!(get(port, 0).await, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    while gate.verdict_count() == 0 {
        assert!(Instant::now() < deadline, "nobody asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.settle().await;
    assert_eq!(gate.verdicts()[0].rule, Rule::KojiRpm);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_does_not_answer_fails_the_step_and_is_asked_again_by_the_next() {
    let world = World::new();
    let koji = world.koji(&[]);
    koji.down.store(true, Ordering::SeqCst);
    let (gate, port) = world.gate(koji.clone()).await;
    assert_eq!(get(port, 0).await, 200);
    gate.settle().await;
    let refused = gate.refusals_since(0);
    assert_eq!((refused.len(), refused[0].rule), (1, Rule::LookupFailed));
    assert!(refused[0].evidence.contains("the hub is down"), "{}", refused[0].evidence);
    koji.down.store(false, Ordering::SeqCst);
    assert_eq!(get(port, 0).await, 200);
    gate.settle().await;
    assert_eq!(gate.verdicts().last().unwrap().rule, Rule::KojiRpm);
    // A gate that is stopped leaves nobody waiting.
    assert_eq!(get(port, 1).await, 200);
    gate.stop().await;
}
