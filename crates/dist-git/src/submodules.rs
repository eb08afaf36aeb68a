//! Submodules of a checkout, where they are asked for: each at the commit that the repository records, from an address the
//! site allows. `git submodule` is not used: it keeps configuration and runs what that names. Here `.gitmodules` is only read,
//! and each submodule is a checkout of its own, with the same rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use build_model::ScmUrl;
use futures_util::future::BoxFuture;

use crate::checkout::{SourceTree, checkout};
use crate::git::Git;
use crate::{DistGitError, ScmRefused};

const SHORT: Duration = Duration::from_secs(300);
/// Submodules in submodules.
pub(crate) const MAX_DEPTH: usize = 5;
/// Submodules of one source.
pub(crate) const MAX_COUNT: usize = 100;

/// A submodule as the commit has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submodule {
    /// Directory, from the top of the repository.
    pub path: String,
    /// Its commit.
    pub commit: String,
    /// Its address in `.gitmodules`; `None` when it is not there.
    pub url: Option<String>,
}

/// The submodules of a commit that has been checked out to `top`.
pub(crate) async fn list(git: &Git<'_>, commit: &str, top: &Path) -> Result<Vec<Submodule>, DistGitError> {
    let modules = top.join(".gitmodules");
    if !modules.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(Vec::new());
    }
    let tree = git.run("list the files of", SHORT, &["ls-tree", "-r", "-z", "--full-tree", commit]).await?;
    let links = gitlinks(&tree);
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let file = modules.display().to_string();
    let wanted = r"^submodule\..*\.(path|url)$";
    let args = ["config", "--file", &file, "--no-includes", "-z", "--get-regexp", wanted];
    // It ends with an error when nothing matches: then no submodule has an address.
    let settings = git.attempt("read the submodules of", SHORT, &args).await?.unwrap_or_default();
    let urls = addresses(&settings);
    Ok(links.into_iter().map(|(path, commit)| Submodule { url: urls.get(&path).cloned(), path, commit }).collect())
}

/// `MODE commit HASH<TAB>PATH` of the entries that are commits.
fn gitlinks(listing: &str) -> Vec<(String, String)> {
    let entries = listing.split('\0').filter_map(|entry| entry.split_once('\t'));
    entries
        .filter_map(|(about, path)| {
            let mut words = about.split(' ');
            let is_commit = words.next() == Some("160000") && words.next() == Some("commit");
            is_commit.then(|| words.next().map(|hash| (path.to_owned(), hash.to_owned())))?
        })
        .collect()
}

/// Path to URL, from `submodule.NAME.path` and `submodule.NAME.url`.
fn addresses(settings: &str) -> BTreeMap<String, String> {
    let (mut paths, mut urls) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in settings.split('\0').filter_map(|entry| entry.split_once('\n')) {
        if let Some(name) = key.strip_suffix(".path") {
            paths.insert(name.to_owned(), value.trim_end_matches('/').to_owned());
        } else if let Some(name) = key.strip_suffix(".url") {
            urls.insert(name.to_owned(), value.to_owned());
        }
    }
    paths.into_iter().filter_map(|(name, path)| Some((path, urls.remove(&name)?))).collect()
}

/// The SCM URL of a submodule. Relative addresses are taken from the repository's own.
fn resolve(parent: &ScmUrl, module: &Submodule) -> Result<ScmUrl, String> {
    let url = module.url.as_deref().ok_or("has no address in .gitmodules")?;
    let text = if is_relative(url) {
        let user = parent.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        relative(&format!("{}://{user}{}{}", parent.scheme, parent.host, parent.repository), url)?
    } else {
        match url.split_once("://") {
            Some(("https" | "http" | "ssh" | "file", _)) => format!("git+{url}"),
            Some(("git", _)) => url.to_owned(),
            _ => return Err("has an address that is none of https, http, ssh, git and relative ones".to_owned()),
        }
    };
    format!("{text}#{}", module.commit).parse::<ScmUrl>().map_err(|e| e.to_string())
}

