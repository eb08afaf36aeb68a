//! `.repo` files of the request (`--repo-url`, pungi's `yum_repourls`): fetched, read, and turned into content sources.
//!
//! They only add to what is *offered*; the gate releases what Koji built, wherever it is offered. A site allows the
//! hosts such files may come from and may point to (`policy.repo_url_hosts`); none are allowed by default.

use std::collections::BTreeMap;
use std::time::Duration;

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose};
use rpm_provenance::ContentSource;
use url::Url;

use crate::config::has_credentials;
use crate::task::run::TaskContext;

/// A `.repo` file is a few lines; anything larger is something else.
const MAX_REPO_FILE: usize = 256 << 10;
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a `.repo` file of the request cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepoUrlError {
    /// The site does not allow the host.
    #[error("repositories from the host `{host}` are not allowed here ({url})")]
    HostNotAllowed {
        /// The host.
        host: String,
        /// The URL given, or found in the file.
        url: String,
        /// The hosts that are.
        allowed: Vec<String>,
    },
    /// The file cannot be had.
    #[error("cannot fetch the repository file {url}")]
    Fetch {
        /// The URL given.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The file is not one.
    #[error("the repository file {url}: {problem}")]
    Content {
        /// The URL given.
        url: String,
        /// What is wrong, with the line where there is one.
        problem: String,
    },
}

impl Diagnose for RepoUrlError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            RepoUrlError::HostNotAllowed { .. } => "repo-url-host",
            RepoUrlError::Fetch { .. } => "repo-url-fetch",
            RepoUrlError::Content { .. } => "repo-url-content",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            RepoUrlError::HostNotAllowed { allowed, .. } if allowed.is_empty() => {
                Some("this site offers content through its targets only; leave --repo-url out".into())
            }
            RepoUrlError::HostNotAllowed { allowed, .. } => Some(format!("allowed are: {}", allowed.join(", "))),
            RepoUrlError::Fetch { .. } => Some("check the URL with curl; it must be reachable from the builders".into()),
            RepoUrlError::Content { .. } => None,
        }
    }
}

/// Adds the content sources of the request's `.repo` files, in their order, to those of each architecture. A file is
/// fetched once for all of them.
///
/// # Errors
/// The first file that is not allowed, cannot be fetched or is not usable.
pub async fn add_repo_urls(
    context: &TaskContext<'_>,
    urls: &[String],
    sources: &mut BTreeMap<Arch, Vec<ContentSource>>,
) -> Result<(), BoxedDiagnose> {
    let allowed = &context.settings.policy.repo_url_hosts;
    for (number, url) in urls.iter().enumerate() {
        let bad = |problem: String| RepoUrlError::Content { url: url.clone(), problem };
        check_host(url, url, allowed)?;
        let text = fetch(url).await?;
        for (arch, sources) in &mut *sources {
            for repo in parse(&text, arch).map_err(bad)? {
                check_host(&repo.base_url, url, allowed)?;
                // Two files may use the same section name; the number keeps them apart in the sandbox.
                let name = format!("request{number}-{}", repo.name);
                context.log.step(&format!("content {name}: {}", repo.base_url));
                sources.push(ContentSource {
                    name,
                    base_url: repo.base_url,
                    repomd_sha256: None,
                    gpgkeys: Vec::new(),
                    of_request: true,
                });
            }
        }
    }
    Ok(())
}

fn check_host(url: &str, file: &str, allowed: &[String]) -> Result<(), RepoUrlError> {
    if has_credentials(url) {
        // It would stand in the logs and in Koji's record of the build. Neither URL is shown.
        let problem = "it holds a URL with a user name or password".to_owned();
        let url = if has_credentials(file) { "of the request".to_owned() } else { file.to_owned() };
        return Err(RepoUrlError::Content { url, problem });
    }
    let parsed = Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
    let Some(host) = parsed.as_ref().and_then(Url::host_str) else {
        return Err(RepoUrlError::Content { url: file.to_owned(), problem: format!("`{url}` is not an http or https URL") });
    };
    if allowed.iter().any(|a| a == host) {
        return Ok(());
    }
    Err(RepoUrlError::HostNotAllowed { host: host.to_owned(), url: url.to_owned(), allowed: allowed.to_vec() })
}

