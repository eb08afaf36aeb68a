//! A store, a build context and a base image for one test; a build that checks that nothing is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use build_model::{Blame, BoxedDiagnose, Diagnose};
use dockerfile::{BuildPlan, IgnoreRules, PlanOptions, Platform, parse, plan};
use image_build::{
    BaseExtras, BuildError, BuildRequest, BuiltImage, CancelFlag, ImageSource, InjectedMount, Limits, NoHooks, Progress,
    ProgressEvent, RemoteFetcher, RunHooks, SandboxNetwork, SandboxOptions, SubordinateIds, Underlay, UserNamespace, build,
};
use image_layers::{
    Compression, ImageConfig, LocalImage, ManifestFormat, MergedView, PackOptions, Store, assemble_image, pack_layer,
};

/// The base image's name in Dockerfiles.
pub const BASE: &str = "registry.example.org/base:1";
/// 2023-11-14
pub const EPOCH: i64 = 1_700_000_000;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n";
const GROUP: &str = "root:x:0:\napp:x:1001:\nwheel:x:10:app\n";

pub struct World {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub images: Images,
    user_namespace: OnceLock<Arc<UserNamespace>>,
}

#[derive(Default)]
pub struct Images(pub BTreeMap<String, LocalImage>);

#[derive(Debug, thiserror::Error)]
#[error("there is no image {0} here")]
struct NoImage(String);

impl Diagnose for NoImage {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "no-image"
    }
}

impl ImageSource for Images {
    fn resolve(&self, reference: &str, _platform: &Platform) -> Result<LocalImage, BoxedDiagnose> {
        self.0.get(reference).cloned().ok_or_else(|| NoImage(reference.to_owned()).into())
    }
}

/// What a test may ask for besides the Dockerfile.
pub struct Options {
    pub network: SandboxNetwork,
    pub injected: Vec<InjectedMount>,
    /// For stages on the base image.
    pub underlays: Vec<Underlay>,
    pub run_env: Vec<(String, String)>,
    pub limits: Limits,
    /// The rest of what the sandbox can be told.
    pub sandbox: SandboxOptions,
    pub user_namespace: bool,
    pub squash: bool,
    pub use_cache: bool,
    pub labels: BTreeMap<String, String>,
    pub build_args: BTreeMap<String, String>,
    pub ignore: Option<String>,
    /// Another name for the build context.
    pub context: Option<PathBuf>,
    pub cancel: CancelFlag,
    pub hooks: Arc<dyn RunHooks>,
    pub remote: Option<Arc<dyn RemoteFetcher>>,
    pub salt: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            network: SandboxNetwork::None,
            injected: Vec::new(),
            underlays: Vec::new(),
            run_env: Vec::new(),
            limits: Limits::default(),
            sandbox: SandboxOptions::new("crun"),
            user_namespace: true,
            squash: false,
            use_cache: false,
            labels: BTreeMap::new(),
            build_args: BTreeMap::new(),
            ignore: None,
            context: None,
            cancel: CancelFlag::new(),
            hooks: Arc::new(NoHooks),
            remote: None,
            salt: String::new(),
        }
    }
}

/// Keeps the events of a build, and may cancel it at a line of output.
#[derive(Default)]
pub struct Recorder {
    pub events: Mutex<Vec<ProgressEvent>>,
    pub cancel_at: Option<(String, CancelFlag)>,
}

impl Progress for Recorder {
    fn event(&self, event: ProgressEvent) {
        if let (Some((text, flag)), ProgressEvent::OutputLine { line, .. }) = (&self.cancel_at, &event)
            && line == text
        {
            flag.cancel();
        }
        self.events.lock().expect("lock").push(event);
    }
}

impl Recorder {
    pub fn output(&self) -> Vec<String> {
        let events = self.events.lock().expect("lock");
        events
            .iter()
            .filter_map(|e| if let ProgressEvent::OutputLine { line, .. } = e { Some(line.clone()) } else { None })
            .collect()
    }

    pub fn notes(&self) -> Vec<String> {
        let events = self.events.lock().expect("lock");
        events.iter().filter_map(|e| if let ProgressEvent::Note { text } = e { Some(text.clone()) } else { None }).collect()
    }

    /// Text of the steps that were taken from the cache.
    pub fn cached(&self) -> Vec<String> {
        let events = self.events.lock().expect("lock");
        let cached = |e: &ProgressEvent| match e {
            ProgressEvent::StepFinished { step, cached: true, .. } => Some(step.text.clone()),
            _ => None,
        };
        events.iter().filter_map(cached).collect()
    }
}

