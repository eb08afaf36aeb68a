//! Step 2: may this source be built, and its checkout at the exact commit. Nothing from it is executed.

use build_model::{Blame, BoxedDiagnose, Diagnose, FaultCode, KojiTag, ScmUrl};
use dist_git::{ScmAllowList, SourceTree, SubmoduleRequest};
use koji_session::HubError;

use crate::task::METHODS;
use crate::task::run::TaskContext;

/// Who wants a source, and for what.
pub struct SourceRequest<'a> {
    /// Branch the commit belongs to.
    pub git_branch: &'a str,
    /// Whether no Koji build is made.
    pub scratch: bool,
    /// The task's owner.
    pub owner: Option<i64>,
    /// The task's channel.
    pub channel: Option<i64>,
    /// The build tag, where the `scm` policy is still to be asked: a coordinator asks for all of its subtasks.
    pub build_tag: Option<&'a KojiTag>,
}

/// The checked-out source.
pub struct Fetched {
    /// The source with its full commit hash, as recorded in the build.
    pub source: ScmUrl,
    /// The checkout.
    pub tree: SourceTree,
}

/// Why a source may not be built, although the builder's own list allows it.
#[derive(Debug, thiserror::Error)]
pub enum SourceRefused {
    /// The hub's `build_from_scm` policy.
    #[error("the hub's build_from_scm policy does not allow {url}{}", reason(.answer))]
    BuildFromScm {
        /// The source.
        url: String,
        /// What the policy answered.
        answer: String,
    },
    /// The hub's `scm` policy.
    #[error("the hub's scm policy does not allow {url}, which is on {branches}")]
    Scm {
        /// The source.
        url: String,
        /// Branches that hold the commit.
        branches: String,
        /// The fault, with the policy's reason.
        source: HubError,
    },
    /// The repository wants submodules and the site does not.
    #[error("container.yaml asks for the git submodules, which this site does not fetch")]
    Submodules,
}

fn reason(answer: &str) -> String {
    let words: Vec<&str> = answer.split_whitespace().skip(1).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) }
}

impl Diagnose for SourceRefused {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            SourceRefused::BuildFromScm { .. } => "scm-policy-denied",
            SourceRefused::Scm { .. } => "scm-branch-policy-denied",
            SourceRefused::Submodules => "scm-submodules",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            SourceRefused::BuildFromScm { .. } => {
                "build from a repository that the policy allows; the administrators of the hub know which".into()
            }
            SourceRefused::Scm { .. } => "build a commit of a branch that the policy allows, or with --scratch".into(),
            SourceRefused::Submodules => "copy the files into the repository, or ask the site to set scm.submodules".into(),
        })
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
    let (log, dest) = (checkout_log(context), context.work_dir.join("source"));
    let policy_tag = request.build_tag.filter(|_| scm.use_scm_policy);
    let tree = match policy_tag {
        None => dist_git::checkout(&url, Some(request.git_branch), &dest, &log).await?,
        Some(build_tag) => {
            let tree = dist_git::checkout_with_branches(&url, Some(request.git_branch), &dest, &log).await?;
            assert_scm_policy(context, &url, request, build_tag, &tree.branches).await?;
            tree
        }
    };
    let source = url.at_commit(&tree.commit);
    context.log.step(&format!("source {source}"));
    Ok(Fetched { source, tree })
}

/// Fetches the submodules of a checkout, when its container.yaml asks for them: `wanted`.
///
/// # Errors
/// When the site does not allow them or one cannot be fetched.
pub async fn fetch_submodules(context: &TaskContext<'_>, fetched: &Fetched, wanted: bool) -> Result<(), BoxedDiagnose> {
    if !wanted {
        return Ok(());
    }
    let scm = &context.settings.scm;
    if !scm.submodules {
        return Err(SourceRefused::Submodules.into());
    }
    let list = ScmAllowList::parse(&scm.allowed);
    let request = SubmoduleRequest {
        url: &fetched.source,
        allowed: &|url| list.check(url),
        scratch: &context.work_dir.join("submodules"),
        log: &checkout_log(context),
    };
    for source in dist_git::fetch_submodules(&fetched.tree, &request).await? {
        context.log.step(&format!("submodule {source}"));
    }
    Ok(())
}

