//! A git repository as a source of ADD: `https://HOST/PATH.git`, `ssh://…`, `git://…` or `USER@HOST:PATH`, with the revision
//! and directory behind `#` or in the query (Docker build documentation, "URL fragments" and "URL queries"). Whoever
//! fetches it gets the pieces; the engine asks for them when the words of an ADD are expanded.

use percent_encoding::percent_decode_str;

/// Where a repository is and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// What the git program is given: without revision, directory and query.
    pub remote: String,
    /// How it is reached.
    pub transport: GitTransport,
    /// Branch, tag, full ref or full commit hash; `None` is what the server calls HEAD.
    pub revision: Option<String>,
    /// Directory of it, relative, without `..`; empty for all of it.
    pub subdir: String,
    /// Beginning of the hash the revision must lead to (`checksum` or `commit` in the query).
    pub commit: Option<String>,
    /// `keep-git-dir` of the query.
    pub keep_git_dir: Option<bool>,
    /// `submodules` of the query.
    pub submodules: Option<bool>,
}

/// The transports a repository can be fetched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitTransport {
    /// `git://`
    Git,
    /// `http://`
    Http,
    /// `https://`
    Https,
    /// `ssh://` and `USER@HOST:PATH`
    Ssh,
}

/// Why a text names no repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no git repository: {reason}")]
pub struct GitSourceError {
    /// The source, without a password.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl GitSource {
    /// Takes a source apart that [`crate::RemoteSource::of`] calls a repository.
    ///
    /// # Errors
    /// Unknown queries, contradictions, and whatever git could take for something else than a place.
    pub fn parse(text: &str) -> Result<GitSource, GitSourceError> {
        read(text).map_err(|reason| GitSourceError { text: without_password(text), reason })
    }

    /// Whether the revision is a commit by its full hash, so that what is fetched is known before it is fetched.
    pub fn pinned_commit(&self) -> Option<&str> {
        let full = |hash: &&str| matches!(hash.len(), 40 | 64) && hash.bytes().all(|b| b.is_ascii_hexdigit());
        self.revision.as_deref().filter(full)
    }
}

fn read(text: &str) -> Result<GitSource, String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it holds a blank or a control character".to_owned());
    }
    let (place, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (place, query) = place.split_once('?').unwrap_or((place, ""));
    let (remote, transport) = place_of(place)?;
    let (revision, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut source = GitSource {
        remote,
        transport,
        revision: Some(decoded(revision)?).filter(|r| !r.is_empty()),
        subdir: decoded(subdir)?,
        commit: None,
        keep_git_dir: None,
        submodules: None,
    };
    source.take_query(query)?;
    if source.revision.as_deref().is_some_and(|r| r.starts_with('-') || r.contains([':', '^', '~', '\\', '*', '?', '['])) {
        return Err("the revision must be a commit hash, a tag or a branch".to_owned());
    }
    // As in BuildKit nothing leads above the repository's top.
    let mut elements: Vec<&str> = Vec::new();
    for element in source.subdir.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(elements.pop()),
            name => elements.push(name),
        }
    }
    source.subdir = elements.join("/");
    Ok(source)
}

/// The URL git is given, and how it gets there.
fn place_of(place: &str) -> Result<(String, GitTransport), String> {
    let Some((scheme, rest)) = place.split_once("://") else {
        let (user, host_and_path) = place.split_once('@').ok_or("it has no scheme")?;
        let (host, path) = host_and_path.split_once(':').ok_or("it has no scheme")?;
        check_place(Some(user), host, path)?;
        return Ok((place.to_owned(), GitTransport::Ssh));
    };
    let scheme = scheme.to_ascii_lowercase();
    let scheme = scheme.strip_prefix("git+").unwrap_or(&scheme);
    let transport = match scheme {
        "git" => GitTransport::Git,
        "http" => GitTransport::Http,
        "https" => GitTransport::Https,
        "ssh" => GitTransport::Ssh,
        other => return Err(format!("git has no scheme `{other}`")),
    };
    let (authority, path) = rest.split_once('/').ok_or("it has no path")?;
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    check_place(user, host, path)?;
    Ok((format!("{scheme}://{rest}"), transport))
}

fn check_place(user: Option<&str>, host: &str, path: &str) -> Result<(), String> {
    if user.is_some_and(|user| user.contains(':')) {
        return Err("a password has no place in a Dockerfile".to_owned());
    }
    // ssh would take it for an option.
    if host.starts_with('-') || user.is_some_and(|u| u.starts_with('-')) || path.starts_with('-') {
        return Err("user, host and path may not begin with a dash".to_owned());
    }
    if host.is_empty() || path.trim_matches('/').is_empty() {
        return Err("it needs a host and a path".to_owned());
    }
    Ok(())
}

