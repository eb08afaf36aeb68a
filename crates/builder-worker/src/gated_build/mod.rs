//! The build engine behind the gate: a network namespace whose only peer is the gate, the repositories' definitions
//! mounted into every RUN, and a RUN that ends with a refusal of the gate fails, whatever its exit code says.
//!
//! Used by the task (`steps/build_arch.rs`) and by `containerbuild build`.

mod bases;
mod repo_mounts;
mod solver_caches;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose};
use image_build::netns::IsolatedNetwork;
use image_build::{
    BaseExtras, BuildRequest, BuiltImage, CancelFlag, LayerFollower, Progress, ProgressEvent, RemoteFetcher, RunHooks,
    SandboxError, SandboxNetwork, SandboxOptions, StepInfo, SubordinateIds, UserNamespace,
};
use image_layers::{Compression, FileDigestAlgorithm, ManifestFormat, Store};
use rpm_provenance::policy::ReleaseRules;
use rpm_provenance::{BuildStep, ContentSource, Gate, GateOptions, HttpClients, KojiRpms, Pin, Rule, Session, Verdict};

use crate::build_context::BuildContext;
use crate::pinned_images::PinnedImages;
use crate::remote_fetcher::HostFetcher;

/// Where RUN steps find the gate, inside their network namespace.
const GATE_PORT: u16 = 3128;

/// What RUN steps may reach.
pub enum Reach {
    /// Nothing.
    Nothing,
    /// The gate alone.
    Gate {
        /// The repositories it serves.
        sources: Vec<ContentSource>,
        /// Who answers for RPMs; `None` releases unproven packages (builds without a hub).
        lookup: Option<Arc<dyn KojiRpms>>,
        /// The site's rules about RPMs.
        rules: ReleaseRules,
        /// Proven packages, shared by all builds of this machine.
        cache_dir: PathBuf,
        /// Bytes they may take; no limit when absent.
        cache_limit: Option<u64>,
    },
    /// The machine's network (`--network host`; never in a task). ADD may fetch then, too.
    Host,
}

/// Whether root in a RUN is nobody on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserNamespaces {
    /// It is root.
    Off,
    /// It is nobody where this machine can do it; else a note says why not.
    WherePossible(SubordinateIds),
    /// It is nobody, or the build fails.
    Required(SubordinateIds),
}

/// One build.
pub struct GatedBuild<'a> {
    /// Architecture of the image.
    pub arch: &'a Arch,
    /// The Dockerfile and its plan.
    pub context: &'a BuildContext,
    /// Directory COPY and ADD read from.
    pub root: &'a Path,
    /// Image store.
    pub store: &'a Store,
    /// Private directory; the caller removes it.
    pub work_dir: &'a Path,
    /// Every image the plan names.
    pub images: &'a PinnedImages,
    /// Labels set on the result.
    pub labels: &'a BTreeMap<String, String>,
    /// Seconds since 1970 that times are clamped to.
    pub source_date_epoch: i64,
    /// One layer for all instructions of the last stage.
    pub squash: bool,
    /// Whether layers of earlier builds may be used.
    pub use_cache: bool,
    /// How new layers are compressed.
    pub compression: Compression,
    /// The format of the manifest.
    pub format: ManifestFormat,
    /// Digests taken of the files of new layers on the way.
    pub file_digests: &'a [FileDigestAlgorithm],
    /// Sees new layers of the image as they are packed.
    pub layer_follower: Option<&'a dyn LayerFollower>,
    /// Runtime, limits and secrets of RUN steps; network, mounts and namespace are added here.
    pub sandbox: SandboxOptions,
    /// Whether RUN steps get a user namespace.
    pub user_namespaces: UserNamespaces,
    /// Where progress goes.
    pub progress: &'a dyn Progress,
    /// Set to stop the build.
    pub cancel: &'a CancelFlag,
}

/// What came out, with everything the gate said.
pub struct GatedResult {
    /// The image.
    pub built: BuiltImage,
    /// The gate's verdicts in order.
    pub verdicts: Vec<Verdict>,
    /// What the repositories were pinned to.
    pub pins: Vec<Pin>,
    /// Keeps the packages in the cache for as long as this result is looked at.
    _session: Option<Arc<Session>>,
}

/// A RUN step asked the gate for something it does not hand out.
#[derive(Debug, thiserror::Error)]
#[error("asked for what may not go into this image:\n{refusals}")]
pub struct Refused {
    refusals: String,
    blame: Blame,
    remedy: Option<String>,
}

impl Diagnose for Refused {
    fn blame(&self) -> Blame {
        self.blame
    }
    fn kind(&self) -> &'static str {
        "gate-refused"
    }
    fn hint(&self) -> Option<String> {
        self.remedy.clone()
    }
}

