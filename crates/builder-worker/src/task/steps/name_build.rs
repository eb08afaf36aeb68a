//! Step 5: labels to N-V-R, before anything is built. The Dockerfile's own LABELs decide, not those of its base.

use std::collections::BTreeMap;

use build_model::{BoxedDiagnose, BuildContainerParams, ImageLabels};

use super::Parents;
use crate::build_context::BuildContext;

/// What the build is called.
pub struct Named {
    /// Component, repository name, version; release where it is given explicitly.
    pub labels: ImageLabels,
    /// Every label the Dockerfile sets.
    pub own: BTreeMap<String, String>,
}

/// Reads the labels of the target stage; a `release` option replaces the label.
///
/// # Errors
/// When a required label is missing or a value breaks a rule.
pub fn name_build(read: &BuildContext, parents: &Parents, params: &BuildContainerParams) -> Result<Named, BoxedDiagnose> {
    let env_of = |reference: &str| parents.get(reference).map(|p| env_map(&p.image.config.config.env)).unwrap_or_default();
    let own: BTreeMap<String, String> = dockerfile::target_labels(&read.plan, &env_of)?;
    let mut set = own.clone();
    if let Some(release) = &params.release {
        set.remove("Release");
        set.insert("release".into(), release.clone());
    }
    Ok(Named { labels: ImageLabels::from_labels(&set)?, own })
}

/// `NAME=value` entries of an image's configuration as a map.
fn env_map(env: &[String]) -> BTreeMap<String, String> {
    env.iter().filter_map(|entry| entry.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
