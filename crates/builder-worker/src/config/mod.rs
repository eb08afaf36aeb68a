//! The site's configuration: one TOML file, every table a struct of its own, unknown keys refused.
//!
//! Read by `containerbuild worker`, by its task processes and by `containerbuild check-config`.
//! The file is parsed whole and then checked ([`Settings::load`]); nothing is read from the environment,
//! so that what `check-config` prints is what a builder does.

mod content;
mod gate;
mod hub;
mod image;
mod labels;
mod lookaside;
mod namespaces;
mod policy;
mod registry;
mod sandbox;
pub(crate) mod unknown_key;

use std::path::{Path, PathBuf};

use build_model::{Arch, Blame, Diagnose};
use serde::{Deserialize, Serialize};

pub use content::{ContentSettings, ContentSourceSettings, Origin};
pub use gate::GateSettings;
pub use hub::HubSettings;
pub use image::ImageSettings;
pub use labels::{LabelSettings, UrlPiece, url_pieces};
pub use lookaside::LookasideSettings;
pub use namespaces::NamespaceSettings;
pub use policy::PolicySettings;
pub use registry::{AliasSettings, RegistrySettings};
pub use sandbox::{SandboxSettings, SecretSettings, SubordinateIdSettings, UserNamespaceSetting};

/// Everything a builder needs to know about its site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How to reach the hub, and as whom.
    pub hub: HubSettings,
    /// This builder.
    pub worker: WorkerSettings,
    /// Where images come from and go to.
    pub registry: RegistrySettings,
    /// Which dist-git repositories may be built.
    #[serde(default)]
    pub scm: ScmSettings,
    /// Where large files of dist-git repositories are.
    #[serde(default)]
    pub lookaside: LookasideSettings,
    /// Under which name builds are imported.
    #[serde(default)]
    pub content_generator: ContentGeneratorSettings,
    /// The OCI runtime and the limits of a RUN step.
    #[serde(default)]
    pub sandbox: SandboxSettings,
    /// What the gate keeps of what content sources offer.
    #[serde(default)]
    pub gate: GateSettings,
    /// The form of the images that are made.
    #[serde(default)]
    pub image: ImageSettings,
    /// A file with the table `[policy]`, shared by all builders; relative to this one. Instead of `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<PathBuf>,
    /// What must be true of an image before it is pushed.
    #[serde(default)]
    pub policy: PolicySettings,
    /// What is added to the labels of every image.
    #[serde(default)]
    pub labels: LabelSettings,
    /// Content sources by target name; `default` serves targets that are not named.
    #[serde(default)]
    pub content: std::collections::BTreeMap<String, ContentSettings>,
}

/// `[worker]`: this builder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerSettings {
    /// Directory for the image store, task directories and caches. Best on XFS; it is created when absent.
    pub state_dir: PathBuf,
    /// Architecture this builder builds for, where that is not the machine's own: another one that its kernel runs
    /// through an emulator (binfmt_misc). The host must be registered in Koji for it.
    pub arch: Option<Arch>,
    /// How many tasks may build at once; those that wait for subtasks do not count.
    #[serde(default = "default_max_jobs")]
    pub max_jobs: u32,
    /// Seconds between questions for tasks while there is nothing to do. At 3.6 that is 1000 requests an hour and 1180 calls;
    /// kojid, which asks five things every 15 s, makes 1200.
    #[serde(default = "default_poll_seconds")]
    pub poll_seconds: f64,
    /// Address and port, like `10.0.0.7:7979`, where the hub plugin's `wake` says that there is a task. Without it tasks are
    /// found by asking.
    pub wake: Option<std::net::SocketAddr>,
    /// Seconds between check-ins while tasks run here and a little longer. Within this time a cancelled task is noticed.
    #[serde(default = "default_busy_poll_seconds")]
    pub busy_poll_seconds: f64,
    /// Not ready below this much free space in `state_dir`, in MB.
    #[serde(default = "default_min_free_mb")]
    pub min_free_mb: u64,
    /// Not ready while the load average of the last minute is above this for each processor; kojid's limit is 4. 0 looks at
    /// no load.
    #[serde(default = "default_max_load_per_cpu")]
    pub max_load_per_cpu: f64,
    /// Longest a task may run, in seconds.
    #[serde(default = "default_task_seconds")]
    pub max_task_seconds: u64,
}

