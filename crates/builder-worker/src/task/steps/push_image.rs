//! Step 12: push by digest, then under the unique and the primary tag. Floating tags move last, after the import and
//! the Koji tag ([`move_floating_tags`]): whoever pulls `latest` gets an image that is in Koji.

use build_model::{BoxedDiagnose, ImageTagSet};
use image_layers::Store;
use registry::{PushEvent, PushedImage, Registry};

use super::BuiltArch;
use crate::task::run::TaskContext;

/// What was pushed and where it can be pulled.
pub struct Pushed {
    /// Registry, `host[:port]`.
    pub registry: String,
    /// Repository path in it.
    pub repository: String,
    /// The manifest and its pull specifications, by digest first.
    pub image: PushedImage,
}

/// Pushes the image of one architecture.
///
/// # Errors
/// The registry's.
pub async fn push_image(
    context: &TaskContext<'_>,
    registry: &Registry,
    store: &Store,
    built: &BuiltArch,
    repository: &str,
    tags: &ImageTagSet,
) -> Result<Pushed, BoxedDiagnose> {
    let host = &context.settings.registry.push;
    let fixed: Vec<_> = std::iter::once(&tags.unique).chain(&tags.primary).cloned().collect();
    let log = context.log.clone();
    let image = registry
        .push(store, &built.built.image, host, repository, &fixed, &move |event| {
            if let PushEvent::Blob { digest, size, sent: true } = event {
                log.step(&format!("sent {} ({} kB)", digest.short(), size >> 10));
            }
        })
        .await?;
    for spec in &image.pull_specs {
        context.log.step(&format!("pushed {spec}"));
    }
    Ok(Pushed { registry: host.clone(), repository: repository.to_owned(), image })
}

/// Moves the floating tags to the pushed image and returns their pull specifications.
///
/// # Errors
/// The registry's; tags before the failing one have moved.
pub async fn move_floating_tags(
    context: &TaskContext<'_>,
    registry: &Registry,
    pushed: &Pushed,
    tags: &ImageTagSet,
) -> Result<Vec<String>, BoxedDiagnose> {
    let mut specs = Vec::new();
    for tag in &tags.floating {
        registry.put_tag(&pushed.registry, &pushed.repository, &pushed.image.digest, tag).await?;
        specs.push(format!("{}/{}:{tag}", pushed.registry, pushed.repository));
    }
    if !specs.is_empty() {
        context.log.step(&format!("moved {}", specs.join(", ")));
    }
    Ok(specs)
}
