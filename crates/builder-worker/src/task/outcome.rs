//! How a task ended, as its process tells the worker: one JSON file, written whole or not at all.

use std::path::Path;

use build_model::{Blame, BuildContainerResult, Diagnose, FaultCode};
use serde::{Deserialize, Serialize};

/// How a task ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is done; the result goes to `host.closeTask`.
    Closed(BuildContainerResult),
    /// It failed; the message goes to `host.failTask`.
    Failed(Failure),
}

/// What went wrong, for the packager, the log and the metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// Whose move it is.
    pub blame: Blame,
    /// Stable short word.
    pub kind: String,
    /// One sentence with its causes.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether the same task can succeed later without anybody changing the source.
    pub transient: bool,
}

impl Failure {
    /// From any error of the project, with its chain of causes.
    pub fn from_error(error: &(dyn Diagnose + Send + Sync)) -> Self {
        Self {
            blame: error.blame(),
            kind: error.kind().to_owned(),
            message: chain(error),
            hint: error.hint(),
            transient: error.is_transient(),
        }
    }

    /// A failure that no error value stands for.
    pub fn site(kind: &str, message: String) -> Self {
        Self { blame: Blame::Site, kind: kind.to_owned(), message, hint: None, transient: false }
    }

    /// Koji's fault code: 1005 BuildError where the packager must act, 2001 ContainerError otherwise.
    pub fn fault_code(&self) -> FaultCode {
        match self.blame {
            Blame::Packager => FaultCode::BuildError,
            Blame::Cancelled => FaultCode::ContainerCancelled,
            Blame::Site | Blame::Hub => FaultCode::ContainerError,
        }
    }

    /// The text of the fault, as packagers read it in `koji watch-task` and on the task page.
    pub fn fault_text(&self) -> String {
        let mut text = self.message.clone();
        if let Some(hint) = &self.hint {
            text.push_str("\nWhat to do: ");
            text.push_str(hint);
        }
        if self.blame != Blame::Packager {
            text.push_str(&format!("\nThis is for the {} to solve ({}).", owner(self.blame), self.kind));
        }
        text
    }
}

fn owner(blame: Blame) -> &'static str {
    match blame {
        Blame::Packager => "packager",
        Blame::Site => "people who run the builders",
        Blame::Hub => "administrators of the hub",
        Blame::Cancelled => "person who cancelled",
    }
}

/// The error and its causes, leaving out a cause that the message before it already tells.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

const FILE: &str = "outcome.json";

impl Outcome {
    /// Writes the outcome into the task's directory, whole or not at all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, task_dir: &Path) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(task_dir)?;
        serde_json::to_writer(&mut file, self)?;
        file.persist(task_dir.join(FILE))?;
        Ok(())
    }

    /// Reads the outcome; `None` when the process ended without one (it was killed, or it crashed).
    pub fn read(task_dir: &Path) -> Option<Self> {
        let bytes = std::fs::read(task_dir.join(FILE)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Removes the outcome of an earlier run of the same task.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn forget(task_dir: &Path) -> std::io::Result<()> {
        match std::fs::remove_file(task_dir.join(FILE)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame_chooses_the_fault_code_and_the_last_line() {
        let mut failure = Failure::site("registry-unreachable", "cannot push".into());
        assert_eq!(failure.fault_code(), FaultCode::ContainerError);
        assert!(failure.fault_text().contains("people who run the builders"));
        failure.blame = Blame::Packager;
        failure.hint = Some("add a label".into());
        assert_eq!(failure.fault_code(), FaultCode::BuildError);
        assert_eq!(failure.fault_text(), "cannot push\nWhat to do: add a label");
    }

    #[test]
    fn an_outcome_is_read_back_and_can_be_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        Outcome::Closed(BuildContainerResult::scratch(vec!["r/x@sha256:1".into()])).write(dir.path()).expect("written");
        assert!(matches!(Outcome::read(dir.path()), Some(Outcome::Closed(r)) if r.koji_builds.is_empty()));
        Outcome::forget(dir.path()).expect("removed");
        Outcome::forget(dir.path()).expect("removing nothing is fine");
        assert!(Outcome::read(dir.path()).is_none());
    }
}
