//! One commit of a repository, as plain files: the build context.
//!
//! 1. `ls-remote`: is the repository there, and what does the revision mean? A branch is resolved once, here.
//! 2. `fetch --depth=1` of exactly that commit; from servers that refuse this, of the branches with their history.
//! 3. `checkout` into a directory without any git data, modes made independent of our umask.

use std::path::{Path, PathBuf};
use std::time::Duration;

use build_model::ScmUrl;

use crate::DistGitError;
use crate::checkout_dir::CheckoutDir;
use crate::git::{Git, Remote};
use crate::git_messages::Complaint;
use crate::remote_refs::{RemoteRefs, is_object_id};
use crate::submodules::{self, Submodule};
use crate::tidy::tidy;

/// Longest wait for an answer about refs and for local commands.
pub(crate) const SHORT: Duration = Duration::from_secs(300);
/// Longest wait for a fetch or for writing the files.
pub(crate) const LONG: Duration = Duration::from_secs(3600);
/// Where fetched branches are kept.
const TRACKED: &str = "refs/remotes/origin/";

/// A checked-out commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTree {
    /// The build context: the sub-directory of the URL, or the top. Holds no git data.
    pub root: PathBuf,
    /// The full commit hash.
    pub commit: String,
    /// Top of the checkout.
    pub top: PathBuf,
    /// Submodules of the commit; their directories are empty ([`crate::fetch_submodules`]).
    pub submodules: Vec<Submodule>,
    /// Committer time, seconds since 1970.
    pub commit_time: i64,
    /// Branches known to hold the commit: those it is the newest of, and the branch asked for when it is in its history.
    /// Others may hold it as well.
    pub branches: Vec<String>,
}

/// Checks out `url` below `dest`, which must be empty or absent. `branch` is the branch the commit is said to be on.
/// `log` hears git's command lines and everything it says. Dropping the future ends git and removes what was made.
///
/// LFS objects are not fetched, and submodules only by [`crate::fetch_submodules`]; `log` is told when the repository has
/// some.
///
/// # Errors
/// See [`DistGitError`]. Nothing stays behind then.
pub async fn checkout(
    url: &ScmUrl,
    branch: Option<&str>,
    dest: &Path,
    log: &(dyn Fn(&str) + Sync),
) -> Result<SourceTree, DistGitError> {
    check_out(url, branch, Branches::Known, dest, log).await
}

/// As [`checkout`], and [`SourceTree::branches`] are all that hold the commit. That takes the history of every branch.
///
/// # Errors
/// As [`checkout`].
pub async fn checkout_with_branches(
    url: &ScmUrl,
    branch: Option<&str>,
    dest: &Path,
    log: &(dyn Fn(&str) + Sync),
) -> Result<SourceTree, DistGitError> {
    check_out(url, branch, Branches::All, dest, log).await
}

/// Which branches of the commit are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Branches {
    /// What is easily known.
    Known,
    All,
}

async fn check_out(
    url: &ScmUrl,
    branch: Option<&str>,
    wanted_branches: Branches,
    dest: &Path,
    log: &(dyn Fn(&str) + Sync),
) -> Result<SourceTree, DistGitError> {
    let dir = CheckoutDir::create(dest)?;
    let git = Git::new(Remote::of(url)?, &dir, log)?;
    let refs = list_refs(&git, &url.revision).await?;
    let wanted = Wanted::new(&git, &url.revision, branch, &refs)?;
    init(&git, &wanted).await?;
    let commit = fetch(&git, &wanted, &refs).await?;
    let branches = match wanted_branches {
        Branches::Known => branches_holding(&git, &commit, branch, &refs).await?,
        Branches::All => all_branches_holding(&git, &commit).await?,
    };
    let commit_time = commit_time(&git, &commit).await?;
    write_files(&git, &commit).await?;
    let top = dir.source();
    let root = subdirectory(&top, &url.subdir, &commit)?;
    let submodules = submodules::list(&git, &commit, &top).await?;
    let walked = top.clone();
    let notes = tokio::task::spawn_blocking(move || tidy(&walked)).await.map_err(|e| DistGitError::Io {
        action: "set the file modes of",
        path: top.clone(),
        source: std::io::Error::other(e),
    })??;
    notes.iter().for_each(|note| log(&note.to_string()));
    let top = dir.keep_source()?;
    Ok(SourceTree { root, commit, top, submodules, commit_time, branches })
}