/// The machinery around the engine could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum GatedBuildError {
    /// No isolated network, or no listener in it.
    #[error("cannot set up the network of RUN steps")]
    Network(#[source] std::io::Error),
    /// The repository files cannot be written.
    #[error("cannot write the repository definitions to {path}")]
    RepoFiles {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The directory for the package managers' caches.
    #[error("cannot use the directory for caches of package managers")]
    SolverCache {
        /// Why.
        source: std::io::Error,
    },
    /// No HTTP client for the repositories.
    #[error("cannot set up the gate's HTTP client")]
    Client(#[source] reqwest::Error),
}

impl Diagnose for GatedBuildError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        match self {
            GatedBuildError::Network(_) => "sandbox-network",
            GatedBuildError::RepoFiles { .. } => "sandbox-repo-files",
            GatedBuildError::SolverCache { .. } => "solver-cache",
            GatedBuildError::Client(_) => "gate-client",
        }
    }
}

/// Builds the image. Blocking parts run beside the asynchronous gate.
///
/// # Errors
/// The gate's when a repository cannot be pinned, [`Refused`], or the engine's.
pub async fn build(build: &GatedBuild<'_>, reach: Reach) -> Result<GatedResult, BoxedDiagnose> {
    let namespace = user_namespace(build)?;
    let sandbox = SandboxOptions {
        user_namespace: namespace.clone(),
        require_user_namespace: matches!(build.user_namespaces, UserNamespaces::Required(_)),
        ..build.sandbox.clone()
    };
    match reach {
        Reach::Nothing => run_engine(build, sandbox, None, None),
        Reach::Host => {
            // As BuildKit has it, ADD takes the agent that a mount without an id would get.
            let agent = build.sandbox.ssh_agents.get("default").map(PathBuf::as_path);
            let remote = HostFetcher::new(agent, &build.sandbox.secrets, build.progress, build.cancel)?;
            run_engine(build, SandboxOptions { network: SandboxNetwork::Host, ..sandbox }, None, Some(&remote))
        }
        Reach::Gate { sources, lookup, rules, cache_dir, cache_limit } => {
            let network = IsolatedNetwork::new(build.work_dir, namespace.as_deref())?;
            let listeners = vec![network.listen(GATE_PORT).map_err(GatedBuildError::Network)?];
            let http = HttpClients::new().map_err(GatedBuildError::Client)?;
            let gate = Gate::start(listeners, GateOptions { sources, cache_dir, cache_limit, lookup, rules, http }).await?;
            let network_file = SandboxNetwork::Namespace(network.path().to_owned());
            let sandbox = SandboxOptions { network: network_file, run_env: run_env(), ..sandbox };
            let result = run_engine(build, sandbox, Some(&gate), None);
            gate.stop().await;
            result
        }
    }
}

/// The namespace of this build, with ids that no other build has.
fn user_namespace(build: &GatedBuild<'_>) -> Result<Option<Arc<UserNamespace>>, SandboxError> {
    let (ids, required) = match &build.user_namespaces {
        UserNamespaces::Off => return Ok(None),
        UserNamespaces::WherePossible(ids) => (ids, false),
        UserNamespaces::Required(ids) => (ids, true),
    };
    match UserNamespace::new(ids) {
        Ok(namespace) => Ok(Some(Arc::new(namespace))),
        Err(error) if required => Err(error),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            let text = format!("RUN steps have no user namespace of their own: {error}{cause}{hint}");
            build.progress.event(ProgressEvent::Note { text });
            Ok(None)
        }
    }
}

fn run_engine(
    build: &GatedBuild<'_>,
    mut sandbox: SandboxOptions,
    gate: Option<&Gate>,
    remote: Option<&dyn RemoteFetcher>,
) -> Result<GatedResult, BoxedDiagnose> {
    let pins = gate.map(Gate::pins).unwrap_or_default();
    let hooks = GateHooks {
        gate,
        progress: build.progress,
        runtime: tokio::runtime::Handle::current(),
        seen: AtomicUsize::new(0),
        epoch: build.source_date_epoch,
        scratch: build.work_dir,
    };
    let salt: Vec<&str> = pins.iter().map(|p| p.repomd_sha256.as_str()).collect();
    // The engine blocks for minutes. On the multi-thread runtime this thread leaves the pool meanwhile, so that the
    // gate's connections are served by the others.
    let built = tokio::task::block_in_place(|| {
        if let Some(gate) = gate {
            prepare_sandbox(gate, build, &mut sandbox)?;
        }
        let salt = salt.join(" ");
        let request = BuildRequest { remote, ..engine_request(build, &sandbox, &hooks, &salt) };
        image_build::build(&request).map_err(BoxedDiagnose::from)
    })?;
    let verdicts = gate.map(Gate::verdicts).unwrap_or_default();
    Ok(GatedResult { built, verdicts, pins, _session: gate.map(Gate::session) })
}