impl World {
    /// A store with the base image in it, and an empty context.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("engine-").tempdir().expect("tempdir");
        let store = Store::open(&dir.path().join("store")).expect("store");
        for sub in ["context", "work"] {
            fs::create_dir(dir.path().join(sub)).expect("mkdir");
        }
        let mut world = Self { dir, store, images: Images::default(), user_namespace: OnceLock::new() };
        let root = world.dir.path().join("base");
        busybox_root(&root);
        world.add_image(BASE, &root, ImageConfig::default());
        world
    }

    /// The namespace of this test's builds.
    pub fn user_namespace(&self) -> Arc<UserNamespace> {
        let made = || Arc::new(UserNamespace::new(&SubordinateIds::default()).expect("a user namespace"));
        Arc::clone(self.user_namespace.get_or_init(made))
    }

    /// Makes an image of one layer from a directory.
    pub fn add_image(&mut self, name: &str, root: &Path, config: ImageConfig) {
        let options = PackOptions { clamp_mtime: Some(EPOCH), ..PackOptions::default() };
        let layer = pack_layer(&self.store, root, &[], &options).expect("pack the base");
        let architecture = build_model::Arch::host().oci().to_owned();
        let config = ImageConfig { architecture, os: "linux".to_owned(), ..config };
        let image = assemble_image(&self.store, None, &[layer], config, ManifestFormat::Oci).expect("assemble the base");
        self.images.0.insert(name.to_owned(), image);
    }

    pub fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("mkdir");
        fs::write(path, text).expect("write");
    }

    pub fn build(&self, text: &str) -> BuiltImage {
        self.build_with(text, &Options::default()).unwrap_or_else(|e| panic!("{e:?}\n{e}"))
    }

    pub fn build_with(&self, text: &str, options: &Options) -> Result<BuiltImage, BuildError> {
        self.build_watched(text, options, &Recorder::default())
    }

    /// Builds, and fails the test when a mount, container or file is left.
    pub fn build_watched(&self, text: &str, options: &Options, recorder: &Recorder) -> Result<BuiltImage, BuildError> {
        let result = self.build_at(&self.dir.path().join("work"), text, options, recorder);
        self.assert_nothing_left();
        result
    }

    pub fn build_at(
        &self,
        work_dir: &Path,
        text: &str,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<BuiltImage, BuildError> {
        let text = text.replace("BASE", BASE);
        let file = parse(text.as_bytes(), "Dockerfile").unwrap_or_else(|e| panic!("{e}"));
        let platform = Platform { os: "linux".into(), architecture: build_model::Arch::host().oci().into(), variant: None };
        let plan = plan(&file, &PlanOptions { target: None, build_args: options.build_args.clone(), platform }).expect("a plan");
        self.build_plan_at(work_dir, &plan, &self.images, options, progress)
    }

    /// As [`World::build_with`], with images from elsewhere.
    pub fn build_plan(&self, plan: &BuildPlan, images: &dyn ImageSource, options: &Options) -> Result<BuiltImage, BuildError> {
        let result = self.build_plan_at(&self.dir.path().join("work"), plan, images, options, &Recorder::default());
        self.assert_nothing_left();
        result
    }

    fn build_plan_at(
        &self,
        work_dir: &Path,
        plan: &BuildPlan,
        images: &dyn ImageSource,
        options: &Options,
        progress: &dyn Progress,
    ) -> Result<BuiltImage, BuildError> {
        // The base image has one layer, and the chain id of a first layer is its diff id.
        let chain = self.images.0[BASE].config.rootfs.diff_ids[0].clone();
        let extras = BaseExtras { injected: Vec::new(), underlays: options.underlays.clone() };
        let for_base = BTreeMap::from([(chain, extras)]);
        let sandbox = SandboxOptions {
            network: options.network.clone(),
            for_base,
            injected: options.injected.clone(),
            run_env: options.run_env.clone(),
            limits: options.limits.clone(),
            user_namespace: options.user_namespace.then(|| self.user_namespace()),
            require_user_namespace: !on_older_kernel(),
            ..options.sandbox.clone()
        };
        let context = options.context.clone().unwrap_or_else(|| self.context());
        build(&BuildRequest {
            arch: &build_model::Arch::host(),
            plan,
            context: &context,
            ignore: options.ignore.as_deref().map(|text| IgnoreRules::parse(text).expect("ignore rules")),
            dockerfile_name: "Dockerfile",
            store: &self.store,
            work_dir,
            images,
            remote: options.remote.as_deref(),
            labels: &options.labels,
            source_date_epoch: EPOCH,
            squash: options.squash,
            use_cache: options.use_cache,
            compression: Compression::Gzip { level: 1 },
            format: ManifestFormat::Oci,
            file_digests: &[],
            layer_follower: None,
            sandbox: &sandbox,
            run_hooks: options.hooks.as_ref(),
            progress,
            cancel: &options.cancel,
            cache_salt: &options.salt,
        })
    }

    pub fn assert_nothing_left(&self) {
        let root = self.dir.path().display().to_string();
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let mounts: Vec<&str> = mountinfo.lines().filter(|l| l.contains(&root)).collect();
        assert!(mounts.is_empty(), "mounts are left: {mounts:#?}");
        let work = self.dir.path().join("work");
        assert_eq!(fs::read_dir(&work).expect("list").count(), 0, "files are left in the work directory");
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        let stats = children.split_whitespace().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        let dead: Vec<String> = stats.filter(|stat| stat.contains(") Z ")).collect();
        // One of the last container may still be on its way.
        assert!(dead.len() < 2, "dead processes nobody waited for: {dead:?}");
        // Others may build on this machine; what belongs to nobody is ours.
        let orphans: Vec<PathBuf> = cgroups().into_iter().filter(|(_, build)| !run_dir(build).exists()).map(|(p, _)| p).collect();
        assert!(orphans.is_empty(), "cgroups are left: {orphans:?}");
        for session in fs::read_dir(self.store.root().join("tmp")).expect("list").flatten() {
            let left: Vec<_> = fs::read_dir(session.path()).into_iter().flatten().flatten().map(|e| e.path()).collect();
            let left: Vec<_> = left.into_iter().filter(|p: &PathBuf| !p.ends_with(".lock")).collect();
            assert!(left.is_empty(), "temporary files are left in the store: {left:?}");
        }
    }
}

