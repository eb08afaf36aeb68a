//! Why an ADD of a URL or a git repository failed.

use build_model::{Blame, Diagnose};
use dockerfile::GitSourceError;

use crate::error::Foreign;

/// Something that is not in the build context cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// This build has no network for it.
    #[error("`{text}` is not in the build context, and images are made of what is in dist-git and in Koji")]
    Refused {
        /// As in the Dockerfile, expanded.
        text: String,
    },
    /// In a COPY.
    #[error("`{text}` is a URL or a git repository, which COPY does not fetch")]
    Copied {
        /// As in the Dockerfile, expanded.
        text: String,
    },
    /// Neither http nor https.
    #[error("`{url}` cannot be fetched: ADD knows http, https and git, not {scheme}")]
    Scheme {
        /// The URL.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// Nothing to call the file.
    #[error("`{url}` names no file")]
    NoName {
        /// The URL.
        url: String,
    },
    /// No repository.
    #[error(transparent)]
    Git(#[from] GitSourceError),
    /// `--checksum` makes no sense.
    #[error("the checksum `{checksum}` is not {form}")]
    BadChecksum {
        /// The flag's value, expanded.
        checksum: String,
        /// What it should be.
        form: &'static str,
    },
    /// `--checksum` of a path, which only an expanded variable can bring about.
    #[error("`{path}` is in the build context, and --checksum is for URLs and git repositories")]
    ChecksumOfPath {
        /// The path.
        path: String,
    },
    /// It could not be had.
    #[error("cannot fetch {text}: {source}")]
    Fetch {
        /// As in the Dockerfile, expanded.
        text: String,
        /// Why.
        #[source]
        source: Foreign,
    },
    /// It is something else.
    #[error("{url} is not what --checksum says: expected {expected}, got {found}")]
    Checksum {
        /// The URL.
        url: String,
        /// The flag's value.
        expected: String,
        /// What came.
        found: String,
    },
    /// It is another commit.
    #[error("{url} is not at the commit that the checksum says: expected {expected}, got {found}")]
    Commit {
        /// The repository.
        url: String,
        /// The beginning of a hash.
        expected: String,
        /// What the revision leads to.
        found: String,
    },
}

impl Diagnose for RemoteError {
    fn blame(&self) -> Blame {
        match self {
            RemoteError::Fetch { source, .. } => source.0.blame(),
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            RemoteError::Refused { .. } => "add-remote",
            RemoteError::Copied { .. } => "copy-remote",
            RemoteError::Scheme { .. } | RemoteError::NoName { .. } | RemoteError::Git(_) => "add-source",
            RemoteError::BadChecksum { .. } | RemoteError::ChecksumOfPath { .. } => "add-checksum",
            RemoteError::Fetch { source, .. } => source.0.kind(),
            RemoteError::Checksum { .. } | RemoteError::Commit { .. } => "add-checksum-differs",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            RemoteError::Refused { .. } => Some(
                "put the file into dist-git or its lookaside cache, or install it as an RPM (`containerbuild build` fetches \
                 it with --network=host)"
                    .to_owned(),
            ),
            RemoteError::Copied { .. } => Some("ADD does, where the builder has a network for it".to_owned()),
            RemoteError::NoName { .. } => Some("write the file's own name as the destination".to_owned()),
            RemoteError::Fetch { source, .. } => source.0.hint(),
            RemoteError::Checksum { .. } | RemoteError::Commit { .. } => {
                Some("if the new content is right, write its checksum into the Dockerfile".to_owned())
            }
            _ => None,
        }
    }
    fn is_transient(&self) -> bool {
        matches!(self, RemoteError::Fetch { source, .. } if source.0.is_transient())
    }
}
