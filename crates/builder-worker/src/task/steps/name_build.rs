//! Step 5: labels to N-V-R, before anything is built. The Dockerfile's own LABELs decide, not those of its base.

use std::collections::BTreeMap;

use build_model::{Arch, Blame, BoxedDiagnose, BuildContainerParams, Diagnose, ImageLabels, LabelError};

use super::PinnedParents;
use crate::build_context::BuildContext;
use crate::task::pinned_build::PinnedArch;

/// What the build is called.
pub struct Named {
    /// Component, repository name, version; release where it is given explicitly.
    pub labels: ImageLabels,
    /// Every label the Dockerfile sets.
    pub own: BTreeMap<String, String>,
}

/// The labels give other names for different architectures.
#[derive(Debug, thiserror::Error)]
#[error("the labels name the build {first} for {first_arch} and {other} for {other_arch}")]
pub struct NamesDiffer {
    first: String,
    first_arch: Arch,
    other: String,
    other_arch: Arch,
}

impl Diagnose for NamesDiffer {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "label-differs-by-arch"
    }
    fn hint(&self) -> Option<String> {
        Some("do not use TARGETARCH or the parent's environment in the labels component, name, version and release".into())
    }
}

/// Reads the labels of the target stage of every architecture; a `release` option replaces the label.
///
/// # Errors
/// When a required label is missing, a value breaks a rule, or the architectures disagree.
pub fn name_build(
    plans: &[(PinnedArch, BuildContext)],
    parents: &PinnedParents,
    params: &BuildContainerParams,
) -> Result<Named, BoxedDiagnose> {
    let mut named: Option<(&Arch, Named)> = None;
    for (PinnedArch { arch, optional }, read) in plans {
        if *optional && read.base_reference().is_some_and(|base| parents.description(arch, base).is_none()) {
            continue; // it will fail for want of its base; its labels may depend on that
        }
        let env_of = |reference: &str| {
            let image = parents.description(arch, reference);
            image.map(|image| env_map(&image.config.config.env)).unwrap_or_default()
        };
        let own: BTreeMap<String, String> = dockerfile::target_labels(&read.plan, &env_of)?;
        let mut set = own.clone();
        if let Some(release) = &params.release {
            set.remove("Release");
            set.insert("release".into(), release.clone());
        }
        let labels = ImageLabels::from_labels(&set)?;
        match &named {
            None => named = Some((arch, Named { labels, own })),
            Some((first_arch, first)) if first.labels != labels => {
                let (first, other) = (full_name(&first.labels), full_name(&labels));
                let (first_arch, other_arch) = ((*first_arch).clone(), arch.clone());
                return Err(NamesDiffer { first, first_arch, other, other_arch }.into());
            }
            Some(_) => {}
        }
    }
    Ok(named.ok_or(LabelError::Missing { label: "com.redhat.component" })?.1)
}

/// Everything of the labels that must be the same everywhere.
fn full_name(labels: &ImageLabels) -> String {
    let release = labels.release.as_deref().unwrap_or("(next)");
    format!("{}-{}-{release} in {}", labels.component, labels.version, labels.name)
}

/// `NAME=value` entries of an image's configuration as a map.
fn env_map(env: &[String]) -> BTreeMap<String, String> {
    env.iter().filter_map(|entry| entry.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
