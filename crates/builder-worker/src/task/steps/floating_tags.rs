//! The floating tags of a build (`latest`, its version) move last, after the import and the Koji tag: whoever pulls `latest`
//! gets an image that is in Koji. They follow the newest build of the destination tag: of builds of one package that end
//! together, those that have been overtaken leave them alone. Called by `task/build_container.rs` and `finish_imported.rs`.

use build_model::{BoxedDiagnose, BuildId, Digest, ImageTag, KojiTag};
use registry::{Registry, RegistryError};

use crate::task::run::TaskContext;

/// What the tags are to name.
pub struct FloatingTags<'a> {
    /// The registry.
    pub registry: &'a str,
    /// The repository in it.
    pub repository: &'a str,
    /// The image or index.
    pub digest: &'a Digest,
    /// The tags.
    pub tags: &'a [ImageTag],
}

/// Moves them, unless a newer build of `package` is in `tag` already; gives the pull specifications of those that moved.
///
/// # Errors
/// The registry's and the hub's; tags before the failing one have moved.
pub async fn move_floating_tags(
    context: &TaskContext<'_>,
    registry: &Registry,
    tag: &KojiTag,
    package: &str,
    build: BuildId,
    floating: &FloatingTags<'_>,
) -> Result<Vec<String>, BoxedDiagnose> {
    let mut specs = Vec::new();
    if floating.tags.is_empty() {
        return Ok(specs);
    }
    if let Some(newer) = context.session.latest_build(tag, package).await?.filter(|latest| *latest != build) {
        context.log.step(&format!("{} stay where they are: build {newer} of {package} is newer in {tag}", list(floating)));
        return Ok(specs);
    }
    for image_tag in floating.tags {
        let spec = format!("{}/{}:{image_tag}", floating.registry, floating.repository);
        match registry.put_tag(floating.registry, floating.repository, floating.digest, image_tag).await {
            Ok(()) => specs.push(spec),
            // It named this image for a moment, and what is asked afterwards is what it names.
            Err(RegistryError::DigestMismatch { found, .. }) => {
                context.log.step(&format!("{spec} was moved on to {found} by another build at the same time"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !specs.is_empty() {
        context.log.step(&format!("moved {}", specs.join(", ")));
    }
    Ok(specs)
}

fn list(floating: &FloatingTags<'_>) -> String {
    floating.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
