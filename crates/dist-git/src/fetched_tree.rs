//! The files of a repository that is no dist-git: what `ADD https://HOST/X.git#REF:DIR` of a Dockerfile names. The same
//! git, as closed up as for a checkout; times are the commit's, so that the same commit makes the same layer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::checkout::{LONG, SHORT, Wanted, fetch, init, list_refs, subdirectory, write_files};
use crate::checkout_dir::CheckoutDir;
use crate::git::{Git, Remote};
use crate::tidy::{NotFetched, tidy};
use crate::tree_submodules::Submodules;
use crate::{Authorization, DistGitError};

/// A repository and what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub struct TreeRequest<'a> {
    /// What git is given.
    pub url: &'a str,
    /// `git`, `http`, `https` or `ssh`: the only transport git may use, but that http may move up to https.
    pub transport: &'a str,
    /// A branch, tag, full ref or full hash; `None` is what the server calls HEAD.
    pub revision: Option<&'a str>,
    /// Directory of it; empty for all.
    pub subdir: &'a str,
    /// Keep git's data in `.git`; not with a directory.
    pub keep_git_dir: bool,
    /// Leave the directories of submodules empty; else they are filled, and theirs.
    pub without_submodules: bool,
    /// The largest file git may write, a pack or a file of the tree.
    pub file_limit: u64,
    /// The agent that ssh asks for keys; else the one in the environment.
    pub ssh_agent: Option<&'a Path>,
    /// What the server is shown; over http(s), and for this repository alone. No redirection is followed then.
    pub authorization: Option<&'a Authorization>,
}

/// The files of one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedFiles {
    /// Where they are, below the directory given.
    pub root: PathBuf,
    /// Full hash of the commit.
    pub commit: String,
    /// Hash of the annotated tag that was named.
    pub tag: Option<String>,
}

/// Puts the files of one commit below `dest`, which must be empty or absent. `log` hears git's command lines and everything
/// it says. Dropping the future ends git and removes what was made.
///
/// # Errors
/// See [`DistGitError`]. Nothing stays behind then.
pub async fn fetch_tree(
    request: &TreeRequest<'_>,
    dest: &Path,
    log: &(dyn Fn(&str) + Sync),
) -> Result<FetchedFiles, DistGitError> {
    let (files, notes) = fetch_files(request, dest, &mut Submodules::default(), log).await?;
    // The submodules are there, or not wanted.
    notes.iter().filter(|note| **note != NotFetched::Submodules).for_each(|note| log(&note.to_string()));
    Ok(files)
}

/// As [`fetch_tree`], for a repository in which `submodules` have been seen before.
pub(crate) async fn fetch_files(
    request: &TreeRequest<'_>,
    dest: &Path,
    submodules: &mut Submodules,
    log: &(dyn Fn(&str) + Sync),
) -> Result<(FetchedFiles, BTreeSet<NotFetched>), DistGitError> {
    let dir = CheckoutDir::create(dest)?;
    let remote = Remote::new(request.url.to_owned(), request.transport)?;
    let git = Git::new(remote, &dir, log)?.with_file_limit(request.file_limit).with_ssh_agent(request.ssh_agent);
    let git = git.with_authorization(request.authorization);
    let revision = request.revision.unwrap_or("HEAD");
    let refs = list_refs(&git, revision).await?;
    let tag = refs.resolve(revision).and_then(|resolved| resolved.tag);
    let wanted = Wanted::new(&git, revision, None, &refs)?;
    init(&git, &wanted).await?;
    let commit = fetch(&git, &wanted, &refs).await?;
    write_files(&git, &commit).await?;
    let top = dir.source();
    if !request.without_submodules {
        submodules.fill(&git, request, &commit, &top, &dir.submodules(), log).await?;
    }
    let time = crate::checkout::commit_time(&git, &commit).await?;
    let keep_git_dir = request.keep_git_dir && request.subdir.is_empty();
    if keep_git_dir {
        settle_git_dir(&git).await?;
        dir.move_git_dir()?;
    }
    let root = subdirectory(&top, request.subdir, &commit)?;
    let walked = root.clone();
    let settled = tokio::task::spawn_blocking(move || {
        let notes = tidy(&walked)?;
        set_times(&walked, time)
            .map_err(|(path, source)| DistGitError::Io { action: "set the time of", path, source })
            .map(|()| notes)
    });
    let notes = settled.await.map_err(|e| DistGitError::Io {
        action: "set the file modes of",
        path: root.clone(),
        source: std::io::Error::other(e),
    })??;
    dir.keep_source()?;
    Ok((FetchedFiles { root, commit, tag }, notes))
}

/// Git's data as it stands beside its files, with nothing in it of where and when it was made.
async fn settle_git_dir(git: &Git<'_>) -> Result<(), DistGitError> {
    const PURPOSE: &str = "settle the data of";
    // Set because the files were elsewhere; `git init` decides whether it is.
    let _ = git.attempt(PURPOSE, SHORT, &["config", "--unset", "core.worktree"]).await?;
    git.run(PURPOSE, SHORT, &["config", "remote.origin.url", git.url()]).await?;
    git.run(PURPOSE, SHORT, &["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]).await?;
    // An index without the times and inode numbers of this machine, and no log of who did what when.
    git.run(PURPOSE, SHORT, &["read-tree", "--empty"]).await?;
    git.run(PURPOSE, LONG, &["read-tree", "HEAD"]).await?;
    git.run(PURPOSE, SHORT, &["reflog", "expire", "--expire=all", "--all"]).await?;
    Ok(())
}

/// Gives everything below `top`, and itself, one time.
fn set_times(top: &Path, time: i64) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: std::io::Error| (path, source)
    };
    if top.symlink_metadata().map_err(failed(top))?.is_dir() {
        for entry in std::fs::read_dir(top).map_err(failed(top))? {
            set_times(&entry.map_err(failed(top))?.path(), time)?;
        }
    }
    let stamp = Timespec { tv_sec: time, tv_nsec: 0 };
    let stamps = Timestamps { last_access: stamp, last_modification: stamp };
    utimensat(CWD, top, &stamps, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| failed(top)(e.into()))
}
