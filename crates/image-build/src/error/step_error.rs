//! What can go wrong with one instruction. Every area has its own error type; this one joins them.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use build_model::{Blame, BoxedDiagnose, Diagnose};
use dockerfile::{ExpandError, MountError, ParseError, PlatformError, PortError};
use image_layers::UnpackError;

use crate::copy::CopyError;
use crate::remote::RemoteError;
use crate::rootfs::UserError;
use crate::sandbox::{LimitHit, SandboxError};
use crate::snapshot::SnapshotError;

/// What went wrong with one instruction.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The command of a RUN said so.
    #[error("{}", exit_text(*.code))]
    RunFailed {
        /// Its exit code; 128 + n after signal n.
        code: i32,
        /// The end of its output.
        last_lines: Vec<String>,
    },
    /// It ran into a limit.
    #[error("{hit} ({} = {})", .hit.setting(), .hit.value())]
    LimitHit {
        /// Which, and its value.
        hit: LimitHit,
        /// The exit code, when it ended by itself.
        code: Option<i32>,
        /// The end of its output.
        last_lines: Vec<String>,
    },
    /// Ids of the image that RUN steps cannot have.
    #[error("the id {id} is beyond the {size} ids of a RUN's user namespace")]
    IdBeyond {
        /// The id.
        id: u32,
        /// How many there are.
        size: u32,
    },
    /// A secret or agent that the Dockerfile requires and nobody gave.
    #[error("this build has no {what} `{id}`, which RUN --mount=type={kind} requires")]
    NotGiven {
        /// `secret` or `SSH agent`.
        what: &'static str,
        /// Its id.
        id: String,
        /// The mount's type.
        kind: &'static str,
    },
    /// It cannot start: no such file, no execute bit, or a script without its interpreter.
    #[error("the image has no program `{program}` that can be run")]
    NoProgram {
        /// The program.
        program: String,
        /// Whether it is the shell that runs shell-form commands.
        is_shell: bool,
    },
    /// A hook says no.
    #[error("{0}")]
    Hook(#[source] Foreign),
    /// A variable.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// A `--mount`.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// A user or group.
    #[error(transparent)]
    User(#[from] UserError),
    /// COPY or ADD.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// ADD of something that is not in the build context.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The container.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A layer of a base image.
    #[error("cannot unpack the image {reference}")]
    Unpack {
        /// The image.
        reference: String,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// No such image, or it cannot be had.
    #[error("cannot get the image {reference}: {source}")]
    Image {
        /// The image.
        reference: String,
        /// Why.
        #[source]
        source: Foreign,
    },
    /// It is for other machines.
    #[error("the image {reference} is for {found}, this build is for {wanted}")]
    WrongPlatform {
        /// The image.
        reference: String,
        /// What it is for.
        found: String,
        /// What it should be for.
        wanted: String,
    },
    /// An ONBUILD trigger of a base image that is no instruction.
    #[error("the base image has a broken ONBUILD trigger")]
    Trigger(#[source] ParseError),
    /// A stage that is not part of this build.
    #[error("stage {index} is not part of this build")]
    StageNotBuilt {
        /// Its position in the file.
        index: usize,
    },
    /// Something this service does not do.
    #[error("{what} is not allowed here: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Why not.
        reason: &'static str,
    },
    /// A value an instruction cannot have.
    #[error("{0}")]
    Invalid(String),
    /// A path in the image.
    #[error("cannot {action} {path} in the image")]
    Path {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The cancel flag was set.
    #[error("the build was cancelled")]
    Cancelled,
}

/// An error of a caller's [`crate::ImageSource`] or [`crate::RunHooks`].
#[derive(Debug)]
pub struct Foreign(pub BoxedDiagnose);

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Error for Foreign {
    // Its own text is already shown by whoever wraps it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn exit_text(code: i32) -> String {
    match code {
        129..=192 => format!("the command was killed by signal {} (exit code {code})", code - 128),
        _ => format!("the command ended with exit code {code}"),
    }
}

impl StepError {
    /// The end of the output of a RUN that failed.
    pub fn last_lines(&self) -> &[String] {
        match self {
            StepError::RunFailed { last_lines, .. } | StepError::LimitHit { last_lines, .. } => last_lines,
            _ => &[],
        }
    }

    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| StepError::Path { action, path, source }
    }
}

impl Diagnose for StepError {
    fn blame(&self) -> Blame {
        match self {
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.blame(),
            StepError::User(source) => source.blame(),
            StepError::Copy(source) => source.blame(),
            StepError::Remote(source) => source.blame(),
            StepError::Sandbox(source) => source.blame(),
            StepError::Snapshot(source) => source.blame(),
            StepError::Unpack { source, .. } => source.blame(),
            StepError::Path { source, .. } if source.kind() == io::ErrorKind::StorageFull => Blame::Site,
            StepError::Cancelled => Blame::Cancelled,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            StepError::RunFailed { .. } => "run-failed",
            StepError::LimitHit { hit, .. } => hit.kind(),
            StepError::IdBeyond { .. } => "run-id-beyond",
            StepError::NotGiven { .. } => "run-secret-missing",
            StepError::NoProgram { .. } => "run-no-program",
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.kind(),
            StepError::Expand(source) => source.kind(),
            StepError::Mount(source) => source.kind(),
            StepError::Port(_) => "dockerfile-port",
            StepError::Platform(_) => "dockerfile-platform",
            StepError::User(source) => source.kind(),
            StepError::Copy(source) => source.kind(),
            StepError::Remote(source) => source.kind(),
            StepError::Sandbox(source) => source.kind(),
            StepError::Snapshot(source) => source.kind(),
            StepError::Unpack { source, .. } => source.kind(),
            StepError::WrongPlatform { .. } => "image-platform",
            StepError::Trigger(_) => "image-trigger",
            StepError::StageNotBuilt { .. } => "stage-not-built",
            StepError::Refused { .. } => "dockerfile-refused",
            StepError::Invalid(_) => "dockerfile-invalid",
            StepError::Path { .. } => "image-path",
            StepError::Cancelled => "cancelled",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            StepError::RunFailed { code: 137, .. } => {
                Some("signal 9 comes mostly from the kernel when the whole machine is short of memory".to_owned())
            }
            StepError::LimitHit { hit, .. } => Some(format!(
                "make the command need less, or have the builder's administrator raise `{}` in [sandbox] of the configuration",
                hit.setting()
            )),
            StepError::IdBeyond { .. } => Some(
                "use lower ids, or have the builder's administrator raise `per_build` in [sandbox.subordinate_ids]".to_owned(),
            ),
            StepError::NotGiven { what: "secret", id, .. } => Some(format!(
                "the builder's configuration names secrets in [sandbox.secrets]; `containerbuild build` takes --secret id={id},src=FILE"
            )),
            StepError::NotGiven { .. } => {
                Some("builders forward no SSH agent; `containerbuild build` takes --ssh default or --ssh ID=SOCKET".to_owned())
            }
            StepError::RunFailed { code: 127, .. } => Some("127 means that the shell did not find a command".to_owned()),
            StepError::RunFailed { code: 126, .. } => Some("126 means that a file is there but cannot be executed".to_owned()),
            StepError::NoProgram { is_shell: true, .. } => Some(
                "the image has no shell: use the exec form, RUN [\"program\", \"argument\"], or name its shell with SHELL"
                    .to_owned(),
            ),
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.hint(),
            StepError::Expand(source) => source.hint(),
            StepError::Mount(source) => source.hint(),
            StepError::User(source) => source.hint(),
            StepError::Copy(source) => source.hint(),
            StepError::Remote(source) => source.hint(),
            StepError::Sandbox(source) => source.hint(),
            StepError::Snapshot(source) => source.hint(),
            StepError::Unpack { source, .. } => source.hint(),
            StepError::Trigger(source) => source.hint(),
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.is_transient(),
            StepError::Unpack { source, .. } => source.is_transient(),
            StepError::Remote(source) => source.is_transient(),
            _ => false,
        }
    }
}
