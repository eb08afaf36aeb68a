//! Step 2: may this source be built, and its checkout at the exact commit. Nothing from it is executed.

use build_model::{Blame, BoxedDiagnose, Diagnose, ScmUrl};
use dist_git::{ScmAllowList, SourceTree};

use crate::task::run::TaskContext;

/// Who wants a source, and for what.
pub struct SourceRequest<'a> {
    /// Branch the commit belongs to.
    pub git_branch: &'a str,
    /// Whether no Koji build is made.
    pub scratch: bool,
    /// The task's owner.
    pub owner: Option<i64>,
}

/// The checked-out source.
pub struct Fetched {
    /// The source with its full commit hash, as recorded in the build.
    pub source: ScmUrl,
    /// The checkout.
    pub tree: SourceTree,
}

/// Why the hub's policy does not let the source be built.
#[derive(Debug, thiserror::Error)]
#[error("the hub's build_from_scm policy does not allow {url}: {answer}")]
pub struct PolicyDenied {
    url: String,
    answer: String,
}

impl Diagnose for PolicyDenied {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "scm-policy-denied"
    }
}

/// Checks the policies and fetches the source.
///
/// # Errors
/// When the site or the hub does not allow the source, or git cannot fetch it.
pub async fn fetch_source(context: &TaskContext<'_>, src: &str, request: &SourceRequest<'_>) -> Result<Fetched, BoxedDiagnose> {
    let url: ScmUrl = src.parse()?;
    let scm = &context.settings.scm;
    ScmAllowList::parse(&scm.allowed).check(&url)?;
    if scm.use_hub_policy {
        ask_hub(context, &url, request).await?;
    }
    let log = context.log.clone();
    let tree = dist_git::checkout(&url, Some(request.git_branch), &context.work_dir.join("source"), &move |line| {
        log.own_line("checkout.log", line);
    })
    .await?;
    let source = url.at_commit(&tree.commit);
    context.log.step(&format!("source {source}"));
    Ok(Fetched { source, tree })
}

/// The `build_from_scm` policy with the data kojid sends (koji/daemon.py, SCM.get_info and assert_allowed).
async fn ask_hub(context: &TaskContext<'_>, url: &ScmUrl, request: &SourceRequest<'_>) -> Result<(), BoxedDiagnose> {
    let data = serde_json::json!({
        "scm_url": url.to_string(),
        "scm_scheme": format!("{}://", url.scheme),
        "scm_user": url.user,
        "scm_host": url.host,
        "scm_repository": url.repository,
        "scm_module": url.subdir,
        "scm_revision": url.revision,
        "scm_type": if url.scheme == "git+ssh" { "GIT+SSH" } else { "GIT" },
        "user_id": request.owner,
        "channel": null,
        "scratch": request.scratch,
    });
    let answer = context.session.eval_policy("build_from_scm", koji_session::Value::from_json(&data)).await?;
    if answer.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("allow")) {
        Ok(())
    } else {
        Err(PolicyDenied { url: url.to_string(), answer }.into())
    }
}
