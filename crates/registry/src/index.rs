//! The index over the images of all architectures (Docker: manifest list). The images themselves are pushed before.

use std::collections::BTreeSet;

use build_model::{Arch, Digest, ImageTag};
use image_layers::media_types::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX};
use image_layers::{ImageError, Index, IndexEntry, LocalImage, Platform};
use sha2::{Digest as _, Sha256};

use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::push::PushedImage;
use crate::registry::Registry;

/// One image of an index. The coordinating task gets these from the per-architecture tasks, which ran on other hosts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IndexMember {
    /// Architecture of the image.
    pub arch: Arch,
    /// Media type of its manifest.
    pub media_type: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Size of its manifest in bytes.
    pub size: u64,
}

impl IndexMember {
    /// The entry for an image of the local store.
    pub fn of(arch: &Arch, image: &LocalImage) -> Self {
        Self {
            arch: arch.clone(),
            media_type: image.manifest_media_type.clone(),
            digest: image.manifest_digest.clone(),
            size: image.manifest_bytes.len() as u64,
        }
    }
}

impl Registry {
    /// Pushes an index over manifests of the same repository: a Docker manifest list if all are Docker's, else an OCI index.
    /// The same members give the same digest, in whatever order they come.
    ///
    /// # Errors
    /// No member, an architecture twice, a manifest the registry does not have, no permission, or the registry fails.
    pub async fn push_index(
        &self,
        members: &[IndexMember],
        registry: &str,
        repository: &str,
        tags: &[ImageTag],
    ) -> Result<PushedImage, RegistryError> {
        let target = self.target(&ImageReference::repository(registry, repository)?)?;
        let arches: BTreeSet<_> = members.iter().map(|m| &m.arch).collect();
        if members.is_empty() || arches.len() != members.len() {
            return Err(RegistryError::IndexMembers { target: target.to_string() });
        }
        let (bytes, media_type) =
            index_bytes(members).map_err(|source| RegistryError::Image { target: target.to_string(), source })?;
        let digest = Digest::from_sha256(&Sha256::digest(&bytes).into());
        let endpoint = self.endpoint(&target)?;
        self.retry.run(Action::Push, &target, || endpoint.login_to_write(Action::Push, &target)).await?;
        self.publish(&endpoint, &target, &bytes, media_type, &digest, tags, &|_| {}).await
    }
}

fn index_bytes(members: &[IndexMember]) -> Result<(Vec<u8>, &'static str), ImageError> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by(|a, b| a.arch.cmp(&b.arch));
    let docker = members.iter().all(|m| m.media_type == DOCKER_MANIFEST);
    let media_type = if docker { DOCKER_MANIFEST_LIST } else { OCI_INDEX };
    let entries = members.into_iter().map(|m| {
        let platform = Platform { variant: variant(&m.arch), ..Platform::linux(m.arch.oci()) };
        IndexEntry::new(m.media_type.clone(), m.digest.clone(), m.size, Some(platform))
    });
    let index = Index { media_type: Some(media_type.to_owned()), ..Index::oci(entries.collect()) };
    let bytes = serde_json::to_vec(&index).map_err(|source| ImageError::Json { what: "image index", source })?;
    Ok((bytes, media_type))
}

/// The variants every tool expects (containerd's platform normalisation).
fn variant(arch: &Arch) -> Option<String> {
    match arch.as_str() {
        "armhfp" => Some("v7".to_owned()),
        "aarch64" => Some("v8".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_layers::media_types::OCI_MANIFEST;

    fn member(arch: &str, media_type: &str, n: u8) -> IndexMember {
        let arch = Arch::canonical(arch).expect("an arch");
        IndexMember { arch, media_type: media_type.into(), digest: Digest::from_sha256(&[n; 32]), size: u64::from(n) }
    }

    #[test]
    fn the_index_does_not_depend_on_the_order_of_its_members() {
        let (a, b) = (member("x86_64", OCI_MANIFEST, 1), member("aarch64", OCI_MANIFEST, 2));
        let one = index_bytes(&[a.clone(), b.clone()]).expect("an index");
        assert_eq!(one, index_bytes(&[b, a]).expect("an index"));
        assert_eq!(one.1, OCI_INDEX);
        insta::assert_snapshot!(String::from_utf8(one.0).expect("text"));
    }

    #[test]
    fn dockers_images_get_dockers_list_and_mixed_ones_an_oci_index() {
        let docker = [member("x86_64", DOCKER_MANIFEST, 1), member("s390x", DOCKER_MANIFEST, 2)];
        assert_eq!(index_bytes(&docker).expect("a list").1, DOCKER_MANIFEST_LIST);
        let mixed = [member("x86_64", DOCKER_MANIFEST, 1), member("s390x", OCI_MANIFEST, 2)];
        assert_eq!(index_bytes(&mixed).expect("an index").1, OCI_INDEX);
    }
}
