//! Why a rpmdb cannot be read.

use build_model::{Blame, Diagnose};

/// A rpmdb is there but cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RpmDbError {
    /// A file of the image cannot be read or copied.
    #[error("cannot read the rpmdb at {path}")]
    Read {
        /// Path inside the image.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file that looks like a rpmdb but is of a format nobody here reads.
    #[error("unsupported rpmdb format {format} at {path}")]
    Unsupported {
        /// What it looks like.
        format: String,
        /// Path inside the image.
        path: String,
    },
    /// The database contradicts itself.
    #[error("damaged {format} rpmdb at {path}: {reason}")]
    Damaged {
        /// `sqlite`, `ndb` or `Berkeley DB`.
        format: &'static str,
        /// Path inside the image.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// SQLite refused the database.
    #[error("cannot query the sqlite rpmdb at {path}")]
    Sqlite {
        /// Path inside the image.
        path: String,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// More than one database: which of them is true cannot be told.
    #[error("the image holds several rpmdbs: {}", paths.join(", "))]
    Several {
        /// Paths inside the image.
        paths: Vec<String>,
    },
    /// Larger than any honest database.
    #[error("the rpmdb at {path} has {size} {unit}, more than {limit}")]
    TooLarge {
        /// Path inside the image.
        path: String,
        /// How many.
        size: u64,
        /// `bytes` or `headers`.
        unit: &'static str,
        /// The limit.
        limit: u64,
    },
}

impl Diagnose for RpmDbError {
    fn blame(&self) -> Blame {
        match self {
            RpmDbError::Read { .. } => Blame::Site,
            _ => Blame::Packager,
        }
    }
    fn kind(&self) -> &'static str {
        match self {
            RpmDbError::Read { .. } => "rpmdb-read",
            RpmDbError::Unsupported { .. } => "rpmdb-unsupported",
            RpmDbError::Damaged { .. } | RpmDbError::Sqlite { .. } => "rpmdb-damaged",
            RpmDbError::Several { .. } => "rpmdb-several",
            RpmDbError::TooLarge { .. } => "rpmdb-too-large",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            RpmDbError::Read { .. } => None,
            RpmDbError::Several { .. } => Some("remove the database that rpm does not use, in the layer that made it".into()),
            RpmDbError::Unsupported { .. } => Some("convert it with `rpm --rebuilddb` in the base image".into()),
            _ => Some("find the instruction that changes the rpmdb other than through rpm, and take it out".into()),
        }
    }
}
