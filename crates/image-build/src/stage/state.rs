//! What a stage knows at one point: the config so far, the ARGs, and the layers below. Stages that build on it begin with
//! a copy.

use std::path::PathBuf;

use build_model::Digest;
use dockerfile::Variables;
use image_layers::{ContainerConfig, LocalImage};

use super::HistoryLine;
use crate::layers::CacheKey;

/// PATH where neither the base image nor ENV sets one.
pub(super) const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image and its unpacked layers.
#[derive(Debug, Clone)]
pub(crate) struct BaseImage {
    pub(crate) image: LocalImage,
    /// Bottom first.
    pub(crate) dirs: Vec<PathBuf>,
    /// Chain id of the top layer; `None` for an image without layers.
    pub(crate) chain: Option<Digest>,
}

/// The state.
#[derive(Debug, Clone)]
pub(crate) struct StageState {
    /// Position of the stage in the file.
    pub(crate) index: usize,
    pub(crate) config: ContainerConfig,
    pub(crate) author: Option<String>,
    /// What words and RUN see: ENV, and declared ARGs that have a value.
    variables: Variables,
    /// The image at the bottom, `None` for scratch.
    pub(crate) base: Option<BaseImage>,
    /// New layers, bottom first.
    pub(crate) layers: Vec<usize>,
    /// One line for each instruction since the base image.
    pub(crate) history: Vec<HistoryLine>,
    /// Names everything so far.
    pub(crate) key: CacheKey,
    /// Chain id of everything so far, as long as every layer is in the store.
    pub(crate) chain: Option<Option<Digest>>,
    /// CMD was set in this very stage.
    pub(crate) cmd_is_own: bool,
}

impl StageState {
    /// An empty stage.
    pub(crate) fn scratch(index: usize, key: CacheKey) -> Self {
        // As BuildKit has it: PATH and the working directory are written down.
        let config =
            ContainerConfig { env: vec![DEFAULT_PATH.to_owned()], working_dir: "/".to_owned(), ..ContainerConfig::default() };
        let variables = Variables::from_env(pairs(&config.env).into_iter().collect());
        Self {
            index,
            config,
            author: None,
            variables,
            base: None,
            layers: Vec::new(),
            history: Vec::new(),
            key,
            chain: Some(None),
            cmd_is_own: false,
        }
    }

    /// A stage on an image.
    pub(crate) fn on_image(index: usize, base: BaseImage, key: CacheKey) -> Self {
        let mut state = Self::scratch(index, key);
        state.config = base.image.config.config.clone();
        state.variables = Variables::from_env(pairs(&state.config.env).into_iter().collect());
        state.author = base.image.config.author.clone();
        state.chain = Some(base.chain.clone());
        state.base = Some(base);
        state
    }

    /// A stage on this one.
    pub(crate) fn child(&self, index: usize) -> Self {
        Self { index, cmd_is_own: false, ..self.clone() }
    }

    /// The value of a variable in words.
    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        self.variables.get(name)
    }

    /// Sets an ENV, in its old place when it had one.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.variables.set_env(name.to_owned(), value.to_owned());
        let pair = format!("{name}={value}");
        match self.config.env.iter_mut().find(|p| p.split_once('=').is_some_and(|(n, _)| n == name)) {
            Some(old) => *old = pair,
            None => self.config.env.push(pair),
        }
    }

    pub(super) fn set_arg(&mut self, name: &str, value: String) {
        self.variables.set_arg(name.to_owned(), value);
    }

    /// The shell of shell-form commands.
    pub(super) fn shell(&self) -> Vec<String> {
        let own = self.config.shell.clone().filter(|s| !s.is_empty());
        own.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()])
    }

    /// The working directory, absolute.
    pub(super) fn working_dir(&self) -> String {
        match self.config.working_dir.as_str() {
            "" => "/".to_owned(),
            dir if dir.starts_with('/') => dir.to_owned(),
            dir => format!("/{dir}"),
        }
    }

    /// A path of an instruction, relative ones below the working directory.
    pub(super) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.working_dir().trim_end_matches('/')) }
    }

    /// Environment of a RUN as far as it decides what the RUN does: first the names of the config in their order, each with
    /// the value words see, then the other ARGs by name.
    pub(super) fn run_environment(&self) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = Vec::new();
        let in_config = pairs(&self.config.env).into_iter().map(|(name, _)| name);
        for name in in_config.chain(self.variables.all().keys().cloned()) {
            if let Some(value) = self.lookup(&name).filter(|_| !env.iter().any(|(n, _)| *n == name)) {
                env.push((name, value));
            }
        }
        if !env.iter().any(|(n, _)| n == "PATH") {
            env.extend(pairs(&[DEFAULT_PATH.to_owned()]));
        }
        env
    }
}

/// The `NAME=VALUE` lines of a config; others are left out.
fn pairs(env: &[String]) -> Vec<(String, String)> {
    env.iter().filter_map(|pair| pair.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> StageState {
        StageState::scratch(0, CacheKey::base(None, "", ""))
    }

    #[test]
    fn of_arg_and_env_with_one_name_the_later_is_seen_and_only_env_is_kept() {
        let mut state = state();
        state.set_arg("version", "1".into());
        state.set_arg("other", "x".into());
        assert_eq!(state.lookup("version").as_deref(), Some("1"));
        state.set_env("version", "2");
        assert_eq!(state.lookup("version").as_deref(), Some("2"));
        state.set_arg("version", "3".into());
        assert_eq!(state.lookup("version").as_deref(), Some("3"));
        let env = state.run_environment();
        assert_eq!(env[1..], [("version".into(), "3".into()), ("other".into(), "x".into())]);
        assert_eq!(state.config.env[1..], ["version=2"], "ARGs are not part of the config");
        assert_eq!(state.child(1).lookup("version").as_deref(), Some("3"), "a stage on the stage sees the same");
    }

    #[test]
    fn arguments_hide_the_environment_of_the_base() {
        let mut state = state();
        state.set_arg("PATH", "/tools".into());
        assert_eq!(state.run_environment(), [("PATH".into(), "/tools".into())]);
        assert_eq!(state.config.env, [DEFAULT_PATH]);
    }

    #[test]
    fn env_keeps_its_order_and_place() {
        let mut state = state();
        state.set_env("a", "1");
        state.set_env("b", "2");
        state.set_env("a", "3");
        assert_eq!(state.config.env[1..], ["a=3", "b=2"]);
    }

    #[test]
    fn relative_paths_are_below_the_working_directory() {
        let mut state = state();
        assert_eq!(state.absolute("x"), "/x");
        state.config.working_dir = "/srv/".into();
        assert_eq!((state.absolute("x").as_str(), state.absolute("/y").as_str()), ("/srv/x", "/y"));
    }
}