impl GitSource {
    fn take_query(&mut self, query: &str) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        let mut seen: Vec<String> = Vec::new();
        for field in query.split('&').filter(|field| !field.is_empty()) {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            // In a query `+` is a blank, and no ref holds one.
            let (key, value) = (decoded(key)?, decoded(&value.replace('+', "%20"))?);
            if seen.contains(&key) {
                return Err(format!("`{key}` is given twice"));
            }
            match key.as_str() {
                "keep-git-dir" => self.keep_git_dir = Some(truth(&key, &value)?),
                "submodules" => self.submodules = Some(truth(&key, &value)?),
                // What is fetched is the commit in any case.
                "fetch-by-commit" => drop(truth(&key, &value)?),
                _ if value.is_empty() => return Err(format!("`{key}` has no value")),
                "ref" => set_once(&mut self.revision, value, "revision")?,
                "tag" => tag = Some(value),
                "branch" => branch = Some(value),
                "subdir" if self.subdir.is_empty() || self.subdir == value => self.subdir = value,
                "subdir" => return Err(format!("it names two directories, `{}` and `{value}`", self.subdir)),
                "checksum" | "commit" if value.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    set_once(&mut self.commit, value.to_ascii_lowercase(), "commit")?;
                }
                "checksum" | "commit" => return Err(format!("`{value}` is no commit")),
                "mtime" if matches!(value.as_str(), "checkout" | "commit") => {}
                "mtime" => return Err("`mtime` is `checkout` or `commit`".to_owned()),
                _ => return Err(format!("it has no query `{key}`")),
            }
            seen.push(key);
        }
        if tag.is_some() && branch.is_some() {
            return Err("it names a tag and a branch".to_owned());
        }
        let full = |name: String, kind: &str| if name.starts_with(kind) { name } else { format!("{kind}{name}") };
        let named = tag.map(|name| full(name, "refs/tags/")).or(branch.map(|name| full(name, "refs/heads/")));
        named.map_or(Ok(()), |name| set_once(&mut self.revision, name, "revision"))
    }
}

fn set_once(field: &mut Option<String>, value: String, what: &str) -> Result<(), String> {
    match field {
        Some(old) if *old != value => Err(format!("it names two of `{what}`, `{old}` and `{value}`")),
        _ => {
            *field = Some(value);
            Ok(())
        }
    }
}

/// As Go's `strconv.ParseBool`; nothing is true.
fn truth(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{key}` is `true` or `false`")),
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "it is not UTF-8".to_owned())?;
    if text.chars().any(|c| c.is_control()) { Err("it holds a control character".to_owned()) } else { Ok(text.into_owned()) }
}

fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:…@{host}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RemoteSource;

    fn parsed(text: &str) -> GitSource {
        assert_eq!(RemoteSource::of(text), Some(RemoteSource::Git), "{text}");
        GitSource::parse(text).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn places_are_what_git_is_given() {
        for (text, remote, transport) in [
            ("https://h/a/b.git", "https://h/a/b.git", GitTransport::Https),
            ("HTTP://h:80/b.git#v1", "http://h:80/b.git", GitTransport::Http),
            ("git+ssh://g@h/b", "ssh://g@h/b", GitTransport::Ssh),
            ("git@h:a/b.git?ref=x#:sub", "git@h:a/b.git", GitTransport::Ssh),
            ("git://h/b#x", "git://h/b", GitTransport::Git),
        ] {
            let source = parsed(text);
            assert_eq!((source.remote.as_str(), source.transport), (remote, transport), "{text}");
        }
    }

    #[test]
    fn fragments_and_queries_say_what_is_wanted() {
        let wanted = |text: &str| {
            let source = parsed(&format!("https://h/r.git{text}"));
            (source.revision.unwrap_or_default(), source.subdir)
        };
        let is = |revision: &str, subdir: &str| (revision.to_owned(), subdir.to_owned());
        assert_eq!(wanted(""), is("", ""));
        assert_eq!(wanted("#"), is("", ""));
        assert_eq!(wanted("#v1"), is("v1", ""));
        assert_eq!(wanted("#:docs"), is("", "docs"));
        assert_eq!(wanted("#a%2Fb:/x/../../d/./e/"), is("a/b", "d/e"));
        assert_eq!(wanted("?ref=v1&subdir=d"), is("v1", "d"));
        assert_eq!(wanted("?ref=v1#v1:d"), is("v1", "d"));
        assert_eq!(wanted("?tag=v1"), is("refs/tags/v1", ""));
        assert_eq!(wanted("?branch=refs/heads/b"), is("refs/heads/b", ""));
        let source = parsed("https://h/r.git?commit=AB12&keep-git-dir&submodules=0&mtime=commit");
        assert_eq!((source.commit.as_deref(), source.keep_git_dir, source.submodules), (Some("ab12"), Some(true), Some(false)));
    }

    #[test]
    fn what_git_could_misread_is_refused() {
        for bad in [
            "https://h/r.git#--upload-pack=x",
            "https://h/r.git?ref=-x",
            "https://h/r.git?ref=a#b",
            "https://h/r.git?subdir=a#:b",
            "https://h/r.git?tag=a&branch=b",
            "https://h/r.git?ref=a&ref=a",
            "https://h/r.git?ref=",
            "https://h/r.git?color=red",
            "https://h/r.git?commit=xyz",
            "https://h/r.git?mtime=now",
            "https://h/r.git?submodules=maybe",
            "https://h/r.git#a%0ab",
            "https://-h/r.git",
            "ssh://-oProxyCommand=x@h/r",
            "git@h:-x",
            "git@-h:x",
            "git://h/",
        ] {
            assert!(GitSource::parse(bad).is_err(), "{bad}");
        }
        let err = GitSource::parse("https://u:secret@h/r.git").expect_err("a password");
        assert!(!err.to_string().contains("secret"), "{err}");
    }

    #[test]
    fn full_hashes_are_known_beforehand() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(parsed(&format!("https://h/r.git#{hash}")).pinned_commit(), Some(hash));
        assert_eq!(parsed("https://h/r.git#0123456").pinned_commit(), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(https://|git@|ssh://)?[a-z@:/.?&=#%-]{0,40}\\PC{0,8}") {
            if let Ok(source) = GitSource::parse(&text) {
                proptest::prop_assert!(!source.remote.starts_with('-'));
                proptest::prop_assert!(source.subdir.split('/').all(|e| e != ".."));
            }
        }
    }
}
