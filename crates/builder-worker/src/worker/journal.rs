//! What a task has done at the hub that must be known after a crash: one small JSON file per task.
//!
//! Written by the task process *before* the fact is used (a reservation's token is on disk before anything depends on
//! it), read by the same task when it is run again and by the worker when it settles a failed one.

use std::path::{Path, PathBuf};

use build_model::{Blame, BuildId, Diagnose, Nvr};
use serde::{Deserialize, Serialize};

/// A reserved build (`CGInitBuild`) and the token that imports or refunds it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Reserved {
    /// Content generator that reserved it.
    pub content_generator: String,
    /// The build.
    pub build_id: BuildId,
    /// Its name.
    pub nvr: Nvr,
    /// Secret; needed for `CGImport` and `CGRefundBuild`.
    pub token: String,
}

impl Reserved {
    /// What `CGRefundBuild` wants to see.
    pub fn reservation(&self) -> koji_session::Reservation {
        koji_session::Reservation { build_id: self.build_id, token: self.token.clone() }
    }
}

impl std::fmt::Debug for Reserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reserved({} as build {})", self.nvr, self.build_id)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Entries {
    reserved: Option<Reserved>,
    /// Builds reserved for this task whose token never arrived. Nobody can import or refund them; once the task has
    /// ended they can be cancelled.
    #[serde(default)]
    lost: Vec<BuildId>,
}

/// The journal of one task, in `DIR/journal.json`.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    entries: Entries,
}

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk refused.
    #[error("cannot {action} the task journal {path}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The journal.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is damaged.
    #[error("the task journal {path} is damaged")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

impl Diagnose for JournalError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "task-journal"
    }
}

impl Journal {
    /// Opens the journal of a task directory; an absent file is an empty journal.
    ///
    /// # Errors
    /// When it exists and cannot be read or understood.
    pub fn open(task_dir: &Path) -> Result<Self, JournalError> {
        let path = task_dir.join("journal.json");
        let entries = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| JournalError::Damaged { path: path.clone(), source })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Entries::default(),
            Err(source) => return Err(JournalError::Io { action: "read", path, source }),
        };
        Ok(Self { path, entries })
    }

    /// The reservation, when there is one.
    pub fn reserved(&self) -> Option<&Reserved> {
        self.entries.reserved.as_ref()
    }

    /// Builds that are reserved for this task without a token.
    pub fn lost(&self) -> &[BuildId] {
        &self.entries.lost
    }

    /// Records that a build is reserved for this task and its token is lost. On disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add_lost(&mut self, build: BuildId) -> Result<(), JournalError> {
        if !self.entries.lost.contains(&build) {
            self.entries.lost.push(build);
        }
        self.write().map_err(|source| JournalError::Io { action: "write", path: self.path.clone(), source })
    }

    /// Records a reservation, or forgets it. On disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses; then the caller must refund the reservation itself.
    pub fn set_reserved(&mut self, reserved: Option<Reserved>) -> Result<(), JournalError> {
        self.entries.reserved = reserved;
        self.write().map_err(|source| JournalError::Io { action: "write", path: self.path.clone(), source })
    }

    fn write(&self) -> std::io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(dir)?; // mode 0600: it holds a token
        serde_json::to_writer(&mut file, &self.entries)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_survives_and_its_token_is_not_shown() {
        let dir = tempfile::tempdir().expect("tempdir");
        let reserved = Reserved {
            content_generator: "cg".into(),
            build_id: BuildId(7),
            nvr: "web-1-2".parse().expect("nvr"),
            token: "secret".into(),
        };
        Journal::open(dir.path()).expect("empty").set_reserved(Some(reserved)).expect("written");
        let again = Journal::open(dir.path()).expect("read");
        assert_eq!(again.reserved().map(|r| r.build_id), Some(BuildId(7)));
        let mut again = again;
        again.add_lost(BuildId(6)).expect("written");
        again.add_lost(BuildId(6)).expect("written");
        assert_eq!(Journal::open(dir.path()).expect("read").lost(), [BuildId(6)]);
        assert!(!format!("{again:?}").contains("secret"));
    }

    #[test]
    fn a_damaged_journal_is_an_error_and_not_an_empty_one() {
        let dir = tempfile::tempdir().expect("tempdir");
        std::fs::write(dir.path().join("journal.json"), "{").expect("write");
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::Damaged { .. })));
    }
}