/// Whether an address is to be taken from that of the repository it stands in.
pub(crate) fn is_relative(url: &str) -> bool {
    url.starts_with("./") || url.starts_with("../")
}

/// `../lib` beside `https://HOST/a/web.git` is `https://HOST/a/lib`.
pub(crate) fn relative(parent: &str, url: &str) -> Result<String, &'static str> {
    let path_at = match parent.find("://") {
        Some(scheme) => parent[scheme + 3..].find('/').map(|slash| scheme + 3 + slash + 1),
        None => parent.find(':').map(|colon| colon + 1),
    };
    let (place, path) = parent.split_at(path_at.ok_or("has a relative address, and its repository has no path")?);
    let mut path: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in url.split('/') {
        match part {
            "" | "." => {}
            ".." if !path.is_empty() => drop(path.pop()),
            ".." => return Err("has an address that leads out of the server"),
            name => path.push(name),
        }
    }
    Ok(format!("{place}{}", path.join("/")))
}

/// What fetching submodules needs besides the tree.
pub struct SubmoduleRequest<'a> {
    /// The source the tree is of.
    pub url: &'a ScmUrl,
    /// Whether a submodule's repository may be used.
    pub allowed: &'a (dyn Fn(&ScmUrl) -> Result<(), ScmRefused> + Sync),
    /// An absent directory for what is under way; removed in the end.
    pub scratch: &'a Path,
    /// Hears git's command lines and everything it says.
    pub log: &'a (dyn Fn(&str) + Sync),
}

/// Puts the submodules of `tree` (those below its root) where they belong, and theirs into them. Returns the sources with
/// their commits.
///
/// # Errors
/// [`DistGitError`] with the submodule's path; the tree is not to be used then.
pub async fn fetch_submodules(tree: &SourceTree, request: &SubmoduleRequest<'_>) -> Result<Vec<ScmUrl>, DistGitError> {
    let mut fetched = Vec::new();
    let inside = |module: &&Submodule| tree.top.join(&module.path).starts_with(&tree.root);
    let modules: Vec<Submodule> = tree.submodules.iter().filter(inside).cloned().collect();
    if modules.is_empty() {
        return Ok(fetched);
    }
    let made = |source| DistGitError::Io { action: "make", path: request.scratch.to_owned(), source };
    std::fs::create_dir(request.scratch).map_err(made)?;
    let result = add(&tree.top, &modules, request.url, request, 1, &mut fetched).await;
    let removed = std::fs::remove_dir_all(request.scratch);
    result?;
    removed.map_err(|source| DistGitError::Io { action: "remove", path: request.scratch.to_owned(), source })?;
    Ok(fetched)
}

fn add<'a>(
    top: &'a Path,
    modules: &'a [Submodule],
    parent: &'a ScmUrl,
    request: &'a SubmoduleRequest<'_>,
    depth: usize,
    fetched: &'a mut Vec<ScmUrl>,
) -> BoxFuture<'a, Result<(), DistGitError>> {
    Box::pin(async move {
        for module in modules {
            let unusable = |problem: String| DistGitError::BadSubmodule { path: module.path.clone(), problem };
            let url = resolve(parent, module).map_err(unusable)?;
            (request.allowed)(&url).map_err(|source| DistGitError::SubmoduleRefused { path: module.path.clone(), source })?;
            if depth > MAX_DEPTH || fetched.len() >= MAX_COUNT {
                return Err(unusable(format!("is beyond the limit of {MAX_COUNT} submodules, {MAX_DEPTH} deep")));
            }
            let place = free_place(top, &module.path)?;
            let dest = request.scratch.join(format!("{}-{depth}", fetched.len()));
            (request.log)(&format!("submodule {}: {url}", module.path));
            fetched.push(url.clone());
            let within = |source| DistGitError::InSubmodule { path: module.path.clone(), source: Box::new(source) };
            let tree = checkout(&url, None, &dest, request.log).await.map_err(within)?;
            add(&tree.top, &tree.submodules, &url, request, depth + 1, fetched).await.map_err(within)?;
            let moved = std::fs::remove_dir(&place).and_then(|()| std::fs::rename(&tree.top, &place));
            moved.map_err(|source| DistGitError::Io { action: "put a submodule to", path: place, source })?;
        }
        Ok(())
    })
}

