//! The target's content sources, pinned once for all architectures: for a Koji tag one repository id, for a URL its repomd
//! checksum (taken by the gate when it starts). What is pinned is recorded in the build.

use std::collections::BTreeMap;
use std::time::Duration;

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose, FaultCode, KojiTag, RepoId};
use rpm_provenance::ContentSource;

use super::ResolvedTarget;
use crate::config::{ContentSourceSettings, Origin};
use crate::task::pinned_build::PinnedRepo;
use crate::task::run::TaskContext;

/// How often an unfinished repository is asked about (koji's own watcher: 6 s), and for how long at most.
const ASK_EVERY: Duration = Duration::from_secs(3);
const WAIT_AT_MOST: Duration = Duration::from_secs(7200);

/// The repositories of one build.
pub struct PinnedContent {
    /// For the gate of each architecture.
    pub sources: BTreeMap<Arch, Vec<ContentSource>>,
    /// Those that are Koji's, for the record.
    pub koji_repos: Vec<PinnedRepo>,
}

/// Why there is no repository.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The hub has none and cannot make one.
    #[error("there is no repository of tag {tag}: {why}")]
    NoRepo {
        /// The tag.
        tag: KojiTag,
        /// What the hub said.
        why: String,
    },
    /// It takes too long.
    #[error("the hub did not finish a repository of tag {tag} in {minutes} minutes (request {request})")]
    TooSlow {
        /// The tag.
        tag: KojiTag,
        /// How long was waited.
        minutes: u64,
        /// The hub's request id.
        request: i64,
    },
}

impl Diagnose for ContentError {
    fn blame(&self) -> Blame {
        Blame::Hub
    }
    fn kind(&self) -> &'static str {
        "content-repository"
    }
    fn hint(&self) -> Option<String> {
        Some("see `koji list-tasks --method=newRepo` and whether a builder serves the createrepo channel".into())
    }
    fn is_transient(&self) -> bool {
        true
    }
}

/// Pins the content sources of a target; without configuration, the build tag's own repository.
///
/// # Errors
/// [`ContentError`] or the hub's.
pub async fn pin_content(
    context: &TaskContext<'_>,
    target: &ResolvedTarget,
    arches: &[Arch],
) -> Result<PinnedContent, BoxedDiagnose> {
    let own = ContentSourceSettings {
        name: "build".into(),
        tag: Some(target.target.build_tag_name.0.clone()),
        url: None,
        gpgkeys: Vec::new(),
    };
    let configured = context.settings.content_of(&target.target.name.0).map(|c| c.sources.clone()).unwrap_or_else(|| vec![own]);
    let sources = arches.iter().map(|arch| (arch.clone(), Vec::new())).collect();
    let mut pinned = PinnedContent { sources, koji_repos: Vec::new() };
    for source in configured {
        // With `$arch` where the architecture goes.
        let url = match source.origin() {
            Ok(Origin::Url(url)) => url.to_owned(),
            Ok(Origin::Tag(tag)) => {
                let tag = KojiTag(tag.to_owned());
                let repo_id = repo_of(context, &tag).await?;
                let topurl = context.settings.hub.topurl.trim_end_matches('/');
                let url = format!("{topurl}/repos/{tag}/{repo_id}/$arch/");
                pinned.koji_repos.push(PinnedRepo { tag, repo_id });
                url
            }
            Err(_) => continue, // refused when the configuration was read
        };
        context.log.step(&format!("content {}: {url}", source.name));
        for (arch, sources) in &mut pinned.sources {
            sources.push(ContentSource {
                name: source.name.clone(),
                base_url: url.replace("$arch", arch.as_str()),
                repomd_sha256: None,
                gpgkeys: source.gpgkeys.clone(),
                of_request: false,
            });
        }
    }
    Ok(pinned)
}

/// A ready repository of a tag: `repo.request` on hubs that have it (1.35 and later), else the newest one.
async fn repo_of(context: &TaskContext<'_>, tag: &KojiTag) -> Result<RepoId, BoxedDiagnose> {
    let session = &context.session;
    let no_repo = |why: String| ContentError::NoRepo { tag: tag.clone(), why };
    let mut answer = match session.request_repo(tag).await {
        Ok(answer) => answer,
        // An older hub does not know the call and says so with its general fault; it may still have a repository.
        Err(error) if error.fault_code() == Some(FaultCode::GenericError) => {
            let repo = session.get_repo(tag, None).await?;
            return Ok(repo.ok_or_else(|| no_repo(error.to_string()))?.id);
        }
        Err(error) => return Err(error.into()),
    };
    let deadline = std::time::Instant::now() + WAIT_AT_MOST;
    let request = answer.id;
    loop {
        if let Some(repo) = &answer.repo {
            return Ok(repo.id);
        }
        let Some(request) = request.filter(|_| answer.active) else {
            let task = answer.task_id.map(|t| format!(" (task {t})")).unwrap_or_default();
            return Err(no_repo(format!("the hub could not make one{task}")).into());
        };
        if std::time::Instant::now() > deadline {
            let minutes = WAIT_AT_MOST.as_secs() / 60;
            return Err(ContentError::TooSlow { tag: tag.clone(), minutes, request }.into());
        }
        tokio::time::sleep(ASK_EVERY).await; // the hub offers no notification; this is its documented way to wait
        answer = session.check_request(request).await?;
    }
}
