//! Why a checkout failed, and whose move it then is. Git's own last lines are part of the message.

use std::path::PathBuf;

use build_model::{Blame, Diagnose};

use crate::ScmRefused;

/// Why a checkout failed. Whatever it had made is removed again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistGitError {
    /// The git program cannot be started.
    #[error("cannot run the git program")]
    GitProgram {
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The host does not answer, or broke off.
    #[error("cannot reach {url} to {purpose}{}", lines(.output))]
    Unreachable {
        /// Repository URL.
        url: String,
        /// What git was doing.
        purpose: &'static str,
        /// Git's last lines.
        output: Vec<String>,
    },
    /// Git did not finish in time.
    #[error("git did not {purpose} from {url} within {seconds} seconds{}", lines(.output))]
    TimedOut {
        /// Repository URL.
        url: String,
        /// What git was doing.
        purpose: &'static str,
        /// The limit.
        seconds: u64,
        /// Git's last lines.
        output: Vec<String>,
    },
    /// The host answers, but has no such repository, or not for everybody.
    #[error("there is no repository {url} that can be read without a password{}", lines(.output))]
    RepositoryNotFound {
        /// Repository URL.
        url: String,
        /// Git's last lines.
        output: Vec<String>,
    },
    /// The repository has no such commit, branch or tag.
    #[error("{url} has no commit, branch or tag `{revision}`")]
    RevisionNotFound {
        /// Repository URL.
        url: String,
        /// The revision asked for.
        revision: String,
        /// A branch with a similar name.
        suggestion: Option<String>,
    },
    /// An abbreviated commit hash; asking the server for it is not possible.
    #[error("`{revision}` is an abbreviated commit hash")]
    AbbreviatedHash {
        /// The revision asked for.
        revision: String,
    },
    /// Git refused for another reason.
    #[error("git could not {purpose} {url}{}", lines(.output))]
    Git {
        /// Repository URL.
        url: String,
        /// What git was doing.
        purpose: &'static str,
        /// Git's last lines.
        output: Vec<String>,
    },
    /// Git wrote something that could not be understood.
    #[error("git's answer cannot be read when asked to {purpose}: `{line}`")]
    Unreadable {
        /// What git was asked.
        purpose: &'static str,
        /// The line in question.
        line: String,
    },
    /// The commit has no such directory.
    #[error("commit {commit} has no directory `{subdir}`")]
    SubdirNotFound {
        /// The commit.
        commit: String,
        /// The directory asked for.
        subdir: String,
    },
    /// The directory is a symbolic link to somewhere else.
    #[error("`{subdir}` of commit {commit} leads out of the repository")]
    SubdirOutside {
        /// The commit.
        commit: String,
        /// The directory asked for.
        subdir: String,
    },
    /// A file of it, or all of it packed, is beyond what a build may fetch.
    #[error("{url} is too large: git may write no file of more than {limit} bytes")]
    TooLarge {
        /// Repository URL.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// A submodule cannot be fetched from where it says.
    #[error("the submodule `{path}` {problem}")]
    BadSubmodule {
        /// Its directory.
        path: String,
        /// Why.
        problem: String,
    },
    /// The site does not allow a submodule's repository.
    #[error("the submodule `{path}` may not be fetched")]
    SubmoduleRefused {
        /// Its directory.
        path: String,
        /// Why.
        source: ScmRefused,
    },
    /// Fetching a submodule failed.
    #[error("in the submodule `{path}`")]
    InSubmodule {
        /// Its directory.
        path: String,
        /// How.
        source: Box<DistGitError>,
    },
    /// Git has no such transport any more.
    #[error("the scheme {scheme} is not supported by git")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The destination is in use.
    #[error("the checkout directory {} is not empty", .path.display())]
    DestinationInUse {
        /// The destination.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

fn lines(output: &[String]) -> String {
    output.iter().map(|line| format!("\n  git: {line}")).collect()
}

impl Diagnose for DistGitError {
    fn blame(&self) -> Blame {
        match self {
            DistGitError::RepositoryNotFound { .. }
            | DistGitError::RevisionNotFound { .. }
            | DistGitError::AbbreviatedHash { .. }
            | DistGitError::SubdirNotFound { .. }
            | DistGitError::SubdirOutside { .. }
            | DistGitError::TooLarge { .. }
            | DistGitError::BadSubmodule { .. }
            | DistGitError::Scheme { .. } => Blame::Packager,
            DistGitError::SubmoduleRefused { source, .. } => source.blame(),
            DistGitError::InSubmodule { source, .. } => source.blame(),
            DistGitError::GitProgram { .. }
            | DistGitError::Unreachable { .. }
            | DistGitError::TimedOut { .. }
            | DistGitError::Git { .. }
            | DistGitError::Unreadable { .. }
            | DistGitError::DestinationInUse { .. }
            | DistGitError::Io { .. } => Blame::Site,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            DistGitError::GitProgram { .. } => "git-program",
            DistGitError::Unreachable { .. } => "scm-unreachable",
            DistGitError::TimedOut { .. } => "scm-timeout",
            DistGitError::RepositoryNotFound { .. } => "scm-repository-not-found",
            DistGitError::RevisionNotFound { .. } => "scm-revision-not-found",
            DistGitError::AbbreviatedHash { .. } => "scm-revision-abbreviated",
            DistGitError::Git { .. } => "git-failed",
            DistGitError::Unreadable { .. } => "git-unreadable",
            DistGitError::SubdirNotFound { .. } => "scm-subdir-not-found",
            DistGitError::SubdirOutside { .. } => "scm-subdir-outside",
            DistGitError::TooLarge { .. } => "scm-too-large",
            DistGitError::BadSubmodule { .. } => "scm-submodule",
            DistGitError::SubmoduleRefused { .. } => "scm-submodule-refused",
            DistGitError::InSubmodule { source, .. } => source.kind(),
            DistGitError::Scheme { .. } => "scm-scheme",
            DistGitError::DestinationInUse { .. } | DistGitError::Io { .. } => "checkout-directory",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            DistGitError::RevisionNotFound { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            DistGitError::RevisionNotFound { .. } => Some("push the commit before building it".to_owned()),
            DistGitError::AbbreviatedHash { .. } => Some("give all 40 digits of the commit".to_owned()),
            DistGitError::GitProgram { .. } => Some("install git on the builder".to_owned()),
            DistGitError::Scheme { .. } => Some("use git+https".to_owned()),
            DistGitError::BadSubmodule { .. } => Some(
                "correct .gitmodules, or copy the files into the repository; ADD leaves submodules out with `?submodules=false`"
                    .to_owned(),
            ),
            DistGitError::SubmoduleRefused { source, .. } => source.hint(),
            DistGitError::InSubmodule { source, .. } => source.hint(),
            _ => None,
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            DistGitError::InSubmodule { source, .. } => source.is_transient(),
            other => matches!(other, DistGitError::Unreachable { .. } | DistGitError::TimedOut { .. }),
        }
    }
}
