//! What the build's COPY and ADD read from, fetched again: the commit that Koji records, its submodules where it asks for
//! them, and the files of the lookaside cache that it names. Nothing in it is executed. What cannot be had is named, with
//! whose move it is; the rest of the proof goes on without it.

use std::path::{Path, PathBuf};

use build_model::{Blame, ContainerYaml, Diagnose, ScmUrl};
use dist_git::{ScmAllowList, ScmRefused, SourceTree, SubmoduleRequest};

use super::koji_image::KojiImage;
use crate::config::{LookasideSettings, ScmSettings};
use crate::task::{chain, fetch_lookaside_files};

/// Where the site's sources are; the defaults where nothing is known of the site.
#[derive(Debug, Clone, Default)]
pub struct SourcePlaces {
    /// Which repositories submodules may come from. Where none are allowed: those on the server of the commit.
    pub scm: ScmSettings,
    /// The lookaside cache.
    pub lookaside: LookasideSettings,
}

/// The build context, as far as it can be had.
pub(super) struct BuildSources {
    /// The checkout.
    pub root: PathBuf,
    /// What is missing in it, a sentence each.
    pub missing: Vec<String>,
}

/// Fetches the sources of a build below `work`, an empty directory.
///
/// # Errors
/// Why the commit itself cannot be had, and what to do.
pub(super) async fn fetch(places: &SourcePlaces, koji: &KojiImage, work: &Path) -> Result<BuildSources, String> {
    let source = koji.build.source.as_deref().ok_or_else(|| format!("{} records no dist-git source", koji.build.nvr))?;
    let url: ScmUrl = source.parse().map_err(|e| format!("the recorded source {source} cannot be read: {e}"))?;
    let log = |line: &str| tracing::debug!("{line}");
    let tree = dist_git::checkout(&url, None, &work.join("source"), &log).await;
    let tree = tree.map_err(|error| format!("the commit cannot be had: {}", with_next_step(&error, "dist-git")))?;
    let mut missing = Vec::new();
    missing.extend(fetch_submodules(&places.scm, &url, &tree, &work.join("submodules")).await);
    missing.extend(fetch_lookaside(&places.lookaside, &url, &tree.root, &work.join("lookaside")).await);
    Ok(BuildSources { root: tree.root, missing })
}

/// The submodules, where container.yaml asks for them as in the build; or why they are missing.
async fn fetch_submodules(scm: &ScmSettings, url: &ScmUrl, tree: &SourceTree, scratch: &Path) -> Option<String> {
    let yaml = std::fs::read_to_string(tree.root.join("container.yaml")).ok()?;
    if !ContainerYaml::parse(&yaml, "container.yaml").is_ok_and(|yaml| yaml.submodules) {
        return None;
    }
    let list = ScmAllowList::parse(&scm.allowed);
    let allowed = |module: &ScmUrl| {
        if list.is_empty() { on_the_same_server(url, module) } else { list.check(module) }
    };
    let request = SubmoduleRequest { url, allowed: &allowed, scratch, log: &|line| tracing::debug!("{line}") };
    let error = dist_git::fetch_submodules(tree, &request).await.err()?;
    let refused = "name the site's configuration with --config: its scm.allowed says where submodules may come from";
    let told = if error.kind() == "scm-submodule-refused" {
        format!("{}; {refused}", chain(&error))
    } else {
        with_next_step(&error, "dist-git")
    };
    Some(format!("its submodules cannot be had: {told}"))
}

/// Without a list of the site, nobody is sent to servers that a commit names.
fn on_the_same_server(url: &ScmUrl, module: &ScmUrl) -> Result<(), ScmRefused> {
    if module.host == url.host {
        return Ok(());
    }
    Err(ScmRefused { host: module.host.clone(), repository: module.repository.clone(), rule: None })
}

/// The files that `sources` names; or why they are missing.
async fn fetch_lookaside(places: &LookasideSettings, url: &ScmUrl, root: &Path, scratch: &Path) -> Option<String> {
    let error = fetch_lookaside_files(places, url, root, scratch).await.err()?;
    Some(if error.kind() == "lookaside-none" {
        let name = dist_git::SOURCES;
        format!("{name} names files of the site's lookaside cache; say where it is with --lookaside URL or --config FILE")
    } else {
        format!("its lookaside files cannot be had: {}", with_next_step(&*error, "the lookaside cache"))
    })
}

/// An error, whose move it is and what to do, where an image is verified and not built.
fn with_next_step(error: &dyn Diagnose, place: &str) -> String {
    let told = chain(error);
    match error.blame() {
        _ if error.is_transient() => format!("{told}; verify again when {place} answers"),
        Blame::Packager => format!("{told}; {place} no longer has what the image was built from: ask those who run it"),
        _ => match error.hint() {
            Some(hint) if error.kind() == "git-program" || error.kind() == "ca-unreadable" => format!("{told}; {hint}"),
            _ => format!("{told}; this is for those who run {place}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ScmUrl {
        text.parse().expect("an SCM URL")
    }

    #[tokio::test]
    async fn lookaside_files_need_a_place_and_a_commit_without_them_does_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let (source, nowhere) = (url("git+https://h/container/web.git#1"), LookasideSettings::default());
        let scratch = dir.path().join("scratch");
        assert_eq!(fetch_lookaside(&nowhere, &source, dir.path(), &scratch).await, None);
        std::fs::write(dir.path().join("sources"), "\n").expect("written");
        assert_eq!(fetch_lookaside(&nowhere, &source, dir.path(), &scratch).await, None);
        std::fs::write(dir.path().join("sources"), format!("{}  a.gz\n", "0".repeat(32))).expect("written");
        let why = fetch_lookaside(&nowhere, &source, dir.path(), &scratch).await.expect("missing");
        assert!(why.contains("--lookaside URL"), "{why}");
    }

    #[test]
    fn submodules_come_from_the_commits_own_server_where_no_list_is_known() {
        let own = url("git+https://src.example.org/container/web.git#1");
        assert!(on_the_same_server(&own, &url("git+https://src.example.org/rpms/lib.git#2")).is_ok());
        assert!(on_the_same_server(&own, &url("git+https://other.example.org/lib.git#2")).is_err());
    }
}
