//! Sources of ADD that are not in the build context: URLs and git repositories, told apart as BuildKit does.

use percent_encoding::percent_decode_str;

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

/// What a file fetched from `url` is called where only a directory is named: the last part of the path, decoded. `None`
/// where there is none that a file can have.
pub fn url_file_name(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split(['#', '?']).next().unwrap_or(rest);
    let (_, path) = rest.split_once('/')?;
    let path = percent_decode_str(path).decode_utf8().ok()?;
    // As Go's path.Base: slashes at the end do not count, and an encoded slash is one.
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    (!matches!(name, "" | "." | "..") && !name.contains('\0')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_the_path_ends() {
        for (url, name) in [
            ("https://h/a/x.tar?b=/c#d/e", Some("x.tar")),
            ("http://h/a%20b/", Some("a b")),
            ("http://h/a%2Fb", Some("b")),
            ("http://h", None),
            ("http://h/", None),
            ("http://h/a/..", None),
            ("http://h/a%2F..", None),
            ("http://h/%00", None),
            ("http://h/%ff", None),
        ] {
            assert_eq!(url_file_name(url).as_deref(), name, "{url}");
        }
    }

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