impl WorkerSettings {
    /// The architecture this builder builds for.
    pub fn arch(&self) -> Arch {
        self.arch.clone().unwrap_or_else(Arch::host)
    }
}

fn default_max_jobs() -> u32 {
    4
}
fn default_poll_seconds() -> f64 {
    3.6
}
fn default_busy_poll_seconds() -> f64 {
    1.5
}
fn default_min_free_mb() -> u64 {
    8192
}
fn default_max_load_per_cpu() -> f64 {
    4.0
}
fn default_task_seconds() -> u64 {
    6 * 3600
}

/// `[scm]`: which sources may be built.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScmSettings {
    /// kojid's `allowed_scms` syntax: `host:path-pattern` separated by blanks, `!` refuses. Empty allows nothing.
    pub allowed: String,
    /// Also ask the hub's `build_from_scm` policy, as kojid does with `allowed_scms_use_policy`.
    pub use_hub_policy: bool,
    /// Also ask the hub's `scm` policy after the checkout, as Koji's builder plugin scmpolicy does. It is told all branches
    /// that hold the commit, which takes the history of the repository.
    pub use_scm_policy: bool,
    /// Whether a repository may ask for its git submodules (`submodules` in container.yaml). `allowed` holds for each.
    pub submodules: bool,
    /// Directories of dist-git that images are built from, and how their packages are called in Koji. Empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespaceSettings>,
}

/// `[content_generator]`: the identity of imports.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContentGeneratorSettings {
    /// Name given to `koji grant-cg-access`.
    pub name: String,
}

impl Default for ContentGeneratorSettings {
    fn default() -> Self {
        Self { name: "containerbuild".into() }
    }
}

/// The parts of a site's configuration that `containerbuild verify` goes by.
#[derive(Debug, Clone, Default)]
pub struct VerifySettings {
    /// The rules.
    pub policy: PolicySettings,
    /// Which dist-git repositories may be built; nothing is allowed where the file does not say.
    pub scm: ScmSettings,
    /// Where large files of dist-git repositories are.
    pub lookaside: LookasideSettings,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not valid.
    #[error("the configuration is not valid: {explanation}")]
    Parse {
        /// File, line, column, what is wrong, and the nearest valid key.
        explanation: String,
    },
    /// A value or a pair of values that cannot work.
    #[error("the configuration {path}: {key} {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, like `hub.cert`.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Diagnose for ConfigError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "configuration"
    }
    fn hint(&self) -> Option<String> {
        Some(
            "correct the file, and try it: a worker's with `containerbuild check-config FILE`, a policy alone with \
             `containerbuild policy test DIR`"
                .into(),
        )
    }
}

