//! Every image the Dockerfile names, resolved **once** to a digest for all architectures and traced to its Koji build.
//!
//! A tag that moves while the build runs changes nothing: everything after this step uses the digests found here.
//! The image's own labels name its N-V-R; the hub's record of that build must hold the very digest (compat §3.7).
//! Only descriptions are fetched here; the layers are pulled where they are used (`pull_parents.rs`).

use std::collections::BTreeMap;

use build_model::{Arch, Blame, BoxedDiagnose, BuildContainerParams, BuildId, Diagnose, Digest, ImageLabels, Nvr};
use image_layers::{LocalImage, Store};
use koji_session::{Build, BuildState};
use registry::{ImageReference, Registry};
use rpm_provenance::files::Decision;

use crate::build_context::BuildContext;
use crate::named_image::NamedImageError;
use crate::task::pinned_build::{PinnedArch, PinnedParent};
use crate::task::run::TaskContext;

/// The images of a build, described.
pub struct PinnedParents {
    /// By the reference the Dockerfile uses.
    pub parents: BTreeMap<String, PinnedParent>,
    /// What each architecture's image of a reference says about itself; its layers are not here.
    descriptions: BTreeMap<(Arch, String), LocalImage>,
}

impl PinnedParents {
    /// What the image behind a reference says about itself. `None` for an optional architecture it has no image for.
    pub fn description(&self, arch: &Arch, reference: &str) -> Option<&LocalImage> {
        self.descriptions.get(&(arch.clone(), reference.to_owned()))
    }
}

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

/// Resolves and checks every image of every architecture's plan.
///
/// # Errors
/// [`ParentError`], or the registry's or hub's. An optional architecture that an image lacks is no error here: its own
/// task will fail and say so.
pub async fn pin_parents(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    plans: &[(PinnedArch, BuildContext)],
    params: &BuildContainerParams,
    target: &str,
) -> Result<PinnedParents, BoxedDiagnose> {
    let mut found = PinnedParents { parents: BTreeMap::new(), descriptions: BTreeMap::new() };
    // An index is resolved for one architecture; an optional one may be missing there.
    let Some((asking, _)) = plans.iter().find(|(a, _)| !a.optional).or(plans.first()) else { return Ok(found) };
    let policy = context.settings.policy.rules();
    for (_, read) in plans {
        let base = read.base_reference();
        for (reference, span) in read.plan.image_references() {
            if found.parents.contains_key(&reference) {
                continue;
            }
            let place = format!("{}:{}", read.dockerfile_name, span.first_line);
            if let Some(refused) = policy.judge_reference(Some(target), &reference) {
                let (line, remedy) = (refused.line(), refused.remedy);
                return Err(ParentError::Registry { image: reference, place, line, remedy }.into());
            }
            let wanted = match &params.koji_parent_build {
                Some(nvr) if Some(reference.as_str()) == base => pull_spec_of(context, nvr).await?,
                _ => reference.clone(),
            };
            let asked: ImageReference = wanted.parse().map_err(NamedImageError::at(&place))?;
            let resolved = registry.resolve(&asked, &asking.arch).await.map_err(NamedImageError::at(&place))?;
            let pinned = resolved.reference.to_string();
            let mut images = Vec::new();
            for (pinned_arch, _) in plans {
                match registry.pull_description(&resolved.reference, &pinned_arch.arch, store).await {
                    Ok(image) => images.push((pinned_arch.arch.clone(), image)),
                    Err(error) if pinned_arch.optional => {
                        context.log.step(&format!("warning: the optional {} will fail: {error}", pinned_arch.arch));
                    }
                    Err(error) => return Err(NamedImageError::at(&place)(error).into()),
                }
            }
            let parent = Candidate { name: &pinned, place: &place, digest: &resolved.digest, images: &images };
            let (build, foreign) = match koji_build_of(context, &parent).await {
                Ok(build) => (Some(build), None),
                Err(error) if policy.foreign_parent(Some(target), &reference) != Decision::Refuse => {
                    context.log.step(&format!("parent {pinned} is allowed by the site although: {error}"));
                    (None, Some(error.to_string()))
                }
                Err(error) => return Err(error),
            };
            if let Some((_, nvr)) = &build {
                context.log.step(&format!("parent {reference} is {nvr} ({})", resolved.digest.short()));
            }
            let described = images.into_iter().map(|(arch, image)| ((arch, reference.clone()), image));
            found.descriptions.extend(described);
            found.parents.insert(reference, PinnedParent { pinned, build, foreign });
        }
    }
    Ok(found)
}

/// An image that might be a Koji build.
struct Candidate<'a> {
    /// Its reference with digest.
    name: &'a str,
    /// Dockerfile and line.
    place: &'a str,
    /// Digest of what the reference names: a manifest or an index.
    digest: &'a Digest,
    /// Its image of each architecture.
    images: &'a [(Arch, LocalImage)],
}

/// The Koji build an image is, proven by digest.
async fn koji_build_of(context: &TaskContext<'_>, image: &Candidate<'_>) -> Result<(BuildId, Nvr), BoxedDiagnose> {
    let unlabelled = |why: String| ParentError::NoBuildLabels { image: image.name.into(), place: image.place.into(), why };
    let (_, first) = image.images.first().ok_or_else(|| unlabelled("it has no image for any arch of this build".into()))?;
    let labels = ImageLabels::from_labels(&first.config.config.labels).map_err(|e| unlabelled(e.to_string()))?;
    let release = labels.release.ok_or_else(|| unlabelled("it has no label `release`".into()))?;
    let nvr = Nvr { name: labels.component, version: labels.version, release };
    let not_a_build = || ParentError::NotABuild { image: image.name.into(), place: image.place.into(), nvr: nvr.to_string() };
    let build = context.session.get_build(&nvr).await?.filter(|b| b.state == BuildState::Complete).ok_or_else(not_a_build)?;
    let mut recorded = recorded_digests(&build.extra.to_json());
    for archive in context.session.list_archives(build.id, Some("image")).await? {
        recorded.extend(recorded_digests(&archive.extra.to_json()));
    }
    match unrecorded(image, &recorded) {
        None => Ok((build.id, nvr)),
        Some(digest) => {
            let (image, place) = (image.name.to_owned(), image.place.to_owned());
            Err(ParentError::OtherDigest { image, place, nvr, digest }.into())
        }
    }
}

/// The first digest that would have to be recorded and is not. An index speaks for all it names; without it, every
/// architecture's image has to be known.
fn unrecorded(image: &Candidate<'_>, recorded: &[String]) -> Option<Digest> {
    let known = |digest: &Digest| recorded.iter().any(|r| r == digest.as_str());
    if known(image.digest) {
        return None;
    }
    image.images.iter().map(|(_, i)| &i.manifest_digest).find(|digest| !known(digest)).cloned()
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