/// An empty repository for objects of the kind that is wanted.
pub(crate) async fn init(git: &Git<'_>, wanted: &Wanted<'_>) -> Result<(), DistGitError> {
    let format = if wanted.commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run("prepare a repository for", SHORT, &["init", "--quiet", "--template=", format]).await.map(drop)
}

/// Committer time, seconds since 1970.
pub(crate) async fn commit_time(git: &Git<'_>, commit: &str) -> Result<i64, DistGitError> {
    let time = git.run("read the commit of", SHORT, &["show", "-s", "--format=%ct", commit]).await?;
    time.trim().parse().map_err(|_| DistGitError::Unreadable { purpose: "read the commit", line: time.clone() })
}

/// The files of a commit into the directory for them.
pub(crate) async fn write_files(git: &Git<'_>, commit: &str) -> Result<(), DistGitError> {
    let args = ["checkout", "--quiet", "--force", "--no-recurse-submodules", "--detach", commit];
    git.run("write the files of", LONG, &args).await.map(drop)
}

/// What to fetch.
pub(crate) struct Wanted<'a> {
    /// As the URL has it.
    revision: &'a str,
    commit: String,
    /// The ref it was resolved from, or the branch it is said to be on: fetched first when the server refuses commits.
    hint: Option<String>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(git: &Git<'_>, revision: &'a str, branch: Option<&str>, refs: &RemoteRefs) -> Result<Self, DistGitError> {
        if is_object_id(&revision.to_ascii_lowercase()) {
            let hint = branch.filter(|b| refs.has_branch(b)).map(|b| format!("refs/heads/{b}"));
            return Ok(Self { revision, commit: revision.to_ascii_lowercase(), hint });
        }
        if let Some(resolved) = refs.resolve(revision) {
            return Ok(Self { revision, commit: resolved.commit, hint: Some(resolved.name) });
        }
        if revision.len() >= 7 && revision.len() < 40 && revision.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(DistGitError::AbbreviatedHash { revision: revision.to_owned() });
        }
        let suggestion = refs.similar_branch(revision);
        Err(DistGitError::RevisionNotFound { url: git.url().to_owned(), revision: revision.to_owned(), suggestion })
    }
}

/// Branches and tags, or the one ref that is asked for and is neither.
pub(crate) async fn list_refs(git: &Git<'_>, revision: &str) -> Result<RemoteRefs, DistGitError> {
    const PURPOSE: &str = "list the branches of";
    let mut args = vec!["ls-remote", "--quiet"];
    let elsewhere = revision.strip_prefix("refs/").is_some_and(|rest| !rest.starts_with("heads/") && !rest.starts_with("tags/"));
    // with HEAD as a pattern, --heads would leave it out
    let patterns: &[&str] = if revision == "HEAD" || elsewhere { &[revision] } else { &[] };
    if patterns.is_empty() {
        args.extend(["--heads", "--tags"]);
    }
    args.extend(["--", git.url()]);
    args.extend(patterns);
    let output = git.run(PURPOSE, SHORT, &args).await?;
    RemoteRefs::parse(&output).map_err(|line| DistGitError::Unreadable { purpose: PURPOSE, line })
}

