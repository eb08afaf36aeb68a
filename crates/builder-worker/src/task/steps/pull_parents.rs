//! The images of one architecture, pulled by the digests that were pinned for all: tags are not looked at again.

use std::collections::BTreeMap;

use build_model::{Arch, BoxedDiagnose};
use image_layers::{LocalImage, Store};
use registry::{ImageReference, PullEvent, Registry};

use crate::task::pinned_build::PinnedParent;
use crate::task::run::TaskContext;

/// Images, all of them in the store, by the reference the Dockerfile uses.
pub type Parents = BTreeMap<String, LocalImage>;

/// Pulls every pinned image for `arch`.
///
/// # Errors
/// The registry's, or the store's.
pub async fn pull_parents(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    pinned: &BTreeMap<String, PinnedParent>,
    arch: &Arch,
) -> Result<Parents, BoxedDiagnose> {
    let mut parents = Parents::new();
    for (name, parent) in pinned {
        let reference: ImageReference = parent.pinned.parse()?;
        let log = context.log.clone();
        let image = registry
            .pull(&reference, arch, store, &move |event| {
                if let PullEvent::Layers { total, missing, bytes } = event
                    && missing > 0
                {
                    log.step(&format!("pulling {missing} of {total} layers, {} MB", bytes >> 20));
                }
            })
            .await?;
        parents.insert(name.clone(), image);
    }
    Ok(parents)
}
