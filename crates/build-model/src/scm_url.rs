//! SCM URLs as Koji writes them: `git+https://host/container/name.git?subdir#revision`
//! (koji/daemon.py class SCM). Checked on the hub before a task exists, and again by the worker.

use std::fmt;
use std::str::FromStr;

use crate::{Blame, Diagnose};

/// A git SCM URL with a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScmUrl {
    /// `git`, `git+https`, `git+http`, `git+ssh`, `git+rsync`, `git+file`.
    pub scheme: String,
    /// User before `@`, for ssh.
    pub user: Option<String>,
    /// Host with port, as in `scm_host` of Koji's policy data. Empty for `git+file`.
    pub host: String,
    /// Path of the repository, beginning with a slash.
    pub repository: String,
    /// Directory inside the repository (the query part); empty for its top.
    pub subdir: String,
    /// Revision: a commit hash, or a branch that the worker resolves once.
    pub revision: String,
}

/// Why a text is not a usable SCM URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source `{url}` is not a usable SCM URL: {reason}")]
pub struct ScmUrlError {
    /// The text given, without any password.
    pub url: String,
    /// What is wrong.
    pub reason: &'static str,
}

impl Diagnose for ScmUrlError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "scm-url-invalid"
    }
    fn hint(&self) -> Option<String> {
        Some("write it as git+https://HOST/container/NAME.git#COMMIT".to_owned())
    }
}

const SCHEMES: [&str; 6] = ["git", "git+https", "git+http", "git+ssh", "git+rsync", "git+file"];

impl FromStr for ScmUrl {
    type Err = ScmUrlError;

    fn from_str(text: &str) -> Result<Self, ScmUrlError> {
        let bad = |reason| ScmUrlError { url: without_password(text), reason };
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(bad("it holds a blank or a control character"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it has no scheme"))?;
        if !SCHEMES.contains(&scheme) {
            return Err(bad("the scheme must be git, git+https, git+http, git+ssh, git+rsync or git+file"));
        }
        let (rest, revision) = rest.split_once('#').ok_or_else(|| bad("it names no revision after `#`"))?;
        let (rest, subdir) = rest.split_once('?').unwrap_or((rest, ""));
        let slash = rest.find('/').ok_or_else(|| bad("it names no repository"))?;
        let (authority, repository) = rest.split_at(slash);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(bad("a password in the URL is not allowed")),
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        if host.is_empty() != (scheme == "git+file") {
            return Err(bad("the host does not fit the scheme"));
        }
        if host.starts_with('-') || user.as_deref().is_some_and(|u| u.starts_with('-')) {
            return Err(bad("user and host may not begin with a dash"));
        }
        if repository.len() < 2 || repository.split('/').any(|p| p == "..") {
            return Err(bad("it names no repository, or one with `..`"));
        }
        if subdir.starts_with('/') || subdir.split('/').any(|p| p == "..") {
            return Err(bad("the sub-directory must stay inside the repository"));
        }
        if revision.is_empty()
            || revision.starts_with('-')
            || revision.contains([':', '^', '~', '\\', '*', '?', '['])
            || revision.contains("..")
        {
            return Err(bad("the revision must be a commit hash, a tag or a branch"));
        }
        Ok(ScmUrl {
            scheme: scheme.to_owned(),
            user,
            host: host.to_owned(),
            repository: repository.to_owned(),
            subdir: subdir.trim_end_matches('/').to_owned(),
            revision: revision.to_owned(),
        })
    }
}

impl ScmUrl {
    /// The URL the `git` program is given: no `git+`, no sub-directory, no revision.
    pub fn git_url(&self) -> String {
        let scheme = self.scheme.strip_prefix("git+").unwrap_or(&self.scheme);
        let user = self.user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
        format!("{scheme}://{user}{}{}", self.host, self.repository)
    }

    /// Name of the repository: the last part of its path, without `.git`.
    pub fn name(&self) -> &str {
        self.path_parts().1
    }

    /// Directory above the repository, like `container`; empty when there is none.
    pub fn namespace(&self) -> &str {
        self.path_parts().0
    }

    fn path_parts(&self) -> (&str, &str) {
        let path = self.repository.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        (above.rsplit('/').next().unwrap_or_default(), name)
    }

    /// The same source at a full commit hash, as recorded in builds.
    pub fn at_commit(&self, commit: &str) -> Self {
        Self { revision: commit.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for ScmUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
        write!(f, "{}://{user}{}{}", self.scheme, self.host, self.repository)?;
        if !self.subdir.is_empty() {
            write!(f, "?{}", self.subdir)?;
        }
        write!(f, "#{}", self.revision)
    }
}

/// The text with `user:password@` shortened to `user:…@`, for error messages.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@').and_then(|(u, h)| u.split_once(':').map(|(u, _)| (u, h))) {
        Some((user, host)) => format!("{scheme}://{user}:…@{host}{}", &rest[end..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kojis_forms_are_read_and_written_back() {
        for text in [
            "git+https://src.example.org/container/web.git#0123456789012345678901234567890123456789",
            "git://127.0.0.1:9418/container/web?docker#f40",
            "git+ssh://pkg@src.example.org/container/web#f40",
            "git+file:///srv/git/container/web.git#main",
        ] {
            assert_eq!(text.parse::<ScmUrl>().expect(text).to_string(), text);
        }
        // pungi writes an empty query; it means the top of the repository
        let url: ScmUrl = "git://host/container/web?#abc".parse().expect("empty query");
        assert_eq!((url.subdir.as_str(), url.git_url().as_str()), ("", "git://host/container/web"));
    }

    #[test]
    fn namespace_and_name_are_the_last_parts_of_the_path() {
        let parts = |text: &str| {
            let url: ScmUrl = text.parse().expect("an SCM URL");
            (url.namespace().to_owned(), url.name().to_owned())
        };
        assert_eq!(parts("git+https://h/git/container/web.git#1"), ("container".into(), "web".into()));
        assert_eq!(parts("git://h/web.git/#1"), (String::new(), "web".into()));
    }

    #[test]
    fn bad_forms_say_what_is_wrong() {
        for (text, reason) in [
            ("https://h/r#1", "scheme"),
            ("git+https://h/r", "revision"),
            ("git+https://h#1", "repository"),
            ("git+https://u:secret@h/r#1", "password"),
            ("git+https://h/r#--upload-pack=x", "revision"),
            ("git+https://h/../r#1", ".."),
            ("git+https://h/r?../x#1", "inside"),
            ("git+ssh://-oProxyCommand=x/r#1", "dash"),
            ("git+https://h/r #1", "blank"),
        ] {
            let err = text.parse::<ScmUrl>().expect_err(text);
            assert!(err.to_string().contains(reason), "{text}: {err}");
            assert!(!err.to_string().contains("secret"));
        }
    }
}