async fn fetch(url: &str) -> Result<String, RepoUrlError> {
    let failed = |source| RepoUrlError::Fetch { url: url.to_owned(), source };
    // No redirects: they could lead to a host that is not allowed.
    let client =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(FETCH_TIMEOUT).build().map_err(failed)?;
    let mut answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    if !answer.status().is_success() {
        let problem = format!("the server answered {}; redirections are not followed", answer.status());
        return Err(RepoUrlError::Content { url: url.to_owned(), problem });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_REPO_FILE {
            let problem = format!("it is larger than {MAX_REPO_FILE} bytes");
            return Err(RepoUrlError::Content { url: url.to_owned(), problem });
        }
    }
    String::from_utf8(bytes).map_err(|_| RepoUrlError::Content { url: url.to_owned(), problem: "it is not UTF-8 text".into() })
}

/// One enabled section.
#[derive(Debug, PartialEq, Eq)]
struct RepoSection {
    name: String,
    base_url: String,
}

/// Reads the enabled sections of a `.repo` file (dnf.conf(5)): `baseurl` with `$basearch` and `$arch` replaced.
/// Mirror lists are refused: what they lead to cannot be pinned.
fn parse(text: &str, arch: &Arch) -> Result<Vec<RepoSection>, String> {
    struct Open {
        name: String,
        line: usize,
        base_url: Option<String>,
        enabled: bool,
        mirrors: bool,
    }
    let mut sections: Vec<Open> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            let is_id =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'));
            if !is_id {
                return Err(format!("line {number}: `{name}` cannot be the id of a repository"));
            }
            sections.push(Open { name: name.replace(':', "_"), line: number, base_url: None, enabled: true, mirrors: false });
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!("line {number}: neither a section nor KEY=VALUE"));
        };
        let Some(open) = sections.last_mut() else { return Err(format!("line {number}: before the first section")) };
        match key.trim() {
            "baseurl" => open.base_url = value.split_whitespace().next().map(str::to_owned),
            "enabled" => open.enabled = !matches!(value.trim(), "0" | "no" | "false" | "False"),
            "mirrorlist" | "metalink" => open.mirrors = true,
            _ => {}
        }
    }
    let mut repos = Vec::new();
    for open in sections.into_iter().filter(|s| s.enabled) {
        let Some(base_url) = open.base_url else {
            let why = if open.mirrors { "has only a mirror list, which cannot be pinned" } else { "has no baseurl" };
            return Err(format!("line {}: the repository `{}` {why}", open.line, open.name));
        };
        let base_url = base_url.replace("$basearch", arch.as_str()).replace("$arch", arch.as_str());
        if base_url.contains('$') {
            return Err(format!("line {}: only $basearch and $arch are known in `{base_url}`", open.line));
        }
        repos.push(RepoSection { name: open.name, base_url });
    }
    if repos.is_empty() { Err("it has no enabled repository".into()) } else { Ok(repos) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let arch = Arch::canonical("x86_64").expect("arch");
        parse(text, &arch).map(|repos| repos.into_iter().map(|r| (r.name, r.base_url)).collect())
    }

    #[test]
    fn what_pungi_writes_is_read() {
        let text = "[Server-compose]\nname=Compose\nbaseurl=http://c.example.org/Server/$basearch/os\nenabled=1\ngpgcheck=0\n\n[off]\nenabled=0\nbaseurl=http://x/\n";
        let url = "http://c.example.org/Server/x86_64/os".to_owned();
        assert_eq!(read(text), Ok(vec![("Server-compose".to_owned(), url)]));
    }

    #[test]
    fn what_cannot_be_pinned_or_read_is_refused_with_its_line() {
        for (text, word) in [
            ("[a]\nmetalink=http://m/\n", "mirror list"),
            ("[a]\nbaseurl=http://h/$releasever/\n", "line 1"),
            ("baseurl=http://h/\n", "line 1: before"),
            ("[a]\nnonsense\n", "line 2"),
            ("[a b]\n", "id of a repository"),
            ("# nothing\n", "no enabled"),
        ] {
            let problem = read(text).expect_err(text);
            assert!(problem.contains(word), "{problem}");
        }
    }

    #[test]
    fn only_hosts_the_site_names_are_allowed() {
        let allowed = ["c.example.org".to_owned()];
        assert!(check_host("http://c.example.org/x", "f", &allowed).is_ok());
        let error = check_host("http://evil.example/x", "f", &allowed).expect_err("refused");
        assert_eq!((error.kind(), error.hint().as_deref()), ("repo-url-host", Some("allowed are: c.example.org")));
        assert!(check_host("file:///etc/passwd", "f", &allowed).is_err());
        let secret = "http://u:hunter2@c.example.org/x";
        for file in ["http://c.example.org/f.repo", secret] {
            let error = check_host(secret, file, &allowed).expect_err("refused").to_string();
            assert!(error.contains("password") && !error.contains("hunter2"), "{error}");
        }
    }
}