impl Settings {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// When it cannot be read, has an unknown key or a wrong type (with line and column), or holds a contradiction.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let mut settings = Self::parse(path, &text)?;
        settings.read_policy_file(path, &text)?;
        settings.check_files(path)?;
        Ok(settings)
    }

    /// The policy a configuration file means: a worker's configuration, or a file with `[policy]` alone.
    ///
    /// # Errors
    /// As [`Settings::load`]; that the files it names are on this machine is not asked for.
    pub fn load_policy(path: &Path) -> Result<PolicySettings, ConfigError> {
        Self::load_for_verify(path).map(|settings| settings.policy)
    }

    /// What a configuration file tells whoever verifies an image: as [`Settings::load_policy`], and where sources are.
    ///
    /// # Errors
    /// As [`Settings::load_policy`].
    pub fn load_for_verify(path: &Path) -> Result<VerifySettings, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let is_whole = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("hub") || table.contains_key("worker"));
        if !is_whole {
            return Ok(VerifySettings { policy: PolicySettings::load(path)?, ..VerifySettings::default() });
        }
        let mut settings = Self::parse(path, &text)?;
        settings.read_policy_file(path, &text)?;
        Ok(VerifySettings { policy: settings.policy, scm: settings.scm, lookaside: settings.lookaside })
    }

    fn read_policy_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let Some(file) = &self.policy_file else { return Ok(()) };
        if text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("policy")) {
            let problem = "and the table `policy` exclude each other".to_owned();
            return Err(ConfigError::Value { path: path.to_owned(), key: "policy_file".into(), problem });
        }
        self.policy = PolicySettings::load(&path.parent().unwrap_or(Path::new(".")).join(file))?;
        Ok(())
    }

    /// Parses the text of a configuration and checks what can be known without looking at other files.
    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let settings: Self =
            toml::from_str(text).map_err(|error| ConfigError::Parse { explanation: unknown_key::explain(path, text, &error) })?;
        settings.check(path)?;
        Ok(settings)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let bad =
            |key: &str, problem: &str| ConfigError::Value { path: path.to_owned(), key: key.into(), problem: problem.into() };
        if self.worker.max_jobs == 0 {
            return Err(bad("worker.max_jobs", "must be at least 1"));
        }
        if let Some(arch) = self.worker.arch.as_ref().filter(|arch| Arch::canonical(arch.as_str()).as_ref() != Ok(arch)) {
            return Err(bad("worker.arch", &format!("must be Koji's name of an architecture, not `{arch}`")));
        }
        let polls = [("poll_seconds", self.worker.poll_seconds), ("busy_poll_seconds", self.worker.busy_poll_seconds)];
        if let Some((key, _)) = polls.into_iter().find(|(_, seconds)| !(0.2..=120.0).contains(seconds)) {
            let problem = "must be between 0.2 and 120: the hub takes a silent host's tasks away";
            return Err(bad(&format!("worker.{key}"), problem));
        }
        if !(0.0..=1000.0).contains(&self.worker.max_load_per_cpu) {
            return Err(bad("worker.max_load_per_cpu", "must be between 0 and 1000"));
        }
        self.hub.check().map_err(|(key, problem)| bad(key, problem))?;
        if self.registry.push.contains(['@', '/']) {
            return Err(bad("registry.push", "is HOST or HOST:PORT; credentials are in `auth_file`"));
        }
        // Here and not where it is parsed: errors of the parser show the line.
        if self.lookaside.url.as_ref().is_some_and(|url| has_credentials(url.pattern())) {
            return Err(bad("lookaside.url", "holds a user name or password, which would stand in logs"));
        }
        self.policy.check(path)?;
        for (target, content) in &self.content {
            for source in &content.sources {
                if source.url.as_deref().is_some_and(has_credentials) {
                    let key = format!("content.{target}.sources.{}.url", source.name);
                    return Err(bad(&key, "holds a user name or password, which would stand in logs and builds"));
                }
                source.origin().map_err(|problem| bad(&format!("content.{target}.sources.{}", source.name), problem))?;
            }
        }
        for namespace in &self.scm.namespaces {
            let key = |part: &str| format!("scm.namespaces.{}.{part}", namespace.name);
            namespace.check().map_err(|(part, problem)| bad(&key(part), &problem))?;
        }
        self.image.check().map_err(|(key, problem)| bad(key, problem))?;
        self.labels.check().map_err(|(key, problem)| bad(key, &problem))?;
        self.sandbox.check().map_err(|(key, problem)| bad(key, &problem))?;
        Ok(())
    }

    fn check_files(&self, path: &Path) -> Result<(), ConfigError> {
        let named = [
            ("hub.cert", &self.hub.cert),
            ("hub.ca", &self.hub.ca),
            ("hub.password_file", &self.hub.password_file),
            ("hub.keytab", &self.hub.keytab),
        ];
        for (key, file) in named {
            if let Some(file) = file.as_ref().filter(|f| !f.is_file()) {
                let problem = format!("names {}, which is not a file", file.display());
                return Err(ConfigError::Value { path: path.to_owned(), key: key.into(), problem });
            }
        }
        Ok(())
    }

    /// The content sources of a target, those of `default` when it is not named. `None`: the build tag's own repository.
    pub fn content_of(&self, target: &str) -> Option<&ContentSettings> {
        self.content.get(target).or_else(|| self.content.get("default"))
    }

    /// Directory of the image store.
    pub fn store_dir(&self) -> PathBuf {
        self.worker.state_dir.join("store")
    }

    /// Directory of the packages the gate has proven.
    pub fn gate_cache_dir(&self) -> PathBuf {
        self.worker.state_dir.join("gate")
    }

    /// Directory that holds one directory per task.
    pub fn tasks_dir(&self) -> PathBuf {
        self.worker.state_dir.join("tasks")
    }
}

/// Whether a URL has a part before `@`. Such URLs are refused: they end up in logs and in Koji.
pub(crate) fn has_credentials(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authority.contains('@')
}

#[cfg(test)]
mod tests;
