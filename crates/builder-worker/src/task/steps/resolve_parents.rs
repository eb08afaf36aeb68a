//! Step 4: every image the Dockerfile names, resolved **once** to a digest, pulled, and traced to its Koji build.
//!
//! A tag that moves while the build runs changes nothing: everything after this step uses the digests found here.
//! The image's own labels name its N-V-R; the hub's record of that build must hold the very digest (compat §3.7).

use std::collections::BTreeMap;

use build_model::{Arch, Blame, BoxedDiagnose, BuildContainerParams, BuildId, Diagnose, Digest, ImageLabels, Nvr};
use image_layers::{LocalImage, Store};
use koji_session::{Build, BuildState};
use registry::{ImageReference, PullEvent, Registry};
use rpm_provenance::files::Decision;
use rpm_provenance::report::{ParentBuild, ParentImage};

use crate::build_context::BuildContext;
use crate::task::run::TaskContext;

/// A parent image.
pub struct Parent {
    /// What was pulled, with digest.
    pub pinned: String,
    /// The image, all of it in the store.
    pub image: LocalImage,
    /// Its Koji build; `None` only where the site allows foreign parents.
    pub build: Option<(BuildId, Nvr)>,
    /// Why it is none.
    pub foreign: Option<String>,
}

impl Parent {
    /// The parent as the report has it.
    pub fn report(&self, reference: &str, base: Option<&str>) -> ParentImage {
        ParentImage {
            reference: reference.to_owned(),
            pinned: Some(self.pinned.clone()),
            build: self.build.as_ref().map(|(id, nvr)| ParentBuild { id: id.0, nvr: nvr.to_string() }),
            foreign: self.foreign.clone(),
            base: base == Some(reference),
        }
    }
}

/// The parents by the reference the Dockerfile uses.
pub type Parents = BTreeMap<String, Parent>;

/// Why an image may not be a parent.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// Its labels do not name a build.
    #[error("the parent image {image} ({place}) does not say which Koji build it is: {why}")]
    NoBuildLabels {
        /// The image.
        image: String,
        /// Dockerfile and line.
        place: String,
        /// Which label is missing.
        why: String,
    },
    /// The build its labels name is not there or not complete.
    #[error("the parent image {image} ({place}) says it is {nvr}, which is not a complete build in this Koji")]
    NotABuild {
        /// The image.
        image: String,
        /// Dockerfile and line.
        place: String,
        /// The build named.
        nvr: String,
    },
    /// The build is there but is another image.
    #[error("the parent image {image} ({place}) says it is {nvr}, but that build has other digests than {digest}")]
    OtherDigest {
        /// The image.
        image: String,
        /// Dockerfile and line.
        place: String,
        /// The build named.
        nvr: Nvr,
        /// The digest found in the registry.
        digest: Digest,
    },
    /// The site does not allow its registry.
    #[error("the image {image} ({place}) may not be used: {line}")]
    Registry {
        /// The image.
        image: String,
        /// Dockerfile and line.
        place: String,
        /// The rule and what it says.
        line: String,
        /// What to do.
        remedy: String,
    },
    /// `koji_parent_build` names a build without an image to pull.
    #[error("koji_parent_build: {nvr} {problem}")]
    UnusableOverride {
        /// What was asked for.
        nvr: String,
        /// Why it cannot be used.
        problem: &'static str,
    },
}

impl Diagnose for ParentError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            ParentError::NoBuildLabels { .. } => "parent-unlabelled",
            ParentError::NotABuild { .. } => "parent-not-in-koji",
            ParentError::OtherDigest { .. } => "parent-digest-differs",
            ParentError::Registry { .. } => "registry-not-allowed",
            ParentError::UnusableOverride { .. } => "parent-override",
        }
    }
    fn hint(&self) -> Option<String> {
        Some(match self {
            ParentError::UnusableOverride { .. } => "name the NVR of a complete container build".into(),
            ParentError::Registry { remedy, .. } => remedy.clone(),
            ParentError::OtherDigest { nvr, .. } => {
                format!("the tag in FROM was moved by something else than this service; use a tag or digest of {nvr}")
            }
            _ => "use an image that was built in this Koji in FROM and COPY --from".into(),
        })
    }
}

