//! What a tag or digest names now: the manifest or index as bytes, and the manifest of one architecture.

use build_model::{Arch, Digest};
use image_layers::{Index, Store};
use oci_client::secrets::RegistryAuth;

use crate::alias::Target;
use crate::classify::classify;
use crate::document::{ACCEPTED, Document, entry_for, platforms};
use crate::endpoint::{Endpoint, wire};
use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::plain_question;
use crate::registry::Registry;

/// Registries accept no larger manifests, so there are none.
pub(crate) const MANIFEST_LIMIT: u64 = 4 << 20;

/// An image pinned to digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The reference asked for, with the digest of what it names.
    pub reference: ImageReference,
    /// Digest of what it names: a manifest, or an index over several architectures.
    pub digest: Digest,
    /// Media type of what it names.
    pub media_type: String,
    /// Digest of the manifest for the architecture asked for; equal to `digest` when that is a manifest.
    pub platform_digest: Digest,
}

/// A manifest or index as a registry holds it.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) document: Document,
}

impl Registry {
    /// Pins `reference` to digests.
    ///
    /// For a single manifest the architecture is not checked: only its config tells it, which [`Registry::pull`] reads.
    ///
    /// # Errors
    /// No such image, no entry for `arch` in an index, or the registry cannot be asked.
    pub async fn resolve(&self, reference: &ImageReference, arch: &Arch) -> Result<ResolvedImage, RegistryError> {
        let target = self.target(reference)?;
        let endpoint = self.endpoint(&target)?;
        let fetched = self.fetch(&endpoint, &target, None).await?;
        resolved(reference, fetched, arch, &target)
    }

    /// As [`Registry::resolve`], asking no more than it must: what a digest names is read from `store` where it has it, and
    /// a tag costs one question (HEAD) when what it names is there.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub async fn resolve_known(
        &self,
        reference: &ImageReference,
        arch: &Arch,
        store: &Store,
    ) -> Result<ResolvedImage, RegistryError> {
        let target = self.target(reference)?;
        let digest = match &target.location.digest {
            Some(digest) => Some(digest.clone()),
            None => self.ask_plainly(&target).await,
        };
        let Some(digest) = digest.filter(|digest| store.has_blob(digest)) else { return self.resolve(reference, arch).await };
        let endpoint = self.endpoint(&target)?;
        let fetched = self.fetch(&endpoint, &target.with_digest(&digest), Some(store)).await?;
        resolved(reference, fetched, arch, &target)
    }

    /// The digest of a tag, from a plain-http registry that answers without a login; `None` means: ask properly.
    async fn ask_plainly(&self, target: &Target) -> Option<Digest> {
        let location = &target.location;
        let endpoint = self.endpoint(target).ok()?;
        if !self.endpoints().is_plain(&location.registry) || *endpoint.auth() != RegistryAuth::Anonymous {
            return None;
        }
        plain_question::digest(location).await
    }

    /// Whether the registry has what `reference` names.
    ///
    /// # Errors
    /// Anything but a clear yes or no.
    pub async fn exists(&self, reference: &ImageReference) -> Result<bool, RegistryError> {
        let target = self.target(reference)?;
        let endpoint = self.endpoint(&target)?;
        match self.digest_of(&endpoint, &target, Action::Resolve).await {
            Ok(_) => Ok(true),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The manifest or index `target` names. With a `store`, a pinned one that is there is not asked for again.
    pub(crate) async fn fetch(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        store: Option<&Store>,
    ) -> Result<Fetched, RegistryError> {
        let unusable = |source| RegistryError::Image { target: target.to_string(), source };
        if let (Some(store), Some(digest)) = (store, &target.location.digest)
            && store.has_blob(digest)
            // A damaged copy is set aside by the store and fetched like a missing one.
            && let Ok(bytes) = store.read_blob(digest, MANIFEST_LIMIT)
        {
            let document = Document::parse(&bytes).map_err(unusable)?;
            return Ok(Fetched { bytes, digest: digest.clone(), document });
        }
        let action = Action::Resolve;
        let (bytes, digest) = self
            .retry
            .run(action, target, || async {
                endpoint.login_to_read(action, target).await?;
                let wire = wire(&target.location);
                endpoint
                    .reader()?
                    .pull_manifest_raw(&wire, endpoint.auth(), &ACCEPTED)
                    .await
                    .map_err(|e| classify(e, action, target))
            })
            .await?;
        let size = bytes.len() as u64;
        if size > MANIFEST_LIMIT {
            return Err(RegistryError::ManifestTooLarge { target: target.to_string(), size, limit: MANIFEST_LIMIT });
        }
        let digest = self.read_digest(&digest, action, target)?;
        let document = Document::parse(&bytes).map_err(unusable)?;
        Ok(Fetched { bytes: bytes.to_vec(), digest, document })
    }

    /// The digest `target` names now, asked with HEAD.
    pub(crate) async fn digest_of(&self, endpoint: &Endpoint, target: &Target, action: Action) -> Result<Digest, RegistryError> {
        let text = self
            .retry
            .run(action, target, || async {
                endpoint.login_to_read(action, target).await?;
                let wire = wire(&target.location);
                endpoint.reader()?.fetch_manifest_digest(&wire, endpoint.auth()).await.map_err(|e| classify(e, action, target))
            })
            .await?;
        self.read_digest(&text, action, target)
    }

    fn read_digest(&self, text: &str, action: Action, target: &Target) -> Result<Digest, RegistryError> {
        text.parse().map_err(|error: build_model::DigestError| RegistryError::Protocol {
            action,
            target: target.to_string(),
            registry: target.location.registry.clone(),
            message: error.to_string(),
        })
    }
}

fn resolved(reference: &ImageReference, fetched: Fetched, arch: &Arch, target: &Target) -> Result<ResolvedImage, RegistryError> {
    let platform_digest = match &fetched.document {
        Document::Image(..) => fetched.digest.clone(),
        Document::Index(index, _) => choose(index, arch, target)?,
    };
    Ok(ResolvedImage {
        reference: reference.with_digest(fetched.digest.clone()),
        digest: fetched.digest,
        media_type: fetched.document.media_type().to_owned(),
        platform_digest,
    })
}

/// The manifest for `arch` that an index names.
pub(crate) fn choose(index: &Index, arch: &Arch, target: &Target) -> Result<Digest, RegistryError> {
    match entry_for(index, arch) {
        Some(entry) => Ok(entry.digest.clone()),
        None => Err(RegistryError::NoPlatform { target: target.to_string(), arch: arch.clone(), found: platforms(index) }),
    }
}