/// The empty directory that git leaves for a submodule. Nothing is followed: a link on the way is refused.
pub(crate) fn free_place(top: &Path, path: &str) -> Result<PathBuf, DistGitError> {
    let unusable = |problem: &str| DistGitError::BadSubmodule { path: path.to_owned(), problem: problem.to_owned() };
    let mut place = top.to_owned();
    for part in path.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Err(unusable("is no path inside the repository"));
        }
        place.push(part);
        if !place.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            return Err(unusable("is not a directory of the checkout"));
        }
    }
    match std::fs::read_dir(&place).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(place),
        _ => Err(unusable("is not empty in the checkout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(parent: &str, url: Option<&str>) -> Result<String, String> {
        let module = Submodule { path: "lib".into(), commit: "a".repeat(40), url: url.map(str::to_owned) };
        resolve(&parent.parse().expect("an SCM URL"), &module).map(|url| url.git_url())
    }

    #[test]
    fn addresses_are_resolved_as_git_does() {
        let parent = "git+https://src.example.org/container/web.git#1";
        assert_eq!(at(parent, Some("../lib.git")).as_deref(), Ok("https://src.example.org/container/lib.git"));
        assert_eq!(at(parent, Some("../../rpms/lib.git")).as_deref(), Ok("https://src.example.org/rpms/lib.git"));
        assert_eq!(at(parent, Some("https://other.example.org/lib")).as_deref(), Ok("https://other.example.org/lib"));
        assert_eq!(at(parent, Some("git://h/lib")).as_deref(), Ok("git://h/lib"));
    }

    #[test]
    fn addresses_that_run_things_or_hold_passwords_are_refused() {
        let parent = "git+https://src.example.org/container/web.git#1";
        for bad in ["ext::sh -c true", "--upload-pack=x", "user@host:lib.git", "/srv/git/lib", "../../../../etc", "fd::1"] {
            assert!(at(parent, Some(bad)).is_err(), "{bad}");
        }
        let error = at(parent, Some("https://u:hunter2@h/lib")).expect_err("a password");
        assert!(error.contains("password") && !error.contains("hunter2"), "{error}");
        assert!(at(parent, None).is_err());
    }

    #[test]
    fn listings_are_read_with_any_name() {
        let tree = "100644 blob aa\ta file\x00160000 commit bb\tlib\tx\x00160000 commit cc\tdeep/er\0";
        let found = gitlinks(tree);
        assert_eq!(found, [("lib\tx".into(), "bb".into()), ("deep/er".into(), "cc".into())]);
        let settings = "submodule.a.b.path\ndeep/er/\0submodule.a.b.url\nhttps://h/a\0submodule.c.path\nc\0";
        assert_eq!(addresses(settings), BTreeMap::from([("deep/er".to_owned(), "https://h/a".to_owned())]));
    }

    #[test]
    fn a_submodule_goes_into_the_empty_directory_git_left_and_nowhere_else() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("real/empty")).expect("made");
        std::fs::write(dir.path().join("real/file"), "x").expect("written");
        std::os::unix::fs::symlink("real", dir.path().join("link")).expect("a link");
        assert_eq!(free_place(dir.path(), "real/empty").expect("free"), dir.path().join("real/empty"));
        for bad in ["link/empty", "../x", "real", "real/file", "absent", "", "real//empty", "./real/empty"] {
            assert!(free_place(dir.path(), bad).is_err(), "{bad}");
        }
    }
}
