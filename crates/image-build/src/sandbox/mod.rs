//! Running commands of RUN steps in containers: the OCI runtime configuration, the runtime, the user namespace and limits,
//! and the process they need.

mod cgroup;
mod container;
mod disk_watch;
mod engine_dir;
mod error;
mod id_shift;
mod limits;
mod options;
mod output;
mod prepare;
mod processes;
mod redact;
mod removal;
mod run_dir;
mod runtime;
mod seccomp;
mod secrets;
mod ssh_agent;
mod sweep;
mod user_namespace;

pub(crate) use cgroup::{CgroupHost, swap_is_on};
pub(crate) use container::{Container, ContainerMount, ContainerNetwork, HOSTNAME};
pub(crate) use engine_dir::EngineDir;
pub use error::SandboxError;
pub(crate) use id_shift::IdShift;
pub(crate) use limits::held_back_note;
pub use limits::{LimitHit, Limits};
pub use options::{BaseExtras, InjectedKind, InjectedMount, SandboxNetwork, SandboxOptions, Underlay};
pub use prepare::prepare_process;
pub(crate) use redact::Redaction;
pub(crate) use removal::Removal;
pub(crate) use runtime::{Finished, Outcome, Runtime};
pub use secrets::{SecretError, Secrets};
pub(crate) use ssh_agent::AgentSocket;
pub use sweep::sweep;
pub use user_namespace::{SubordinateIds, UserNamespace};
