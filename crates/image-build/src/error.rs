//! Why a build failed: the instruction with its place in the Dockerfile, the cause, and for a RUN its exit code and last
//! lines of output. This is what the packager reads in the task's result, so everything needed is in the message.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use build_model::{Blame, BoxedDiagnose, Diagnose};
use dockerfile::{ExpandError, MountError, ParseError, PlatformError, PortError, Span};
use image_layers::{ImageError, PackError, StoreError, UnpackError};

use crate::copy::CopyError;
use crate::rootfs::UserError;
use crate::sandbox::SandboxError;
use crate::snapshot::SnapshotError;

/// A failed build.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// One instruction failed.
    #[error("{place}: {cause}\n    {}{}", .place.first_line_of_text(), LastLines(.cause.last_lines()))]
    Step {
        /// The instruction.
        place: StepPlace,
        /// What went wrong; its cause is the chain's next link but one.
        #[source]
        cause: Box<StepError>,
    },
    /// The cancel flag was set.
    #[error("the build was cancelled")]
    Cancelled,
    /// The plan has no stage.
    #[error("there is no stage to build")]
    NoStage,
    /// The work directory or something in it.
    #[error("cannot prepare the build's working directory")]
    WorkDir(#[source] SandboxError),
    /// A layer could not be packed.
    #[error("{place}: cannot pack the layer")]
    Pack {
        /// The instruction that made it.
        place: StepPlace,
        /// Why.
        #[source]
        source: PackError,
    },
    /// The thread that packs layers died.
    #[error("the thread that packs layers stopped unexpectedly")]
    PackThread,
    /// Steps could not be made one layer.
    #[error("cannot make one layer of all steps")]
    Squash(#[source] SnapshotError),
    /// A layer could not be put into the store.
    #[error("cannot keep a layer in the store")]
    Store(#[from] StoreError),
    /// The image could not be put together.
    #[error("cannot put the image together")]
    Assemble(#[source] ImageError),
    /// The date does not fit into the image config.
    #[error("the date {epoch} (seconds since 1970) is not between the years 0 and 9999")]
    Date {
        /// The date.
        epoch: i64,
    },
}

/// Where an instruction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlace {
    /// The Dockerfile.
    pub file: String,
    /// Its lines.
    pub span: Span,
    /// The instruction as in the file.
    pub text: String,
}

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
    /// It took too long.
    #[error("the command was stopped after {seconds} seconds, the most this builder allows one RUN")]
    TimedOut {
        /// The limit.
        seconds: u64,
        /// The end of its output.
        last_lines: Vec<String>,
    },
    /// It cannot start.
    #[error("the image has no program `{program}` to run")]
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

impl StepPlace {
    fn first_line_of_text(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

impl fmt::Display for StepPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.span.first_line)
    }
}

struct LastLines<'a>(&'a [String]);

impl fmt::Display for LastLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() {
            f.write_str("\nthe last lines of its output:")?;
        }
        self.0.iter().try_for_each(|line| write!(f, "\n    {line}"))
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
            StepError::RunFailed { last_lines, .. } | StepError::TimedOut { last_lines, .. } => last_lines,
            _ => &[],
        }
    }

    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| StepError::Path { action, path, source }
    }
}

