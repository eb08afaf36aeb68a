//! Sources of ADD that are not in the build context: URLs and git repositories, told apart as BuildKit does.

/// Where a source is that is not below the source root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteSource {
    /// One file.
    Url,
    /// A repository, with what follows `#` or `?`.
    Git,
}

impl RemoteSource {
    /// What a source is, after expansion; `None` for a path. `github.com/user/repo` is a path.
    pub fn of(source: &str) -> Option<RemoteSource> {
        let lower = source.to_ascii_lowercase();
        if ["git://", "ssh://", "git+ssh://", "git+https://", "git+http://"].iter().any(|s| lower.starts_with(s)) {
            return Some(RemoteSource::Git);
        }
        // scp's form.
        if let Some((host, path)) = lower.split_once(':')
            && let Some((user, host)) = host.split_once('@')
            && !path.starts_with("//")
            && ![user, host].iter().any(|part| part.is_empty() || part.contains('/'))
        {
            return Some(RemoteSource::Git);
        }
        let rest = ["http://", "https://", "ftp://"].iter().find_map(|s| lower.strip_prefix(s))?;
        let path = rest.split(['#', '?']).next().unwrap_or(rest);
        Some(if path.ends_with(".git") && path.contains('/') { RemoteSource::Git } else { RemoteSource::Url })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_repositories_and_paths_are_told_apart() {
        for url in ["https://h/x.tar", "HTTP://h", "http://h/x?file=a.git", "https://h.git", "ftp://h/x"] {
            assert_eq!(RemoteSource::of(url), Some(RemoteSource::Url), "{url}");
        }
        for git in [
            "git@github.com:a/b.git",
            "git://h/r",
            "ssh://g@h/r",
            "https://h/a.git",
            "https://h/a.git#v1:sub",
            "https://h/a.git?ref=1",
        ] {
            assert_eq!(RemoteSource::of(git), Some(RemoteSource::Git), "{git}");
        }
        for path in ["http.conf", "git@home", "github.com/a/b", "a:b", "dir/git@host:x", "@:x", "a.git", "file:///x", ""] {
            assert_eq!(RemoteSource::of(path), None, "{path}");
        }
    }
}
