//! The build engine: stages over overlay snapshots and an OCI runtime. Knows nothing of Koji or RPM.
//!
//! [`build`] walks a `dockerfile::BuildPlan`. Every instruction that changes files gets an overlay upper directory of its
//! own; when it is done that directory *is* the layer, packed on another thread while the next instruction runs. RUN goes
//! through an OCI runtime with own namespaces ([`SandboxOptions`]); COPY and ADD resolve every path inside the image.
//! BuildKit's front end is the reference for what instructions mean. Blocking code: call it from a thread that may block,
//! in a process that called [`prepare_process`].

mod build;
mod cancel;
mod copy;
mod error;
mod hooks;
mod layers;
mod mounts;
pub mod netns;
mod progress;
mod remote;
mod request;
mod rootfs;
mod sandbox;
mod snapshot;
mod stage;

pub use build::build;
pub use cancel::CancelFlag;
pub use copy::{CopyError, FileContent, archive_contents};
pub use error::{BuildError, Foreign, StepError, StepPlace};
pub use hooks::{FetchedTree, ImageSource, LayerFollower, NoHooks, RemoteFetcher, RunHooks};
pub use progress::{OutputStream, Progress, ProgressEvent, Silent, StepInfo};
pub use remote::RemoteError;
pub use request::{BuildRequest, BuiltImage, PhaseTime};
pub use rootfs::UserError;
pub use sandbox::{
    BaseExtras, InjectedKind, InjectedMount, LimitHit, Limits, SandboxError, SandboxNetwork, SandboxOptions, SecretError,
    Secrets, SubordinateIds, Underlay, UserNamespace, prepare_process, sweep,
};
pub use snapshot::SnapshotError;