impl BuildError {
    /// The exit code, when a command of a RUN failed.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            BuildError::Step { cause, .. } => match **cause {
                StepError::RunFailed { code, .. } => Some(code),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Diagnose for StepError {
    fn blame(&self) -> Blame {
        match self {
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.blame(),
            StepError::User(source) => source.blame(),
            StepError::Copy(source) => source.blame(),
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
            StepError::TimedOut { .. } => "run-timeout",
            StepError::NoProgram { .. } => "run-no-program",
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.kind(),
            StepError::Expand(source) => source.kind(),
            StepError::Mount(source) => source.kind(),
            StepError::Port(_) => "dockerfile-port",
            StepError::Platform(_) => "dockerfile-platform",
            StepError::User(source) => source.kind(),
            StepError::Copy(source) => source.kind(),
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
                Some("signal 9 comes mostly from the kernel when a command needs more memory than it may use".to_owned())
            }
            StepError::RunFailed { code: 127, .. } => Some("127 means that the shell did not find a command".to_owned()),
            StepError::RunFailed { code: 126, .. } => Some("126 means that a file is there but cannot be executed".to_owned()),
            StepError::NoProgram { is_shell: true, .. } => {
                Some("the image has no shell: use the exec form, RUN [\"program\", \"argument\"], or name its shell with SHELL".to_owned())
            }
            StepError::Hook(source) | StepError::Image { source, .. } => source.0.hint(),
            StepError::Expand(source) => source.hint(),
            StepError::Mount(source) => source.hint(),
            StepError::User(source) => source.hint(),
            StepError::Copy(source) => source.hint(),
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
            _ => false,
        }
    }
}

impl Diagnose for BuildError {
    fn blame(&self) -> Blame {
        match self {
            BuildError::Step { cause, .. } => cause.blame(),
            BuildError::Cancelled => Blame::Cancelled,
            BuildError::NoStage | BuildError::Date { .. } => Blame::Packager,
            BuildError::Pack { source, .. } => source.blame(),
            BuildError::Assemble(source) => source.blame(),
            BuildError::Store(source) => source.blame(),
            BuildError::WorkDir(_) | BuildError::PackThread | BuildError::Squash(_) => Blame::Site,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            BuildError::Step { cause, .. } => cause.kind(),
            BuildError::Cancelled => "cancelled",
            BuildError::NoStage => "no-stage",
            BuildError::WorkDir(source) => source.kind(),
            BuildError::Pack { source, .. } => source.kind(),
            BuildError::PackThread => "pack-thread",
            BuildError::Squash(source) => source.kind(),
            BuildError::Store(source) => source.kind(),
            BuildError::Assemble(source) => source.kind(),
            BuildError::Date { .. } => "date",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            BuildError::Step { cause, .. } => cause.hint(),
            BuildError::WorkDir(source) => source.hint(),
            BuildError::Pack { source, .. } => source.hint(),
            BuildError::Squash(source) => source.hint(),
            BuildError::Store(source) => source.hint(),
            BuildError::Assemble(source) => source.hint(),
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        match self {
            BuildError::Step { cause, .. } => cause.is_transient(),
            BuildError::Pack { source, .. } => source.is_transient(),
            BuildError::Store(source) => source.is_transient(),
            BuildError::Assemble(source) => source.is_transient(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(cause: StepError) -> BuildError {
        let span = Span { first_line: 7, last_line: 9, column: 1 };
        let place = StepPlace { file: "Dockerfile".into(), span, text: "RUN dnf install -y httpd && \\\n  dnf clean all".into() };
        BuildError::Step { place, cause: Box::new(cause) }
    }

    #[test]
    fn a_failed_run_names_line_code_and_last_output() {
        let err = failed(StepError::RunFailed { code: 1, last_lines: vec!["No match".into(), "Error: Unable".into()] });
        assert_eq!(
            err.to_string(),
            "Dockerfile:7: the command ended with exit code 1\n    RUN dnf install -y httpd && \\\n\
             the last lines of its output:\n    No match\n    Error: Unable"
        );
        assert_eq!((err.exit_code(), err.blame(), err.kind()), (Some(1), Blame::Packager, "run-failed"));
    }

    #[test]
    fn signals_are_named() {
        let err = failed(StepError::RunFailed { code: 137, last_lines: vec![] });
        assert!(err.to_string().contains("killed by signal 9 (exit code 137)"), "{err}");
        assert!(err.hint().is_some_and(|h| h.contains("memory")));
    }

    #[test]
    fn a_callers_error_keeps_its_blame() {
        let source = Foreign(SandboxError::Threads { threads: 2 }.into());
        let err = failed(StepError::Image { reference: "r/x:1".into(), source });
        assert_eq!((err.blame(), err.kind()), (Blame::Site, "sandbox-mount-namespace"));
    }
}