/// Gets the commit into the local repository. Gives its hash, which for the hash of an annotated tag is another.
pub(crate) async fn fetch(git: &Git<'_>, wanted: &Wanted<'_>, refs: &RemoteRefs) -> Result<String, DistGitError> {
    const PURPOSE: &str = "fetch from";
    let fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
    let alone = [&fetch[..], &["--depth=1", "--", git.url(), &wanted.commit]].concat();
    match git.attempt(PURPOSE, LONG, &alone).await? {
        Ok(_) => {}
        Err(refusal) if refusal.complaint == Complaint::NoSuchObject => {
            // not fetchable alone: an old server, or no such commit; the branches will tell
            let hint = wanted.hint.as_ref().map(|name| format!("+{name}:refs/hints/asked"));
            let everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
            if let Some(hint) = &hint {
                git.run(PURPOSE, LONG, &[&fetch[..], &["--", git.url(), hint]].concat()).await?;
            }
            if commit_of(git, &wanted.commit).await?.is_none() {
                git.run(PURPOSE, LONG, &[&fetch[..], &["--", git.url()], &everything].concat()).await?;
            }
        }
        Err(refusal) => return Err(git.error(PURPOSE, refusal)),
    }
    commit_of(git, &wanted.commit).await?.ok_or_else(|| DistGitError::RevisionNotFound {
        url: git.url().to_owned(),
        revision: wanted.revision.to_owned(),
        suggestion: refs.similar_branch(wanted.revision),
    })
}

/// The commit that an object is or leads to, when the local repository has it.
async fn commit_of(git: &Git<'_>, object: &str) -> Result<Option<String>, DistGitError> {
    let name = format!("{object}^{{commit}}");
    let found = git.attempt("look for a commit of", SHORT, &["rev-parse", "--quiet", "--verify", &name]).await?;
    Ok(found.ok().map(|hash| hash.trim().to_owned()).filter(|hash| !hash.is_empty()))
}

/// Branches whose newest commit this is; failing that, the branch asked for, after looking into its history.
async fn branches_holding(
    git: &Git<'_>,
    commit: &str,
    branch: Option<&str>,
    refs: &RemoteRefs,
) -> Result<Vec<String>, DistGitError> {
    let mut branches = refs.branches_at(commit);
    if let Some(branch) = branch.filter(|b| !branches.iter().any(|known| known == b) && refs.has_branch(b)) {
        let tracked = format!("{TRACKED}{branch}");
        let refspec = format!("+refs/heads/{branch}:{tracked}");
        let args = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--", git.url(), &refspec];
        git.run("fetch the history of a branch of", LONG, &args).await?;
        if git.attempt("search a branch of", SHORT, &["merge-base", "--is-ancestor", commit, &tracked]).await?.is_ok() {
            branches.push(branch.to_owned());
        }
    }
    branches.sort();
    Ok(branches)
}

/// All branches that hold the commit, as `git branch -r --contains` finds them in a full clone.
async fn all_branches_holding(git: &Git<'_>, commit: &str) -> Result<Vec<String>, DistGitError> {
    let every =
        ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--", git.url(), "+refs/heads/*:refs/remotes/origin/*"];
    git.run("fetch the history of the branches of", LONG, &every).await?;
    let args = ["for-each-ref", "--contains", commit, "--format=%(refname)", TRACKED];
    let found = git.run("search the branches of", SHORT, &args).await?;
    let names = found.lines().filter_map(|name| name.strip_prefix(TRACKED));
    Ok(names.map(str::to_owned).collect())
}

/// The build context inside the checkout. A sub-directory that is a link to outside is refused.
pub(crate) fn subdirectory(top: &Path, subdir: &str, commit: &str) -> Result<PathBuf, DistGitError> {
    if subdir.is_empty() {
        return Ok(top.to_owned());
    }
    let root = top.join(subdir);
    let inside =
        |path: &Path| path.canonicalize().map_err(|source| DistGitError::Io { action: "find", path: path.to_owned(), source });
    let top = inside(top)?;
    match root.canonicalize() {
        Ok(real) if !real.starts_with(&top) => {
            Err(DistGitError::SubdirOutside { commit: commit.to_owned(), subdir: subdir.to_owned() })
        }
        Ok(real) if real.is_dir() => Ok(root),
        _ => Err(DistGitError::SubdirNotFound { commit: commit.to_owned(), subdir: subdir.to_owned() }),
    }
}
