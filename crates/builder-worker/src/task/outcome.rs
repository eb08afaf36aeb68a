//! How a task ended, as its process tells the worker: one JSON file, written whole or not at all.

use std::path::Path;

use build_model::{Blame, Diagnose, FaultCode};
use serde::{Deserialize, Serialize};

/// How a task ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is done; the result goes to `host.closeTask`.
    Closed(serde_json::Value),
    /// It waits for its subtasks and is to be run again when the hub says that one has ended. Nothing runs meanwhile.
    Waiting,
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

    /// From the fault of a subtask: undoes [`Failure::fault_text`], so that its parts are not repeated in another one.
    pub fn from_fault(code: i64, text: &str) -> Self {
        let (text, own) = match text.split_once(OWNER) {
            Some((text, owner)) => (text, Some(owner)),
            None => (text, None),
        };
        let (message, hint) = match text.split_once(HINT) {
            Some((message, hint)) => (message, Some(hint.trim_end().to_owned())),
            None => (text, None),
        };
        let is_owner = |blame: &Blame| own.is_some_and(|text| text.starts_with(owner(*blame)));
        let blame = match FaultCode::from_code(code) {
            Some(FaultCode::BuildError) => Blame::Packager,
            Some(FaultCode::ContainerCancelled) => Blame::Cancelled,
            _ => [Blame::Hub, Blame::Cancelled].into_iter().find(is_owner).unwrap_or(Blame::Site),
        };
        let kind = "subtask".to_owned();
        Self { blame, kind, message: message.trim_end().to_owned(), hint, transient: false }
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
            text.push_str(HINT);
            text.push_str(hint);
        }
        if self.blame != Blame::Packager {
            text.push_str(&format!("{OWNER}{} to solve ({}).", owner(self.blame), self.kind));
        }
        text
    }
}

const HINT: &str = "\nWhat to do: ";
const OWNER: &str = "\nThis is for the ";

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
    /// One word, for the worker's log.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Closed(_) => "closed",
            Outcome::Waiting => "waiting",
            Outcome::Failed(_) => "failed",
        }
    }

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
    fn a_subtasks_fault_is_taken_apart_again() {
        for blame in [Blame::Packager, Blame::Site, Blame::Hub, Blame::Cancelled] {
            for hint in [None, Some("wait\nand see".to_owned())] {
                let told = Failure { blame, kind: "k".into(), message: "two\nlines".into(), hint, transient: false };
                let read = Failure::from_fault(i64::from(told.fault_code().code()), &told.fault_text());
                assert_eq!((read.blame, &read.message, &read.hint), (blame, &told.message, &told.hint));
            }
        }
        let other = Failure::from_fault(1000, "Task 7 is canceled");
        assert_eq!((other.blame, other.message.as_str(), other.hint), (Blame::Site, "Task 7 is canceled", None));
    }

    #[test]
    fn an_outcome_is_read_back_and_can_be_forgotten() {
        let dir = tempfile::tempdir().expect("tempdir");
        Outcome::Closed(serde_json::json!({"koji_builds": []})).write(dir.path()).expect("written");
        assert!(matches!(Outcome::read(dir.path()), Some(Outcome::Closed(r)) if r["koji_builds"].is_array()));
        Outcome::Waiting.write(dir.path()).expect("written");
        assert!(matches!(Outcome::read(dir.path()), Some(Outcome::Waiting)));
        Outcome::forget(dir.path()).expect("removed");
        Outcome::forget(dir.path()).expect("removing nothing is fine");
        assert!(Outcome::read(dir.path()).is_none());
    }
}
