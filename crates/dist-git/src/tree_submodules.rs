//! The submodules of a repository that an ADD names, and theirs (BuildKit runs `git submodule update --init --recursive` there):
//! each is fetched at the commit that the repository records, by the same closed-up git, and put where it belongs. Unlike
//! those of dist-git ([`crate::fetch_submodules`]) no allow-list is asked: a build that may fetch at all may fetch anything.

use std::path::Path;

use futures_util::future::BoxFuture;

use crate::DistGitError;
use crate::fetched_tree::{TreeRequest, fetch_files};
use crate::git::Git;
use crate::submodules::{MAX_COUNT, MAX_DEPTH, Submodule, free_place, is_relative, list, relative};

/// How many were fetched, and how deep this one is.
#[derive(Debug, Default)]
pub(crate) struct Submodules {
    count: usize,
    depth: usize,
}

impl Submodules {
    /// Fills the directories that git left for the submodules of `commit`, as far as they are in the directory that is
    /// wanted. `scratch` is an absent directory; it is gone afterwards.
    pub(crate) fn fill<'a>(
        &'a mut self,
        git: &'a Git<'_>,
        request: &'a TreeRequest<'_>,
        commit: &'a str,
        top: &'a Path,
        scratch: &'a Path,
        log: &'a (dyn Fn(&str) + Sync),
    ) -> BoxFuture<'a, Result<(), DistGitError>> {
        Box::pin(async move {
            let modules = list(git, commit, top).await?;
            for module in modules.iter().filter(|module| Path::new(&module.path).starts_with(request.subdir)) {
                self.add(request, module, top, scratch, log).await?;
            }
            Ok(())
        })
    }

    async fn add(
        &mut self,
        request: &TreeRequest<'_>,
        module: &Submodule,
        top: &Path,
        scratch: &Path,
        log: &(dyn Fn(&str) + Sync),
    ) -> Result<(), DistGitError> {
        let unusable = |problem: String| DistGitError::BadSubmodule { path: module.path.clone(), problem };
        let url = module.url.as_deref().ok_or_else(|| unusable("has no address in .gitmodules".to_owned()))?;
        let (url, transport) = address(request.url, request.transport, url).map_err(|problem| unusable(problem.to_owned()))?;
        if self.depth >= MAX_DEPTH || self.count >= MAX_COUNT {
            return Err(unusable(format!("is beyond the limit of {MAX_COUNT} submodules, {MAX_DEPTH} deep")));
        }
        let place = free_place(top, &module.path)?;
        log(&format!("submodule {}: {url} at {}", module.path, module.commit));
        self.count += 1;
        self.depth += 1;
        let wanted = TreeRequest {
            url: &url,
            transport,
            revision: Some(&module.commit),
            subdir: "",
            keep_git_dir: false,
            without_submodules: false,
            file_limit: request.file_limit,
            ssh_agent: request.ssh_agent,
            // Whoever wrote .gitmodules chose the server.
            authorization: None,
        };
        let fetched = fetch_files(&wanted, scratch, self, log).await;
        self.depth -= 1;
        let (files, _) =
            fetched.map_err(|source| DistGitError::InSubmodule { path: module.path.clone(), source: Box::new(source) })?;
        let moved = std::fs::remove_dir(&place)
            .and_then(|()| std::fs::rename(&files.root, &place))
            .and_then(|()| std::fs::remove_dir(scratch));
        moved.map_err(|source| DistGitError::Io { action: "put a submodule to", path: place, source })
    }
}

/// The URL git is given for a submodule, and its transport. Relative addresses are taken from the repository's own.
fn address<'t>(parent: &str, transport: &'t str, url: &str) -> Result<(String, &'t str), &'static str> {
    const UNUSABLE: &str = "has an address that is none of https, http, ssh, git and relative ones";
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("has an address with a blank or a control character");
    }
    if is_relative(url) {
        return Ok((relative(parent, url)?, transport));
    }
    let (authority, path, transport) = match url.split_once("://") {
        Some((scheme, rest)) => {
            let transport = match scheme {
                "https" => "https",
                "http" => "http",
                "ssh" => "ssh",
                "git" => "git",
                _ => return Err(UNUSABLE),
            };
            let (authority, path) = rest.split_once('/').ok_or("has an address without a path")?;
            (authority, path, transport)
        }
        None => {
            let (authority, path) = url.split_once(':').ok_or(UNUSABLE)?;
            // `ext::` and its like are programs.
            if authority.contains('/') || path.starts_with(':') || !authority.contains('@') {
                return Err(UNUSABLE);
            }
            (authority, path, "ssh")
        }
    };
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    if user.is_some_and(|user| user.contains(':')) {
        return Err("has an address with a password");
    }
    // ssh would take it for an option.
    if host.is_empty() || [host, path, user.unwrap_or_default()].iter().any(|part| part.starts_with('-')) {
        return Err(UNUSABLE);
    }
    Ok((url.to_owned(), transport))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_resolved_as_git_does() {
        let https = |url| address("https://src.example.org/group/web.git", "https", url);
        let is = |url: &str, transport| Ok((url.to_owned(), transport));
        assert_eq!(https("../lib.git"), is("https://src.example.org/group/lib.git", "https"));
        assert_eq!(https("../../rpms/lib"), is("https://src.example.org/rpms/lib", "https"));
        assert_eq!(https("./more"), is("https://src.example.org/group/web.git/more", "https"));
        assert_eq!(https("http://other.example.org/lib"), is("http://other.example.org/lib", "http"));
        assert_eq!(https("git@other.example.org:a/lib.git"), is("git@other.example.org:a/lib.git", "ssh"));
        assert_eq!(https("ssh://git@h:22/lib"), is("ssh://git@h:22/lib", "ssh"));
        assert_eq!(address("git@h:group/web.git", "ssh", "../lib.git"), is("git@h:group/lib.git", "ssh"));
        assert_eq!(address("git://h:9418/a/web", "git", "../lib"), is("git://h:9418/a/lib", "git"));
    }

    #[test]
    fn addresses_that_run_things_or_hold_passwords_are_refused() {
        let refused = [
            "ext::sh -c true",
            "ext::x",
            "fd::1",
            "file:///srv/git",
            "/srv/git",
            "--upload-pack=x",
            "https://u:p@h/x",
            "https://h",
            "ssh://-oProxyCommand=x/y",
            "git@-oProxyCommand=x:y",
            "../../../etc",
            "https://h/a b",
            "host:path",
        ];
        for bad in refused {
            assert!(address("https://src.example.org/group/web.git", "https", bad).is_err(), "{bad}");
        }
    }
}
