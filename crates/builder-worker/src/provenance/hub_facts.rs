//! What the hub knows about an image's RPMs that only rules ask for: signed copies and tags. Asked in multicalls, and only
//! when a rule of the site looks at it.

use std::collections::BTreeMap;

use build_model::{BuildId, KojiTag};
use koji_session::{HubError, Session};
use rpm_provenance::policy::{Policy, Ruling};
use rpm_provenance::report::PackageTags;
use rpm_provenance::{Origin, Provenance};

/// Adds to the document what the policy looks at.
///
/// # Errors
/// The hub's.
pub async fn add_hub_facts(session: &Session, policy: &Policy<'_>, document: &mut Provenance) -> Result<(), HubError> {
    let target = document.target.clone();
    if policy.signing_keys.iter().any(|rule| rule.is_for(target.as_deref())) {
        add_keys(session, document).await?;
    }
    let rules: Vec<_> = policy.content_tags.iter().filter(|r| r.is_for(target.as_deref())).collect();
    if !rules.is_empty() {
        for tag in rules.iter().flat_map(|rule| rule.plain_tags()) {
            let inherited = session.full_inheritance(&KojiTag(tag.clone())).await?;
            document.tag_parents.insert(tag.clone(), inherited.into_iter().map(|t| t.0).collect());
        }
        add_tags(session, policy, document).await?;
    }
    Ok(())
}

async fn add_keys(session: &Session, document: &mut Provenance) -> Result<(), HubError> {
    let ids: Vec<i64> = document.packages.iter().filter_map(|p| p.koji.as_ref()).map(|k| k.rpm_id).collect();
    let mut answers = session.query_rpm_sigs(&ids).await?.into_iter();
    for package in document.packages.iter_mut().filter(|p| p.koji.is_some()) {
        let signed = answers.next().unwrap_or_default();
        package.koji_keys = Some(signed.into_iter().map(|s| s.sigkey).filter(|key| !key.is_empty()).collect());
    }
    Ok(())
}

async fn add_tags(session: &Session, policy: &Policy<'_>, document: &mut Provenance) -> Result<(), HubError> {
    let mut builds: Vec<BuildId> =
        document.packages.iter().filter_map(|p| p.koji.as_ref()).map(|k| BuildId(k.build_id)).collect();
    builds.sort_unstable();
    builds.dedup();
    let now: BTreeMap<BuildId, Vec<String>> =
        builds.iter().copied().zip(session.tags_of_builds(&builds).await?.into_iter().map(names)).collect();
    for package in &mut document.packages {
        let build = package.koji.as_ref().map(|k| BuildId(k.build_id));
        package.tags = build.and_then(|b| now.get(&b)).map(|now| PackageTags { now: now.clone(), before: Vec::new() });
    }
    // Where the tags of today are enough, nobody needs to know those of yesterday.
    let broken = policy.judge(document, "9999-12-31").iter().any(|o| o.check == "content_tags" && o.ruling != Ruling::Passed);
    if !broken {
        return Ok(());
    }
    let inherited = document.packages.iter().filter(|p| p.origin == Origin::Inherited).filter_map(|p| p.koji.as_ref());
    let mut builds: Vec<BuildId> = inherited.map(|k| BuildId(k.build_id)).collect();
    builds.sort_unstable();
    builds.dedup();
    let before: BTreeMap<BuildId, Vec<String>> =
        builds.iter().copied().zip(session.past_tags_of_builds(&builds).await?.into_iter().map(names)).collect();
    for package in &mut document.packages {
        let build = package.koji.as_ref().map(|k| BuildId(k.build_id));
        if let (Some(tags), Some(before)) = (&mut package.tags, build.and_then(|b| before.get(&b))) {
            tags.before.clone_from(before);
        }
    }
    Ok(())
}

fn names(tags: Vec<KojiTag>) -> Vec<String> {
    tags.into_iter().map(|tag| tag.0).collect()
}
