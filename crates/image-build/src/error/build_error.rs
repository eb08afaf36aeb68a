//! Why a build failed: the instruction with its place in the Dockerfile, the cause, and for a RUN its exit code and last
//! lines of output. This is what the packager reads in the task's result, so everything needed is in the message.

use std::fmt;

use build_model::{Blame, Diagnose};
use dockerfile::Span;
use image_layers::{ImageError, PackError, StoreError};

use super::StepError;
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

impl BuildError {
    /// The exit code, when a command of a RUN failed.
    pub fn exit_code(&self) -> Option<i32> {
        match self {
            BuildError::Step { cause, .. } => match **cause {
                StepError::RunFailed { code, .. } => Some(code),
                StepError::LimitHit { code, .. } => code,
                _ => None,
            },
            _ => None,
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
    use crate::Foreign;

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
