//! A dry run (`opts.dry_run`): what the build would be, decided by the same steps with the same configuration, on a builder,
//! so that it tells the truth about parents, registry and repositories too. Nothing is reserved, pushed or imported.
//!
//! A refusal ends a build at the first; a dry run goes on where it can, and tells all it met.

use std::collections::BTreeMap;

use build_model::{Blame, BoxedDiagnose, Diagnose, DryRun, DryRunParent, Nvr};
use koji_session::BuildState;

use super::ResolvedTarget;
use super::reserve_build::{NameRequest, NameTaken, ReleaseRequest, check_package};
use super::resolve_target::check_destination;
use crate::task::chain;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::TaskContext;

/// Releases that are looked at when those that follow are always taken.
const TRIES: usize = 20;

/// The name a build would get, and what stands against it.
pub struct Foreseen {
    /// The release.
    pub release: String,
    /// Refusals, each of which would end the build.
    pub refusals: Vec<BoxedDiagnose>,
}

/// The build would be refused.
#[derive(Debug, thiserror::Error)]
#[error("the build would be refused:\n{}", .reasons.join("\n"))]
pub struct WouldBeRefused {
    reasons: Vec<String>,
    blame: Blame,
}

impl WouldBeRefused {
    /// Of one or more refusals; the first one's blame counts.
    pub fn new(refusals: &[BoxedDiagnose]) -> Self {
        let line = |error: &BoxedDiagnose| {
            let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("  {}{hint}", chain(&**error))
        };
        let blame = refusals.first().map_or(Blame::Packager, |error| error.blame());
        Self { reasons: refusals.iter().map(line).collect(), blame }
    }
}

impl Diagnose for WouldBeRefused {
    fn blame(&self) -> Blame {
        self.blame
    }
    fn kind(&self) -> &'static str {
        "dry-run-refused"
    }
}

/// Looks at the destination tag and the name, as reserving would, without reserving.
///
/// # Errors
/// The hub's, where it cannot be asked.
pub async fn foresee_name(
    context: &TaskContext<'_>,
    target: &ResolvedTarget,
    wanted: &NameRequest,
    owner: Option<i64>,
) -> Result<Foreseen, BoxedDiagnose> {
    let tag = &target.target.dest_tag_name;
    let mut refusals: Vec<BoxedDiagnose> = Vec::new();
    if let Some(destination) = context.session.get_tag(tag).await?
        && let Err(error) = check_destination(&context.session, destination, owner).await
    {
        refusals.push(error);
    }
    if let Err(error) = check_package(context, tag, wanted).await {
        refusals.push(error);
    }
    let explicit = match &wanted.release {
        ReleaseRequest::Explicit(release) => Some(release.clone()),
        ReleaseRequest::Next | ReleaseRequest::Beside(_) => None,
    };
    let mut release = match &explicit {
        Some(release) => release.clone(),
        None => context.session.next_release(&wanted.component, &wanted.version).await?,
    };
    for _ in 0..TRIES {
        let nvr = Nvr { name: wanted.component.clone(), version: wanted.version.clone(), release: release.clone() };
        let taken = context.session.get_build(&nvr).await?;
        let Some(build) = taken.filter(|b| !matches!(b.state, BuildState::Failed | BuildState::Canceled)) else { break };
        if explicit.is_some() {
            refusals.push(NameTaken::Exists { nvr, id: build.id, state: build.state }.into());
            break;
        }
        // getNextRelease counts complete and running builds; one that is reserved this moment may be ahead of it.
        match release.parse::<u64>() {
            Ok(number) => release = (number + 1).to_string(),
            Err(_) => break,
        }
    }
    Ok(Foreseen { release, refusals })
}

/// Tells in the log of the steps what would be built, and returns it.
pub fn tell_plan(context: &TaskContext<'_>, pinned: &PinnedBuild) -> DryRun {
    let host = &context.settings.registry.push;
    let spec = |tag: &build_model::ImageTag| format!("{host}/{}:{tag}", pinned.repository);
    let parent = |parent: &crate::task::pinned_build::PinnedParent| DryRunParent {
        pinned: parent.pinned.clone(),
        build: parent.build.as_ref().map(|(_, nvr)| nvr.to_string()),
    };
    let repositories = pinned.content.iter().map(|(arch, sources)| {
        let by_name: BTreeMap<_, _> = sources.iter().map(|s| (s.name.clone(), s.base_url.clone())).collect();
        (arch.clone(), by_name)
    });
    let plan = DryRun {
        nvr: pinned.nvr.to_string(),
        source: pinned.source.clone(),
        koji_tag: (!pinned.scratch).then(|| pinned.dest_tag.clone()),
        arches: pinned.arches.iter().map(|arch| arch.arch.clone()).collect(),
        tags: pinned.tags.all().map(spec).collect(),
        parents: pinned.parents.iter().map(|(name, p)| (name.clone(), parent(p))).collect(),
        repositories: repositories.collect(),
    };
    let log = &context.log;
    log.step(&format!("dry run: {} would be built", plan.nvr));
    if let Some(tag) = &plan.koji_tag {
        log.step(&format!("dry run: and tagged {tag}"));
    }
    for tag in &plan.tags {
        log.step(&format!("dry run: pushed as {tag}"));
    }
    for (arch, sources) in &plan.repositories {
        for (name, url) in sources {
            log.step(&format!("dry run: {arch} is offered {name}: {url}"));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::steps::resolve_target::TargetError;

    #[test]
    fn all_refusals_are_told_and_the_first_ones_blame_counts() {
        let tag = build_model::KojiTag("f40".into());
        let refusals: Vec<BoxedDiagnose> =
            vec![TargetError::Locked(tag.clone()).into(), NameTaken::NotListed { package: "web".into(), tag }.into()];
        let error = WouldBeRefused::new(&refusals);
        let text = error.to_string();
        assert!(text.contains("the destination tag f40 is locked (ask release engineering"), "{text}");
        assert!(text.lines().count() == 3 && text.contains("koji add-pkg --owner OWNER f40 web"), "{text}");
        assert_eq!(error.blame(), Blame::Hub);
    }
}
