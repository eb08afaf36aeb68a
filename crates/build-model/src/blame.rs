//! Whose move it is when something failed. Every error of every crate answers [`Diagnose`];
//! the worker's supervisor alone reads it to choose between fail, retry and free.

/// Who has to act for the failure to go away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The Dockerfile, the repository or the request: the packager fixes it and submits again.
    Packager,
    /// Registry, disk, runtime, configuration: the people who run the builders fix it.
    Site,
    /// The hub refused or misbehaved: Koji's administrators.
    Hub,
    /// Somebody cancelled the task; nobody has to do anything.
    Cancelled,
}

impl Blame {
    /// The word used in messages: `packager`, `site`, `hub` or `cancelled`.
    pub fn as_str(self) -> &'static str {
        match self {
            Blame::Packager => "packager",
            Blame::Site => "site",
            Blame::Hub => "hub",
            Blame::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for Blame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every error of the project can say about itself besides its message.
pub trait Diagnose: std::error::Error {
    /// Whose move it is.
    fn blame(&self) -> Blame;
    /// A short stable word for logs and metrics, like `registry-unreachable`. Never changes meaning.
    fn kind(&self) -> &'static str;
    /// What to do next, one sentence, where there is something to say.
    fn hint(&self) -> Option<String> {
        None
    }
    /// Whether trying the same thing again later can help (decided by type, never by text).
    fn is_transient(&self) -> bool {
        false
    }
}

/// Any error of the project, where the caller only needs to know whose move it is (the steps of a build).
pub type BoxedDiagnose = Box<dyn Diagnose + Send + Sync>;

// Lets `?` turn every typed error into a boxed one, as std does for `Box<dyn Error>`.
impl<E: Diagnose + Send + Sync + 'static> From<E> for BoxedDiagnose {
    fn from(error: E) -> Self {
        Box::new(error)
    }
}
