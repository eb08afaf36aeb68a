//! Why a COPY or ADD failed.

use std::io;
use std::path::PathBuf;

use build_model::{Blame, Diagnose};
use dockerfile::IgnoreError;

/// A COPY or ADD that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source does not exist, or `.dockerignore` hides it.
    #[error("there is no `{path}` in {place}")]
    NoSource {
        /// As in the Dockerfile, expanded.
        path: String,
        /// `the build context`, `stage builder`, `image …`.
        place: String,
        /// It is there, but `.dockerignore` or `--exclude` hides it.
        hidden: bool,
        /// The nearest name in the same directory.
        nearest: Option<String>,
    },
    /// Directory over file.
    #[error("cannot copy the directory {from} over {to}, which is not a directory")]
    DirectoryOverFile {
        /// Path below the source root.
        from: PathBuf,
        /// Path in the image.
        to: PathBuf,
        /// What is there is a symlink.
        symlink: bool,
    },
    /// File over directory.
    #[error("cannot copy the file {from} over the directory {to}")]
    FileOverDirectory {
        /// Path below the source root.
        from: PathBuf,
        /// Path in the image.
        to: PathBuf,
    },
    /// A device in the build context.
    #[error("{path} is a device: devices are not copied from the build context")]
    Device {
        /// Path below the source root.
        path: PathBuf,
    },
    /// A bad `--chmod`.
    #[error(transparent)]
    Mode(#[from] dockerfile::ModeError),
    /// A bad wildcard.
    #[error("`{pattern}` is not a path pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        #[source]
        source: dockerfile::PatternError,
    },
    /// A bad `--exclude`.
    #[error("--exclude cannot be used")]
    Exclude(#[source] IgnoreError),
    /// A source cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Path below the source root.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The image tree cannot be written.
    #[error("cannot write {path} in the image")]
    Write {
        /// Path in the image.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An archive that began well and did not go on so.
    #[error("cannot unpack the archive {archive}")]
    Archive {
        /// Path below the source root.
        archive: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `ADD --unpack` of something else.
    #[error("{path} is not an archive that can be unpacked")]
    NoArchive {
        /// Path below the source root.
        path: PathBuf,
    },
    /// The cancel flag was set.
    #[error("the build was cancelled")]
    Cancelled,
}

impl CopyError {
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| CopyError::Read { path, source }
    }

    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| CopyError::Write { path, source }
    }
}

impl Diagnose for CopyError {
    fn blame(&self) -> Blame {
        match self {
            CopyError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => Blame::Site,
            CopyError::Cancelled => Blame::Cancelled,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            CopyError::NoSource { .. } => "copy-no-source",
            CopyError::DirectoryOverFile { .. } | CopyError::FileOverDirectory { .. } => "copy-type-conflict",
            CopyError::Device { .. } => "copy-device",
            CopyError::Mode(_) => "copy-mode",
            CopyError::Pattern { .. } | CopyError::Exclude(_) => "copy-pattern",
            CopyError::Read { .. } => "copy-read",
            CopyError::Write { .. } => "copy-write",
            CopyError::Archive { .. } | CopyError::NoArchive { .. } => "add-archive",
            CopyError::Cancelled => "cancelled",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            CopyError::NoSource { hidden: true, .. } => {
                Some("it exists, but .dockerignore or --exclude leaves it out".to_owned())
            }
            CopyError::NoSource { nearest: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            CopyError::DirectoryOverFile { symlink: true, .. } => {
                Some("copy into the directory the symlink points to (/usr/lib instead of /lib)".to_owned())
            }
            _ => None,
        }
    }
}
