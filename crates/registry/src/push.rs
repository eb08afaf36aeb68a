//! Pushes an image: blobs, then the manifest under its digest, then tags. Each manifest is asked for afterwards, and the
//! `Docker-Content-Digest` of the answer must be the digest that will be recorded in Koji.

use std::collections::BTreeMap;

use build_model::{Digest, ImageTag};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use image_layers::{Descriptor, LocalImage, Store};
use oci_client::Reference;
use reqwest::header::HeaderValue;

use crate::alias::Target;
use crate::classify::classify;
use crate::endpoint::{Endpoint, stalled};
use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::registry::Registry;
use crate::upload::{STALL, Uploaded};

/// Blobs sent at once.
const PARALLEL: usize = 3;

/// What was pushed, under the public name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedImage {
    /// Digest of the manifest or index, as the registry confirms it.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// `registry/repository@digest` first, then one `registry/repository:tag` for each tag.
    pub pull_specs: Vec<String>,
}

/// What happens during a push, for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushEvent {
    /// The repository has this blob now.
    Blob {
        /// Digest of the blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// Whether it had to be sent; otherwise it was there or was mounted from another repository.
        sent: bool,
    },
    /// The manifest is there under its digest.
    Manifest {
        /// Its digest.
        digest: Digest,
    },
    /// A tag names the manifest now.
    Tag {
        /// The tag.
        tag: ImageTag,
    },
}

impl Registry {
    /// Pushes `image` to `registry/repository` and sets `tags` in the order given.
    ///
    /// # Errors
    /// No permission, the registry fails or holds something else afterwards, or the store lacks a blob.
    /// Blobs and manifests pushed until then stay; without a tag the registry's garbage collection removes them.
    pub async fn push(
        &self,
        store: &Store,
        image: &LocalImage,
        registry: &str,
        repository: &str,
        tags: &[ImageTag],
        progress: &(dyn Fn(PushEvent) + Sync),
    ) -> Result<PushedImage, RegistryError> {
        let target = self.target(&ImageReference::repository(registry, repository)?)?;
        let endpoint = self.endpoint(&target)?;
        self.retry.run(Action::Push, &target, || endpoint.login_to_write(Action::Push, &target)).await?;
        let all = image.layers().iter().chain([&image.manifest.config]);
        let blobs: BTreeMap<&Digest, Descriptor> = all.map(|blob| (&blob.digest, blob.clone())).collect();
        let (endpoint_ref, target_ref) = (&endpoint, &target);
        let uploads = blobs.into_values().map(|blob| async move {
            let how = self.upload(endpoint_ref, target_ref, store, &blob).await?;
            progress(PushEvent::Blob { digest: blob.digest, size: blob.size, sent: how == Uploaded::Sent });
            Ok::<(), RegistryError>(())
        });
        stream::iter(uploads).buffer_unordered(PARALLEL).try_collect::<()>().await?;
        self.remember_origin(&target, image.layers().iter().map(|layer| &layer.digest));
        self.publish(
            &endpoint,
            &target,
            &image.manifest_bytes,
            &image.manifest_media_type,
            &image.manifest_digest,
            tags,
            progress,
        )
        .await
    }

    /// Makes `tag` name the manifest or index `digest` that is already in the repository.
    ///
    /// # Errors
    /// The repository has no such manifest, no permission, or the registry fails.
    pub async fn put_tag(&self, registry: &str, repository: &str, digest: &Digest, tag: &ImageTag) -> Result<(), RegistryError> {
        let target = self.target(&ImageReference::repository(registry, repository)?)?;
        let endpoint = self.endpoint(&target)?;
        let fetched = self.fetch(&endpoint, &target.with_digest(digest), None).await?;
        self.retry.run(Action::Tag, &target, || endpoint.login_to_write(Action::Tag, &target)).await?;
        let tagged = target.with_tag(tag);
        self.put_manifest(&endpoint, &tagged, &fetched.bytes, fetched.document.media_type(), digest, Action::Tag).await
    }

    /// The manifest under its digest first, so that what a tag names is never half there; then the tags.
    #[allow(clippy::too_many_arguments)] // one call each from push and push_index
    pub(crate) async fn publish(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        bytes: &[u8],
        media_type: &str,
        digest: &Digest,
        tags: &[ImageTag],
        progress: &(dyn Fn(PushEvent) + Sync),
    ) -> Result<PushedImage, RegistryError> {
        let by_digest = target.with_digest(digest);
        self.put_manifest(endpoint, &by_digest, bytes, media_type, digest, Action::Push).await?;
        progress(PushEvent::Manifest { digest: digest.clone() });
        let mut pull_specs = vec![format!("{}@{digest}", target.name.name())];
        for tag in tags {
            self.put_manifest(endpoint, &target.with_tag(tag), bytes, media_type, digest, Action::Tag).await?;
            progress(PushEvent::Tag { tag: tag.clone() });
            pull_specs.push(format!("{}:{tag}", target.name.name()));
        }
        Ok(PushedImage { digest: digest.clone(), media_type: media_type.to_owned(), pull_specs })
    }

    /// Sends the manifest to the place `target` names and checks what is there afterwards.
    async fn put_manifest(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        bytes: &[u8],
        media_type: &str,
        digest: &Digest,
        action: Action,
    ) -> Result<(), RegistryError> {
        let location = &target.location;
        let place = location.digest.as_ref().map_or_else(|| location.tag.clone().unwrap_or_default(), Digest::to_string);
        // As a "tag" even when it is a digest: oci-client panics for digests if the answer has no Location header.
        let wire = Reference::with_tag(location.registry.clone(), location.repository.clone(), place);
        let content_type = HeaderValue::from_str(media_type).map_err(|_| RegistryError::Protocol {
            action,
            target: target.to_string(),
            registry: location.registry.clone(),
            message: format!("`{}` is no media type", media_type.escape_debug()),
        })?;
        self.retry
            .run(action, target, || async {
                let writer = endpoint.writer()?;
                let push = writer.push_manifest_raw(&wire, bytes.to_vec(), content_type.clone());
                match tokio::time::timeout(STALL, push).await {
                    Ok(outcome) => outcome.map(drop).map_err(|e| classify(e, action, target)),
                    Err(_) => Err(stalled(action, target, STALL)),
                }
            })
            .await?;
        let found = self.digest_of(endpoint, target, action).await?;
        if found == *digest {
            return Ok(());
        }
        Err(RegistryError::DigestMismatch {
            target: target.to_string(),
            registry: location.registry.clone(),
            expected: digest.to_string(),
            found: found.to_string(),
        })
    }
}