/// The gate's definitions over those of the images, and the caches of their package managers under what RUN writes.
fn prepare_sandbox(gate: &Gate, build: &GatedBuild<'_>, sandbox: &mut SandboxOptions) -> Result<(), BoxedDiagnose> {
    sandbox.injected.push(repo_mounts::definitions(gate, build.work_dir)?);
    let bases = bases::bases_of_runs(&build.context.plan, build.images, build.store)?;
    for base in &bases {
        let injected = repo_mounts::concealed(base, build.work_dir, build.progress)?;
        sandbox.for_base.insert(base.chain.clone(), BaseExtras { injected, underlays: Vec::new() });
    }
    for base in &bases {
        let underlays = solver_caches::underlays(gate, build, base, sandbox);
        if let Some(extras) = sandbox.for_base.get_mut(&base.chain) {
            extras.underlays = underlays;
        }
    }
    Ok(())
}

fn engine_request<'a>(
    build: &GatedBuild<'a>,
    sandbox: &'a SandboxOptions,
    run_hooks: &'a GateHooks<'_>,
    cache_salt: &'a str,
) -> BuildRequest<'a> {
    BuildRequest {
        arch: build.arch,
        plan: &build.context.plan,
        context: build.root,
        ignore: build.context.ignore.clone(),
        dockerfile_name: &build.context.dockerfile_name,
        store: build.store,
        work_dir: build.work_dir,
        images: build.images,
        remote: None,
        labels: build.labels,
        source_date_epoch: build.source_date_epoch,
        squash: build.squash,
        use_cache: build.use_cache,
        compression: build.compression,
        format: build.format,
        file_digests: build.file_digests,
        layer_follower: build.layer_follower,
        sandbox,
        run_hooks,
        progress: build.progress,
        cancel: build.cancel,
        cache_salt,
    }
}

/// Sends programs that honour a proxy to the gate, which refuses other hosts with a reason: better than a name that
/// does not resolve. Local services of a RUN stay reachable. And a Python that runs as root leaves no byte code behind:
/// layers clamp times, so it would take the cached code of RPMs for old and write its own over it, which nothing could
/// account for. These exist while a RUN runs and never in the image.
fn run_env() -> Vec<(String, String)> {
    let proxy = format!("http://127.0.0.1:{GATE_PORT}");
    let mut env = vec![("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned())];
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
        env.push((name.to_owned(), proxy.clone()));
    }
    for name in ["no_proxy", "NO_PROXY"] {
        env.push((name.to_owned(), "127.0.0.1,localhost,::1".to_owned()));
    }
    env
}

struct GateHooks<'a> {
    gate: Option<&'a Gate>,
    progress: &'a dyn Progress,
    runtime: tokio::runtime::Handle,
    seen: AtomicUsize,
    epoch: i64,
    scratch: &'a Path,
}

impl RunHooks for GateHooks<'_> {
    fn before_run(&self, step: &StepInfo) {
        if let Some(gate) = self.gate {
            self.seen.store(gate.verdict_count(), Ordering::SeqCst);
            let instruction = step.text.lines().next().unwrap_or_default().to_owned();
            gate.set_step(Some(BuildStep { line: step.span.first_line, instruction }));
        }
    }

    fn after_run(&self, _step: &StepInfo, _exit: i32) -> Result<(), BoxedDiagnose> {
        let Some(gate) = self.gate else { return Ok(()) };
        // A file that was let through by its headers is judged by its end before the step may count.
        self.runtime.block_on(gate.settle());
        gate.set_step(None);
        let seen = self.seen.load(Ordering::SeqCst);
        for verdict in gate.verdicts_since(seen) {
            // Metadata is of no interest in the log unless something is wrong with it; the report has all of it.
            if verdict.rule != Rule::PinnedMetadata {
                self.progress.event(ProgressEvent::Note { text: format!("gate: {verdict}") });
            }
        }
        let refusals = gate.refusals_since(seen);
        let Some(first) = refusals.first() else { return Ok(()) };
        // dnf asks again for what it does not get; one line is enough.
        let mut list: Vec<String> = Vec::new();
        for refusal in &refusals {
            let line = format!("  {} (rule {}): {}", refusal.url, refusal.rule, refusal.evidence);
            if !list.contains(&line) {
                list.push(line);
            }
        }
        Err(Refused { refusals: list.join("\n"), blame: first.rule.blame(), remedy: first.remedy.clone() }.into())
    }
    fn settle(&self, _step: &StepInfo, upper: &Path) -> Result<(), BoxedDiagnose> {
        Ok(crate::settle::settle(upper, self.epoch, self.scratch)?)
    }
}
