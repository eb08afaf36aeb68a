//! The nouns of a container build: NVR, arch, target, labels, image tags, fault codes.
//!
//! No I/O and no async: the hub extension links this crate into the hub's own process, so it must
//! stay small and must not be able to touch the network. One noun a file.

mod arch;
mod blame;
mod causes;
mod container_params;
mod container_yaml;
mod digest;
mod fault;
mod hex;
mod ids;
mod image_labels;
mod image_tags;
mod names;
mod nvr;
mod option_values;
mod scm_url;
mod source_build;
mod source_container_params;
mod suggest;
mod task_result;

pub use arch::{Arch, ArchError};
pub use blame::{Blame, BoxedDiagnose, Diagnose};
pub use causes::{chain, innermost};
pub use container_params::BuildContainerParams;
pub use container_yaml::{
    AdditionalTags, Autorebuild, Compose, ContainerYaml, ContainerYamlError, Platforms, Remark, container_yaml_schema,
};
pub use digest::{Digest, DigestError};
pub use fault::FaultCode;
pub use hex::{hex, unhex};
pub use ids::{BuildId, EventId, RepoId, TaskId};
pub use image_labels::{ImageLabels, LabelError};
pub use image_tags::{BuildKind, ImageTagSet};
pub use names::{ImageTag, KojiTag, NameError, TargetName};
pub use nvr::{Nvr, NvrError, Nvra};
pub use option_values::ParamsError;
pub use scm_url::{ScmUrl, ScmUrlError};
pub use source_build::{SourceBuildError, SourceBuildRow};
pub use source_container_params::SourceContainerParams;
pub use suggest::nearest;
pub use task_result::{BuildContainerResult, DryRun, DryRunParent};
