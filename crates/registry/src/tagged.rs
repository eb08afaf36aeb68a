//! What a repository holds already: its tags, and the labels of what one of them names. Asked by a build before it moves
//! tags there (the worker's `check_repository` step).

use std::collections::BTreeMap;

use build_model::Digest;
use image_layers::Store;

use crate::classify::classify;
use crate::document::Document;
use crate::endpoint::wire;
use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::registry::Registry;

impl Registry {
    /// The first tags of a repository, at most `limit`, in the registry's order; none when there is no such repository.
    ///
    /// # Errors
    /// The registry cannot be asked.
    pub async fn tags(&self, registry: &str, repository: &str, limit: usize) -> Result<Vec<String>, RegistryError> {
        let target = self.target(&ImageReference::repository(registry, repository)?)?;
        let endpoint = self.endpoint(&target)?;
        let action = Action::Resolve;
        let asked = self.retry.run(action, &target, || async {
            endpoint.login_to_read(action, &target).await?;
            let answer = endpoint.reader()?.list_tags(&wire(&target.location), endpoint.auth(), Some(limit), None).await;
            answer.map_err(|e| classify(e, action, &target))
        });
        match asked.await {
            Ok(answer) => Ok(answer.tags.into_iter().take(limit).collect()),
            Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The labels of what `reference` names, of an index those of its first image; `None` when it names nothing.
    ///
    /// # Errors
    /// The registry or the store fails, or what is named is no image.
    pub async fn labels(
        &self,
        reference: &ImageReference,
        store: &Store,
    ) -> Result<Option<BTreeMap<String, String>>, RegistryError> {
        let target = self.target(reference)?;
        let endpoint = self.endpoint(&target)?;
        let mut fetched = match self.fetch(&endpoint, &target, None).await {
            Ok(fetched) => fetched,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(first) = first_image(&fetched.document) {
            fetched = self.fetch(&endpoint, &target.with_digest(&first), Some(store)).await?;
        }
        let image = self.described(&endpoint, &target, fetched, store).await?;
        Ok(Some(image.config.config.labels))
    }
}

/// The first image of an index that is one: attestations are listed as unknown/unknown.
fn first_image(document: &Document) -> Option<Digest> {
    let Document::Index(index, _) = document else { return None };
    let is_image = |os: Option<&str>| os.is_none_or(|os| os != "unknown");
    let first = index.manifests.iter().find(|entry| is_image(entry.platform.as_ref().map(|p| p.os.as_str())));
    first.map(|entry| entry.digest.clone())
}
