//! The images of all architectures under one name: an index (Docker: manifest list) over them, pushed by digest, then
//! under the unique and the primary tag. Floating tags move last (`floating_tags.rs`).

use build_model::{BoxedDiagnose, Digest};
use registry::{IndexMember, Registry};

use crate::task::arch_result::ArchResult;
use crate::task::pinned_build::PinnedBuild;
use crate::task::run::TaskContext;

/// What the tags of a build name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Digest of the index, or of the one image of a build for a single architecture.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Pull specifications, by digest first.
    pub pull_specs: Vec<String>,
}

/// Publishes the images under the build's fixed tags. A build that was to have several architectures gets an index even
/// when only one is left; a build for one has nothing to choose from and its image takes the tags itself.
///
/// # Errors
/// The registry's.
pub async fn publish_index(
    context: &TaskContext<'_>,
    registry: &Registry,
    pinned: &PinnedBuild,
    results: &[ArchResult],
) -> Result<Published, BoxedDiagnose> {
    let host = &context.settings.registry.push;
    let fixed: Vec<_> = std::iter::once(&pinned.tags.unique).chain(&pinned.tags.primary).cloned().collect();
    if let ([_], [only]) = (pinned.arches.as_slice(), results) {
        let (digest, media_type) = (only.member.digest.clone(), only.member.media_type.clone());
        let mut pull_specs: Vec<_> = only.repositories.iter().take(1).cloned().collect();
        for tag in &fixed {
            let spec = format!("{host}/{}:{tag}", pinned.repository);
            // The task that built it here has pushed it under these tags already.
            if !only.repositories.contains(&spec) {
                registry.put_tag(host, &pinned.repository, &digest, tag).await?;
                context.log.step(&format!("tagged {spec}"));
            }
            pull_specs.push(spec);
        }
        return Ok(Published { digest, media_type, pull_specs });
    }
    let members: Vec<IndexMember> = results.iter().map(|r| r.member.clone()).collect();
    let pushed = registry.push_index(&members, host, &pinned.repository, &fixed).await?;
    let arches = results.iter().map(|r| r.arch.as_str()).collect::<Vec<_>>().join(" ");
    context.log.step(&format!("pushed the index of {arches}"));
    for spec in &pushed.pull_specs {
        context.log.step(&format!("pushed {spec}"));
    }
    Ok(Published { digest: pushed.digest, media_type: pushed.media_type, pull_specs: pushed.pull_specs })
}