/// Whether this kernel has no overlays of idmapped layers (before Linux 5.19): RUN steps have no user namespace there.
pub fn on_older_kernel() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) < (Some(5), Some(19))
}

/// The cgroups of builds on this machine, each with the name of its build.
pub fn cgroups() -> Vec<(PathBuf, String)> {
    let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    // In this process `unified` is no cgroup tree (T2).
    let trees = trees.filter(|tree| tree.file_name() != "unified").map(|tree| tree.path());
    let groups = trees.chain(["/sys/fs/cgroup".into()]).flat_map(|tree| fs::read_dir(tree).into_iter().flatten().flatten());
    groups
        .filter_map(|group| {
            let name = group.file_name().to_string_lossy().into_owned();
            let build = name.strip_prefix("containerbuild-")?.split("-run-").next()?.to_owned();
            build.starts_with("build-").then(|| (group.path(), build))
        })
        .collect()
}

/// What the build `name` shows its containers.
pub fn run_dir(name: &str) -> PathBuf {
    Path::new("/run/containerbuild").join(name)
}

/// The merged tree of an image.
pub fn view(built: &BuiltImage) -> MergedView {
    MergedView::new(built.layer_dirs.iter().rev().cloned().collect())
}

/// A file's text in an image; panics when it is not there.
pub fn text(built: &BuiltImage, path: &str) -> String {
    let content = view(built).read(path, 1 << 20).expect("read").unwrap_or_else(|| panic!("no {path}"));
    String::from_utf8(content).expect("utf-8")
}

/// Every path in the layer `index` from the top of the new ones (0 is the first new layer), with `wh:` before whiteouts.
pub fn paths(built: &BuiltImage, index: usize) -> Vec<String> {
    let first_new = built.layer_dirs.len() - built.new_layers;
    let dir = &built.layer_dirs[first_new + index];
    let mut found = Vec::new();
    collect(dir, dir, &mut found);
    found.sort();
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<String>) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    for entry in fs::read_dir(dir).expect("list").flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).expect("below").display().to_string();
        let metadata = entry.metadata().expect("metadata");
        let whiteout = metadata.file_type().is_char_device() && metadata.rdev() == 0;
        found.push(if whiteout { format!("wh:{name}") } else { name });
        if metadata.is_dir() {
            collect(root, &path, found);
        }
    }
}

/// The files of the base image: busybox, some users.
pub fn busybox_root(root: &Path) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|p| is_static(Path::new(p)));
    let busybox = busybox.expect("a static busybox is needed: apt-get install busybox-static");
    for dir in ["bin", "etc", "proc", "sys", "dev", "tmp", "root", "home/app", "usr/lib"] {
        fs::create_dir_all(root.join(dir)).expect("mkdir");
        fs::set_permissions(root.join(dir), fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    fs::set_permissions(root, fs::Permissions::from_mode(0o555)).expect("chmod");
    fs::copy(busybox, root.join("bin/busybox")).expect("copy");
    let applets = "sh cat echo ls rm mkdir touch sleep id pwd env grep wget chmod chown stat kill mv cp hostname unshare ip true false test \
                   mount umount wc ps head dd sed ln mknod mkfifo sort find printf stty seq tail nc setsid cut tr readlink";
    for applet in applets.split_whitespace() {
        symlink("busybox", root.join("bin").join(applet)).expect("symlink");
    }
    symlink("usr/lib", root.join("lib")).expect("symlink");
    fs::write(root.join("etc/passwd"), PASSWD).expect("write");
    fs::write(root.join("etc/group"), GROUP).expect("write");
    fs::write(root.join("etc/motd"), "base\n").expect("write");
}

/// Static programs have no interpreter (program header 3 of an ELF file).
fn is_static(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| !bytes.windows(8).take(1024).any(|w| w == b"/lib64/l" || w.starts_with(b"/lib/ld")))
}
