//! What [`crate::build`] is asked for and what it gives back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use build_model::Arch;
use dockerfile::{BuildPlan, IgnoreRules};
use image_layers::{Compression, FileDigestAlgorithm, LocalImage, ManifestFormat, Store};

use crate::cancel::CancelFlag;
use crate::hooks::{ImageSource, LayerFollower, RemoteFetcher, RunHooks};
use crate::progress::Progress;
use crate::sandbox::SandboxOptions;

/// One build of one Dockerfile for one architecture.
#[derive(Clone)]
pub struct BuildRequest<'a> {
    /// Architecture of the image; its programs must run on this kernel, by themselves or through an emulator.
    pub arch: &'a Arch,
    /// What to do.
    pub plan: &'a BuildPlan,
    /// Directory that COPY and ADD read from.
    pub context: &'a Path,
    /// What of it they do not see (`.dockerignore`).
    pub ignore: Option<IgnoreRules>,
    /// The Dockerfile's name for messages.
    pub dockerfile_name: &'a str,
    /// Where layers and images are kept.
    pub store: &'a Store,
    /// Private directory for mounts and containers; the caller removes it afterwards.
    pub work_dir: &'a Path,
    /// Where images come from.
    pub images: &'a dyn ImageSource,
    /// Where ADD of URLs and git repositories gets them from; `None` refuses it.
    pub remote: Option<&'a dyn RemoteFetcher>,
    /// Labels set on the result; they override `LABEL`.
    pub labels: &'a BTreeMap<String, String>,
    /// Seconds since 1970: the image's date, and the latest time a file in a new layer has.
    pub source_date_epoch: i64,
    /// One layer for everything above the base image. The instruction cache is not used then.
    pub squash: bool,
    /// Whether steps of earlier builds may stand in for the same steps of this one.
    pub use_cache: bool,
    /// How new layers are compressed.
    pub compression: Compression,
    /// Format of the manifest.
    pub format: ManifestFormat,
    /// Digests taken of every file of the new layers while they are packed, for `Store::file_digests`; may be empty.
    pub file_digests: &'a [FileDigestAlgorithm],
    /// Sees new layers of the image as they are packed.
    pub layer_follower: Option<&'a dyn LayerFollower>,
    /// How RUN runs.
    pub sandbox: &'a SandboxOptions,
    /// Called around every RUN.
    pub run_hooks: &'a dyn RunHooks,
    /// Receives events.
    pub progress: &'a dyn Progress,
    /// Stops the build.
    pub cancel: &'a CancelFlag,
    /// Part of every cache key: whatever else decides what a RUN does, such as the state of package repositories.
    pub cache_salt: &'a str,
}

/// A finished build.
#[derive(Debug)]
pub struct BuiltImage {
    /// The image; its blobs are in the store.
    pub image: LocalImage,
    /// Its unpacked layers in the store, bottom first.
    pub layer_dirs: Vec<PathBuf>,
    /// The image it builds on; `None` for `FROM scratch`.
    pub base: Option<LocalImage>,
    /// How many of the layers are new.
    pub new_layers: usize,
    /// Where the time went.
    pub phases: Vec<PhaseTime>,
}

/// Time spent in one phase of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseTime {
    /// `base`, `run`, `copy`, `pack-wait`, `squash`, `publish`.
    pub name: &'static str,
    /// Wall clock.
    pub seconds: f64,
}
