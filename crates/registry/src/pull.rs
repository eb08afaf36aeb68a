//! Pulls the image of one architecture into the store: manifest, config, and the layers the store does not have yet.

use std::collections::BTreeMap;

use build_model::{Arch, Digest};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use image_layers::{Descriptor, ExpectedBlob, LocalImage, Store, UnpackError, UnpackLimits};

use crate::alias::Target;
use crate::document::{Document, other_platform};
use crate::endpoint::Endpoint;
use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::registry::Registry;
use crate::resolve::{Fetched, choose};

/// Layers pulled at once. More connections only help against a slow disk at the other end.
const PARALLEL: usize = 3;

/// What happens during a pull, for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The manifest that is pulled.
    Manifest {
        /// Its digest.
        digest: Digest,
    },
    /// What there is to do.
    Layers {
        /// Layers of the image.
        total: usize,
        /// Layers the store does not have.
        missing: usize,
        /// Bytes of the missing ones.
        bytes: u64,
    },
    /// A layer has arrived and is verified.
    Layer {
        /// Digest of the blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
}

impl Registry {
    /// Pulls what `reference` names for `arch`. With a digest in the reference and everything in the store, no registry is asked.
    ///
    /// # Errors
    /// No such image, none for `arch`, content that is not what its digest says, or the registry or store fails.
    /// Blobs that arrived stay in the store for the next attempt.
    ///
    /// Layers are unpacked while they arrive, so that whoever unpacks the image next finds it done. What goes wrong in that
    /// is theirs to find and to tell: the blobs are as good as their digests.
    pub async fn pull(
        &self,
        reference: &ImageReference,
        arch: &Arch,
        store: &Store,
        progress: &(dyn Fn(PullEvent) + Sync),
    ) -> Result<LocalImage, RegistryError> {
        let target = self.target(reference)?;
        let endpoint = self.endpoint(&target)?;
        let image = self.description(&endpoint, &target, arch, store, progress).await?;
        // The empty layer occurs several times in many images.
        let missing: BTreeMap<_, _> = image.missing_blobs(store).into_iter().map(|layer| (&layer.digest, layer)).collect();
        let missing: Vec<_> = missing.into_values().cloned().collect();
        let bytes = missing.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        progress(PullEvent::Layers { total: image.layers().len(), missing: missing.len(), bytes });
        let done = |layer: &Descriptor| progress(PullEvent::Layer { digest: layer.digest.clone(), size: layer.size });
        let ahead = self.bring_expected(&endpoint, &target, store, &image, missing, &done).await?;
        if let Some(Err(error)) = ahead {
            tracing::debug!(%target, %error, "not unpacked while it was pulled");
        }
        self.remember_origin(&target, image.layers().iter().map(|layer| &layer.digest));
        Ok(image)
    }

    /// Pulls manifest and config of what `reference` names for `arch`, and none of its layers.
    ///
    /// # Errors
    /// As [`Registry::pull`].
    pub async fn pull_description(
        &self,
        reference: &ImageReference,
        arch: &Arch,
        store: &Store,
    ) -> Result<LocalImage, RegistryError> {
        let target = self.target(reference)?;
        let endpoint = self.endpoint(&target)?;
        self.description(&endpoint, &target, arch, store, &|_| {}).await
    }

    /// Manifest and config into the store; the image's layers need not be there.
    async fn description(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        arch: &Arch,
        store: &Store,
        progress: &(dyn Fn(PullEvent) + Sync),
    ) -> Result<LocalImage, RegistryError> {
        let fetched = self.manifest_for(endpoint, target, arch, store).await?;
        progress(PullEvent::Manifest { digest: fetched.digest.clone() });
        let image = self.described(endpoint, target, fetched, store).await?;
        match other_platform(&image.config, arch) {
            None => Ok(image),
            Some(found) => Err(RegistryError::WrongPlatform { target: target.to_string(), arch: arch.clone(), found }),
        }
    }

    /// The image of a manifest that was fetched, with its config; for whatever platform.
    pub(crate) async fn described(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        fetched: Fetched,
        store: &Store,
    ) -> Result<LocalImage, RegistryError> {
        let Document::Image(manifest, media_type) = &fetched.document else {
            return Err(nested(target));
        };
        store.put_blob(&fetched.bytes).map_err(|source| RegistryError::Store { target: target.to_string(), source })?;
        let config = (!store.has_blob(&manifest.config.digest)).then(|| store.expect_blob(&manifest.config.digest));
        let config = config.into_iter().map(|expected| (manifest.config.clone(), expected)).collect();
        self.bring(endpoint, target, store, config, &|_| {}).await?;
        LocalImage::load(store, &fetched.digest, media_type)
            .map_err(|source| RegistryError::Image { target: target.to_string(), source })
    }

    /// The manifest for `arch`, through the index if there is one.
    async fn manifest_for(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        arch: &Arch,
        store: &Store,
    ) -> Result<Fetched, RegistryError> {
        let fetched = self.fetch(endpoint, target, Some(store)).await?;
        let Document::Index(index, _) = &fetched.document else { return Ok(fetched) };
        let digest = choose(index, arch, target)?;
        // Kept, so that the same pinned reference needs no registry the next time.
        store.put_blob(&fetched.bytes).map_err(|source| RegistryError::Store { target: target.to_string(), source })?;
        self.fetch(endpoint, &target.with_digest(&digest), Some(store)).await
    }

    /// Downloads the layers `missing` and unpacks the image meanwhile; gives what became of the unpacking, if any was needed.
    async fn bring_expected(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        store: &Store,
        image: &LocalImage,
        missing: Vec<Descriptor>,
        done: &(dyn Fn(&Descriptor) + Sync),
    ) -> Result<Option<Result<(), UnpackError>>, RegistryError> {
        if missing.is_empty() {
            return Ok(None);
        }
        let expected = missing.into_iter().map(|blob| (blob.clone(), store.expect_blob(&blob.digest))).collect();
        let ahead = tokio::task::spawn_blocking({
            let (store, image) = (store.clone(), image.clone());
            move || store.unpack_image(&image, &UnpackLimits::default()).map(drop)
        });
        // On an error the promises are broken, and the unpacking ends with the first blob that does not come.
        self.bring(endpoint, target, store, expected, done).await?;
        Ok(ahead.await.ok())
    }

    /// Downloads blobs, a few at a time.
    async fn bring(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        store: &Store,
        blobs: Vec<(Descriptor, ExpectedBlob)>,
        done: &(dyn Fn(&Descriptor) + Sync),
    ) -> Result<(), RegistryError> {
        if blobs.is_empty() {
            return Ok(());
        }
        self.retry.run(Action::Pull, target, || endpoint.login_to_read(Action::Pull, target)).await?;
        let downloads = blobs.into_iter().map(|(blob, expected)| async move {
            self.download(endpoint, target, store, &blob, expected).await?;
            done(&blob);
            Ok::<(), RegistryError>(())
        });
        // With the first failure the others are dropped, and their partial files with them.
        stream::iter(downloads).buffer_unordered(PARALLEL).try_collect::<()>().await
    }
}

fn nested(target: &Target) -> RegistryError {
    RegistryError::Protocol {
        action: Action::Pull,
        target: target.to_string(),
        registry: target.location.registry.clone(),
        message: "an index inside an index".to_owned(),
    }
}
