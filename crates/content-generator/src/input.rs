//! What the worker hands in: everything known about a finished build, before it becomes JSON.
//!
//! The fields follow atomic-reactor's metadata, which is what kojiweb, Bodhi and people's scripts read.
//! All types are serde types, because the per-architecture parts travel as results of subtasks.

use std::collections::BTreeMap;

use build_model::{Arch, BuildId, Digest, ImageTag, Nvr, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{OutputFile, RpmComponent};

/// One build, ready to be imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImportInput {
    /// The content generator to import as; the worker's user must have access to it.
    pub generator: ContentGenerator,
    /// Name, version, release of the build. Must equal the reservation's.
    pub nvr: Nvr,
    /// `git+https://…#<full commit>`; null in Koji when `None`.
    pub source: Option<String>,
    /// Start of the build, seconds since the epoch.
    pub start_time: i64,
    /// End of the build, seconds since the epoch (the hub uses its own clock for reserved builds).
    pub end_time: i64,
    /// Koji user the build shall belong to: the task's owner. The importing user when `None`.
    pub owner: Option<String>,
    /// Koji user that asked for the build, recorded as `extra.submitter`.
    pub submitter: Option<String>,
    /// The reserved build (`CGInitBuild`), if one was reserved.
    pub build_id: Option<BuildId>,
    /// The `buildContainer` task.
    pub task_id: Option<TaskId>,
    /// `extra.image` of the build.
    pub image: ImageInfo,
    /// `extra.osbs_build` of the build.
    pub osbs_build: OsbsBuild,
    /// `userdata` of the request, recorded as `extra.custom_user_metadata`.
    pub userdata: Option<Map<String, Value>>,
    /// Further keys of `extra` (reason of a rebuild, summary of the proof …). May not replace the ones above.
    pub extra: Map<String, Value>,
    /// One image per architecture; at least one.
    pub arches: Vec<ArchOutput>,
    /// Log files, kept in the build's `data/logs`.
    pub logs: Vec<LogFile>,
    /// Other archives: SBOM, provenance report.
    pub files: Vec<ExtraFile>,
    /// File extensions the site's hub knows besides the ones every hub has (`koji add-archive-type`).
    pub site_extensions: Vec<String>,
}

/// Name and version of the content generator, the same in all buildroots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentGenerator {
    /// As in `koji grant-cg-access USER NAME`. Sites that keep the earlier service's grants say `atomic-reactor`.
    pub name: String,
    /// Version of this program.
    pub version: String,
}

impl Default for ContentGenerator {
    fn default() -> Self {
        Self { name: "containerbuild".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// `extra.image` of the build. The hub derives `extra.typeinfo.image` from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageInfo {
    /// An isolated build.
    pub isolated: bool,
    /// Parents in the order of the Dockerfile; the base of the last stage included.
    pub parents: Vec<ParentImage>,
    /// Koji build of the last stage's base; absent for `FROM scratch`.
    pub parent_build_id: Option<BuildId>,
    /// `.repo` files of the request.
    pub yum_repourls: Vec<String>,
    /// Media types of all manifests pushed for this build.
    pub media_types: Vec<String>,
    /// The image index over all architectures, once pushed.
    pub index: Option<ImageIndex>,
    /// Name of the repository's help file, when the image has it as a manual page.
    pub help: Option<String>,
    /// Of a source container: the image whose sources it holds. It has no RPM components and no parents.
    pub sources_for_nvr: Option<Nvr>,
}

/// A parent image as the Dockerfile names it, and its Koji build where it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentImage {
    /// The reference as written in the Dockerfile (or `scratch`).
    pub pull_spec: String,
    /// `None` for images that are no Koji builds.
    pub build: Option<ParentBuild>,
}

/// A parent's Koji build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentBuild {
    /// Build id.
    pub id: BuildId,
    /// Its NVR.
    pub nvr: Nvr,
}

/// `extra.image.index`: where the image can be pulled from, for all architectures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIndex {
    /// Primary tags: `version-release`.
    pub tags: Vec<ImageTag>,
    /// Tags that move from build to build. Recorded even though they move after the import.
    pub floating_tags: Vec<ImageTag>,
    /// Tags no other build has.
    pub unique_tags: Vec<ImageTag>,
    /// Pull specifications, by digest first.
    pub pull: Vec<String>,
    /// Media type → digest of the index.
    pub digests: BTreeMap<String, Digest>,
}

/// `extra.osbs_build`, by which clients of the earlier service tell kinds of builds apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsbsBuild {
    /// `container_build` or `source_container_build`.
    pub kind: String,
    /// Empty for layered images.
    pub subtypes: Vec<String>,
    /// What built the image.
    pub engine: String,
}

impl Default for OsbsBuild {
    fn default() -> Self {
        Self { kind: "container_build".to_owned(), subtypes: Vec::new(), engine: "containerbuild".to_owned() }
    }
}

/// The image of one architecture with the buildroot it was made in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchOutput {
    /// Architecture of the image.
    pub arch: Arch,
    /// The machine it was built on.
    pub host: BuildrootHost,
    /// Programs that took part, each named once.
    pub tools: Vec<Tool>,
    /// RPMs of the build host, when they are recorded.
    pub host_components: Vec<RpmComponent>,
    /// The uploaded image archive, `docker-image-….<arch>.tar.gz`.
    pub archive: OutputFile,
    /// `extra.docker` of the archive.
    pub docker: DockerInfo,
    /// RPMs inside the image.
    pub components: Vec<RpmComponent>,
}

/// The builder host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildrootHost {
    /// Operating system, like `Fedora Linux 40`.
    pub os: String,
    /// Its architecture.
    pub arch: Arch,
}

/// A program and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Program name.
    pub name: String,
    /// Version text.
    pub version: String,
}

/// `extra.docker` of an image archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DockerInfo {
    /// Image id: digest of the image configuration.
    pub id: Digest,
    /// Image id of the base; absent for `FROM scratch`.
    pub parent_id: Option<Digest>,
    /// One entry a layer, bottom first.
    pub layer_sizes: Vec<LayerSize>,
    /// Pull specifications of this architecture's image, by tag and by digest.
    pub repositories: Vec<String>,
    /// Tags of this architecture's image.
    pub tags: Vec<ImageTag>,
    /// Media type → manifest digest.
    pub digests: BTreeMap<String, Digest>,
    /// The image configuration. `container_config` is left out, as the earlier service did.
    pub config: Value,
}

/// Size of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LayerSize {
    /// Of the blob in the registry.
    Compressed {
        /// Digest of the blob.
        digest: Digest,
        /// Bytes.
        size: u64,
    },
    /// Of the tar.
    Uncompressed {
        /// Digest of the tar.
        diff_id: Digest,
        /// Bytes.
        size: u64,
    },
}

/// A log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// The uploaded file.
    pub file: OutputFile,
    /// The architecture it belongs to; `None` for the coordinating task's logs.
    pub arch: Option<Arch>,
}

/// Another archive of the build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtraFile {
    /// The uploaded file.
    pub file: OutputFile,
    /// Koji build type it is filed under: `image`, which every hub has, or one the site added (`koji add-btype`… `icm`).
    pub btype: String,
    /// The architecture it belongs to; `None` for all.
    pub arch: Option<Arch>,
    /// What the build type records about the file (`extra.typeinfo.<btype>`).
    pub type_info: Map<String, Value>,
}