/// Resolves, checks and pulls every image.
///
/// # Errors
/// [`ParentError`], or the registry's or hub's.
pub async fn resolve_parents(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    read: &BuildContext,
    params: &BuildContainerParams,
    target: &str,
    arch: &Arch,
) -> Result<Parents, BoxedDiagnose> {
    let mut parents = Parents::new();
    let base_of_target = read.base_reference();
    let policy = context.settings.policy.rules();
    for (reference, span) in read.plan.image_references() {
        let place = format!("{}:{}", read.dockerfile_name, span.first_line);
        if let Some(refused) = policy.judge_reference(Some(target), &reference) {
            let (line, remedy) = (refused.line(), refused.remedy);
            return Err(ParentError::Registry { image: reference, place, line, remedy }.into());
        }
        let wanted = match &params.koji_parent_build {
            Some(nvr) if Some(reference.as_str()) == base_of_target => pull_spec_of(context, nvr).await?,
            _ => reference.clone(),
        };
        let asked: ImageReference = wanted.parse()?;
        let resolved = registry.resolve(&asked, arch).await?;
        let log = context.log.clone();
        let image = registry
            .pull(&resolved.reference, arch, store, &move |event| {
                if let PullEvent::Layers { total, missing, bytes } = event
                    && missing > 0
                {
                    log.step(&format!("pulling {missing} of {total} layers, {} MB", bytes >> 20));
                }
            })
            .await?;
        let pinned = resolved.reference.to_string();
        let digests = [resolved.digest.clone(), image.manifest_digest.clone()];
        let (build, foreign) = match koji_build_of(context, &image, &pinned, &place, &digests).await {
            Ok(build) => (Some(build), None),
            Err(error) if policy.foreign_parent(Some(target), &reference) != Decision::Refuse => {
                context.log.step(&format!("parent {pinned} is allowed by the site although: {error}"));
                (None, Some(error.to_string()))
            }
            Err(error) => return Err(error),
        };
        if let Some((_, nvr)) = &build {
            context.log.step(&format!("parent {reference} is {nvr} ({})", image.manifest_digest.short()));
        }
        parents.insert(reference, Parent { pinned, image, build, foreign });
    }
    Ok(parents)
}

/// The Koji build an image is, proven by digest.
async fn koji_build_of(
    context: &TaskContext<'_>,
    image: &LocalImage,
    name: &str,
    place: &str,
    digests: &[Digest],
) -> Result<(BuildId, Nvr), BoxedDiagnose> {
    let unlabelled = |why: String| ParentError::NoBuildLabels { image: name.into(), place: place.into(), why };
    let labels = ImageLabels::from_labels(&image.config.config.labels).map_err(|e| unlabelled(e.to_string()))?;
    let release = labels.release.ok_or_else(|| unlabelled("it has no label `release`".into()))?;
    let nvr = Nvr { name: labels.component, version: labels.version, release };
    let not_a_build = || ParentError::NotABuild { image: name.into(), place: place.into(), nvr: nvr.to_string() };
    let build = context.session.get_build(&nvr).await?.filter(|b| b.state == BuildState::Complete).ok_or_else(not_a_build)?;
    let mut recorded = recorded_digests(&build.extra.to_json());
    for archive in context.session.list_archives(build.id, Some("image")).await? {
        recorded.extend(recorded_digests(&archive.extra.to_json()));
    }
    if digests.iter().any(|d| recorded.iter().any(|r| r == d.as_str())) {
        Ok((build.id, nvr))
    } else {
        let digest = image.manifest_digest.clone();
        Err(ParentError::OtherDigest { image: name.into(), place: place.into(), nvr, digest }.into())
    }
}

/// Every digest that a build's or an archive's `extra` records: `image.index.digests`, `docker.digests` and the
/// `@sha256:` pull specifications (atomic-reactor's koji_import and our content-generator write all three).
fn recorded_digests(extra: &serde_json::Value) -> Vec<String> {
    let mut found = Vec::new();
    for path in ["/image/index/digests", "/docker/digests", "/typeinfo/image/index/digests"] {
        if let Some(map) = extra.pointer(path).and_then(|v| v.as_object()) {
            found.extend(map.values().filter_map(|v| v.as_str()).map(str::to_owned));
        }
    }
    for path in ["/image/index/pull", "/docker/repositories", "/typeinfo/image/index/pull"] {
        if let Some(list) = extra.pointer(path).and_then(|v| v.as_array()) {
            found.extend(list.iter().filter_map(|v| v.as_str()).filter_map(|s| s.split_once('@')).map(|(_, d)| d.to_owned()));
        }
    }
    found
}

/// Where to pull the image of a build from.
async fn pull_spec_of(context: &TaskContext<'_>, nvr: &str) -> Result<String, BoxedDiagnose> {
    let unusable = |problem| ParentError::UnusableOverride { nvr: nvr.to_owned(), problem };
    let parsed: Nvr = nvr.parse().map_err(|_| unusable("is not a name-version-release"))?;
    let build: Build = context.session.get_build(&parsed).await?.ok_or_else(|| unusable("is not a build in this Koji"))?;
    if build.state != BuildState::Complete {
        return Err(unusable("is not a complete build").into());
    }
    let extra = build.extra.to_json();
    let pulls = extra.pointer("/image/index/pull").or_else(|| extra.pointer("/typeinfo/image/index/pull"));
    let first = pulls.and_then(|v| v.get(0)).and_then(|v| v.as_str());
    Ok(first.ok_or_else(|| unusable("has no image that can be pulled"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_wherever_a_build_records_them() {
        let extra = serde_json::json!({
            "image": {"index": {"digests": {"application/vnd.oci.image.index.v1+json": "sha256:a"}, "pull": ["r/x@sha256:b", "r/x:1-2"]}},
            "docker": {"digests": {"m": "sha256:c"}, "repositories": ["r/x:1", "r/x@sha256:d"]},
        });
        assert_eq!(recorded_digests(&extra), ["sha256:a", "sha256:c", "sha256:b", "sha256:d"]);
        assert!(recorded_digests(&serde_json::Value::Null).is_empty());
    }
}
