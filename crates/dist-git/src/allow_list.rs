//! Which SCM repositories may be built from: kojid's `allowed_scms` setting, word for word
//! (koji/daemon.py SCM.assert_allowed_by_config). The hub's `build_from_scm` policy is asked separately.

use build_model::{Blame, Diagnose, ScmUrl};

use crate::glob;

/// A parsed `allowed_scms` setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScmAllowList {
    rules: Vec<Rule>,
    ignored: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// As written, for messages.
    text: String,
    blocks: bool,
    host: String,
    repository: String,
}

/// The repository is not in the list, or is in it to be refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host}:{repository} is not in the list of allowed SCMs{}", rule.as_ref().map(|r| format!(" (blocked by `{r}`)")).unwrap_or_default())]
pub struct ScmRefused {
    /// Host of the URL.
    pub host: String,
    /// Path of the repository.
    pub repository: String,
    /// The `!` entry that refused it; `None` when no entry matched.
    pub rule: Option<String>,
}

impl Diagnose for ScmRefused {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "scm-not-allowed"
    }
    fn hint(&self) -> Option<String> {
        Some("build from an allowed dist-git, or ask the administrators to add this one to allowed_scms".to_owned())
    }
}

impl ScmAllowList {
    /// Reads blank-separated entries `host:repository[:use_common[:source_cmd]]` and `!host:repository`; host and
    /// repository are patterns, the first entry that matches decides. `use_common` and `source_cmd` are accepted and mean
    /// nothing here: nothing of a repository is run. Entries without a colon are ignored, as kojid does; see
    /// [`ScmAllowList::ignored`].
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for entry in text.split_whitespace() {
            let mut fields = entry.split(':');
            let (Some(host), Some(repository)) = (fields.next(), fields.next()) else {
                list.ignored.push(entry.to_owned());
                continue;
            };
            let (blocks, host) = match host.strip_prefix('!') {
                Some(host) => (true, host),
                None => (false, host),
            };
            let (host, repository) = (host.to_owned(), repository.to_owned());
            list.rules.push(Rule { text: entry.to_owned(), blocks, host, repository });
        }
        list
    }

    /// Entries that are none: to be warned about at start.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Whether nothing at all is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.iter().all(|rule| rule.blocks)
    }

    /// Asks the list about a URL.
    ///
    /// # Errors
    /// When the first matching entry blocks it, or none matches.
    pub fn check(&self, url: &ScmUrl) -> Result<(), ScmRefused> {
        let matching = self
            .rules
            .iter()
            .find(|rule| glob::matches(&rule.host, &url.host) && glob::matches(&rule.repository, &url.repository));
        match matching {
            Some(rule) if !rule.blocks => Ok(()),
            other => Err(ScmRefused {
                host: url.host.clone(),
                repository: url.repository.clone(),
                rule: other.map(|rule| rule.text.clone()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ScmUrl {
        text.parse().expect("an SCM URL")
    }

    #[test]
    fn the_first_matching_entry_decides() {
        let list = ScmAllowList::parse(
            "!src.example.org:/container/secret*:no src.example.org:/container/*:off:fedpkg,sources *:/open/*",
        );
        assert!(list.check(&url("git+https://src.example.org/container/web#1")).is_ok());
        assert!(list.check(&url("git://other.example.org/open/x#1")).is_ok());
        let refused = list.check(&url("git+https://src.example.org/container/secret-1#1")).expect_err("blocked");
        assert_eq!(refused.rule.as_deref(), Some("!src.example.org:/container/secret*:no"));
        let refused = list.check(&url("git+https://src.example.org/rpms/web#1")).expect_err("not listed");
        assert_eq!(refused.to_string(), "src.example.org:/rpms/web is not in the list of allowed SCMs");
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let list = ScmAllowList::parse(" \n");
        assert!(list.is_empty() && list.check(&url("git://h/r#1")).is_err());
        assert!(ScmAllowList::parse("!h:*").is_empty());
    }

    #[test]
    fn entries_without_a_colon_are_ignored_and_told() {
        let list = ScmAllowList::parse("src.example.org :/srv/git/*");
        assert_eq!(list.ignored(), ["src.example.org"]);
        assert!(list.check(&url("git+file:///srv/git/web#1")).is_ok());
        assert!(list.check(&url("git://src.example.org/srv/git/web#1")).is_err(), "an empty host matches only an empty host");
    }

    #[test]
    fn a_port_belongs_to_the_host() {
        let url = url("git://127.0.0.1:9418/container/web#1");
        assert!(ScmAllowList::parse("127.0.0.1*:/container/*").check(&url).is_ok());
        assert!(ScmAllowList::parse("127.0.0.1:/container/*").check(&url).is_err());
    }
}