/// The log that git's words go to.
pub(super) fn checkout_log(context: &TaskContext<'_>) -> impl Fn(&str) + Sync + use<> {
    let log = context.log.clone();
    move |line| log.own_line("checkout.log", line)
}

/// What both policies are told (koji/daemon.py SCM.get_info, with `scm_` before each name).
fn policy_data(url: &ScmUrl, request: &SourceRequest<'_>) -> serde_json::Map<String, serde_json::Value> {
    let data = serde_json::json!({
        "scm_url": url.to_string(),
        "scm_scheme": format!("{}://", url.scheme),
        "scm_user": url.user,
        "scm_host": url.host,
        "scm_repository": url.repository,
        "scm_module": url.subdir,
        "scm_revision": url.revision,
        "scm_type": if url.scheme == "git+ssh" { "GIT+SSH" } else { "GIT" },
        "method": METHODS[0],
        "user_id": request.owner,
        "scratch": request.scratch,
    });
    data.as_object().cloned().unwrap_or_default()
}

/// The `build_from_scm` policy as kojid asks it (koji/daemon.py SCM.assert_allowed_by_policy).
async fn ask_hub(context: &TaskContext<'_>, url: &ScmUrl, request: &SourceRequest<'_>) -> Result<(), BoxedDiagnose> {
    let mut data = policy_data(url, request);
    let channel = match request.channel {
        Some(channel) => Some(context.session.channel_name(channel).await?),
        None => None,
    };
    data.insert("channel".to_owned(), channel.into());
    let answer = context.session.eval_policy("build_from_scm", koji_session::Value::from_json(&data.into())).await?;
    let first = answer.split_whitespace().next().unwrap_or_default();
    if ["yes", "true", "allow", "allowed"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
        Ok(())
    } else {
        Err(SourceRefused::BuildFromScm { url: url.to_string(), answer }.into())
    }
}

/// The `scm` policy as Koji's builder plugin scmpolicy asks it after a checkout. Without such a policy the hub decides by
/// its `MissingPolicyOk`.
async fn assert_scm_policy(
    context: &TaskContext<'_>,
    url: &ScmUrl,
    request: &SourceRequest<'_>,
    build_tag: &KojiTag,
    branches: &[String],
) -> Result<(), BoxedDiagnose> {
    let mut data = policy_data(url, request);
    data.insert("build_tag".to_owned(), build_tag.0.clone().into());
    data.insert("branches".to_owned(), branches.into());
    let data = koji_session::Value::from_json(&data.into());
    match context.session.host_assert_policy("scm", data, "deny").await {
        Ok(()) => Ok(()),
        Err(source) if source.fault_code() == Some(FaultCode::ActionNotAllowed) => {
            let branches = if branches.is_empty() { "no branch".to_owned() } else { branches.join(", ") };
            Err(SourceRefused::Scm { url: url.to_string(), branches, source }.into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_told_what_kojid_tells_them() {
        let url: ScmUrl = "git+https://src.example.org:8443/container/web.git?sub#main".parse().expect("an SCM URL");
        let request = SourceRequest { git_branch: "main", scratch: true, owner: Some(7), channel: None, build_tag: None };
        let data = serde_json::Value::Object(policy_data(&url, &request));
        for (key, value) in [
            ("scm_url", "git+https://src.example.org:8443/container/web.git?sub#main"),
            ("scm_scheme", "git+https://"),
            ("scm_host", "src.example.org:8443"),
            ("scm_repository", "/container/web.git"),
            ("scm_module", "sub"),
            ("scm_revision", "main"),
            ("scm_type", "GIT"),
            ("method", "buildContainer"),
        ] {
            assert_eq!(data[key], value, "{key}");
        }
        assert_eq!((&data["user_id"], &data["scratch"]), (&7.into(), &true.into()));
    }

    #[test]
    fn a_denied_source_has_the_policys_reason() {
        let refused = |answer: &str| SourceRefused::BuildFromScm { url: "u".into(), answer: answer.into() }.to_string();
        assert_eq!(refused("deny use rpms/"), "the hub's build_from_scm policy does not allow u: use rpms/");
        assert_eq!(refused(""), "the hub's build_from_scm policy does not allow u");
    }
}
