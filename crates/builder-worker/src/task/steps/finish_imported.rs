//! What is left when a task is run again after its build was imported: the Koji tag, the floating tags, the result.
//! Everything needed stands in the build itself.

use build_model::{Blame, BoxedDiagnose, BuildContainerResult, Diagnose, Digest, ImageTag, KojiTag};
use koji_session::Build;
use registry::{ImageReference, Registry};

use super::{FloatingTags, move_floating_tags, tag_build};
use crate::task::run::TaskContext;

/// The build does not say where its image is.
#[derive(Debug, thiserror::Error)]
#[error("build {0} was imported by this task but records no pull specification by digest")]
pub struct NoPullSpec(String);

impl Diagnose for NoPullSpec {
    fn blame(&self) -> Blame {
        Blame::Hub
    }
    fn kind(&self) -> &'static str {
        "build-without-pull-spec"
    }
}

/// Tags and finishes an imported build.
///
/// # Errors
/// The hub's or the registry's.
pub async fn finish_imported(
    context: &TaskContext<'_>,
    registry: &Registry,
    tag: &KojiTag,
    build: Build,
) -> Result<BuildContainerResult, BoxedDiagnose> {
    context.log.step(&format!("an earlier run of this task imported {} (build {}); finishing", build.nvr, build.id));
    let extra = build.extra.to_json();
    let index = extra.pointer("/image/index").or_else(|| extra.pointer("/typeinfo/image/index"));
    let strings = |key: &str| -> Vec<String> {
        let list = index.and_then(|i| i.get(key)).and_then(|v| v.as_array());
        list.into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_owned).collect()
    };
    let mut repositories = strings("pull");
    tag_build(context, tag, build.id).await?;
    let pinned = repositories.iter().find_map(|spec| spec.parse::<ImageReference>().ok().filter(|r| r.digest.is_some()));
    let no_spec = || NoPullSpec(build.nvr.to_string());
    let reference = pinned.ok_or_else(no_spec)?;
    let digest: Digest = reference.digest.clone().ok_or_else(no_spec)?;
    let tags = strings("floating_tags").into_iter().map(ImageTag::new).collect::<Result<Vec<_>, _>>()?;
    let floating =
        FloatingTags { registry: &reference.registry, repository: &reference.repository, digest: &digest, tags: &tags };
    repositories.extend(move_floating_tags(context, registry, tag, &build.nvr.name, build.id, &floating).await?);
    Ok(BuildContainerResult::imported(repositories, build.id))
}
