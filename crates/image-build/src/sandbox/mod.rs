//! Running commands of RUN steps in containers: the OCI runtime configuration, the runtime, and the process they need.

mod container;
mod error;
mod options;
mod output;
mod prepare;
pub(crate) mod runtime;
mod seccomp;
mod sweep;

pub(crate) use container::{Container, ContainerMount, ContainerNetwork, HOSTNAME};
pub use error::SandboxError;
pub use options::{BaseExtras, InjectedKind, InjectedMount, Limits, SandboxNetwork, SandboxOptions, Underlay};
pub use prepare::prepare_process;
pub(crate) use runtime::{Finished, run};
pub(crate) use sweep::EngineDir;
pub use sweep::sweep;
