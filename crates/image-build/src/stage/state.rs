//! What a stage knows at one point: the config so far, the ARGs, and the layers below. Stages that build on it begin with
//! a copy.

use std::path::PathBuf;

use build_model::Digest;
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
    /// Declared ARGs that have a value, in order of their declaration.
    pub(crate) args: Vec<(String, String)>,
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
        Self {
            index,
            config,
            author: None,
            args: Vec::new(),
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
        state.author = base.image.config.author.clone();
        state.chain = Some(base.chain.clone());
        state.base = Some(base);
        state
    }

    /// A stage on this one.
    pub(crate) fn child(&self, index: usize) -> Self {
        Self { index, cmd_is_own: false, ..self.clone() }
    }

    /// The value of a variable in words: ENV before ARG.
    pub(crate) fn lookup(&self, name: &str) -> Option<String> {
        let env = self.config.env.iter().rev().find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name));
        env.map(|(_, value)| value.to_owned()).or_else(|| self.args.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
    }

    /// Sets an ENV, in its old place when it had one.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        match self.config.env.iter_mut().find(|p| p.split_once('=').is_some_and(|(n, _)| n == name)) {
            Some(old) => *old = pair,
            None => self.config.env.push(pair),
        }
    }

    pub(super) fn set_arg(&mut self, name: &str, value: String) {
        match self.args.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.args.push((name.to_owned(), value)),
        }
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

    /// Environment of a RUN as far as it decides what the RUN does: ENV, then ARGs that no ENV hides.
    pub(super) fn run_environment(&self) -> Vec<(String, String)> {
        let split = |pair: &String| pair.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        let mut env: Vec<(String, String)> = self.config.env.iter().filter_map(split).collect();
        for (name, value) in &self.args {
            if !env.iter().any(|(n, _)| n == name) {
                env.push((name.clone(), value.clone()));
            }
        }
        if !env.iter().any(|(n, _)| n == "PATH") {
            env.extend(split(&DEFAULT_PATH.to_owned()));
        }
        env
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> StageState {
        StageState::scratch(0, CacheKey::base(None, "", ""))
    }

    #[test]
    fn env_hides_args_of_the_same_name() {
        let mut state = state();
        state.set_arg("version", "1".into());
        state.set_arg("other", "x".into());
        assert_eq!(state.lookup("version").as_deref(), Some("1"));
        state.set_env("version", "2");
        state.set_arg("version", "3".into());
        assert_eq!(state.lookup("version").as_deref(), Some("2"));
        let env = state.run_environment();
        assert!(env.contains(&("version".into(), "2".into())) && env.contains(&("other".into(), "x".into())));
        assert_eq!(env.iter().filter(|(n, _)| n == "version").count(), 1);
        assert!(!state.config.env.iter().any(|e| e.starts_with("other=")), "ARGs are not part of the config");
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
