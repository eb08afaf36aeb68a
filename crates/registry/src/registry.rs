//! The entry point: configuration in, pulls and pushes out. Cheap to clone; one per worker process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use build_model::Digest;

use crate::alias::{Aliases, Target};
use crate::endpoint::{Endpoint, Endpoints};
use crate::error::RegistryError;
use crate::image_reference::ImageReference;
use crate::{RegistryConfig, RetryPolicy};

/// Access to registries as a site configured it.
#[derive(Debug, Clone)]
pub struct Registry {
    aliases: Aliases,
    endpoints: Arc<Endpoints>,
    pub(crate) retry: RetryPolicy,
    origins: Arc<Mutex<Origins>>,
}

/// More would be no help: a build pushes a few dozen layers.
const ORIGINS_KEPT: usize = 20_000;

/// Where blobs were seen: digest → real registry and repository.
type Origins = HashMap<Digest, ImageReference>;

impl Registry {
    /// Reads the configured files and checks the configuration; speaks to no registry.
    ///
    /// # Errors
    /// A malformed alias, an unreadable or malformed auth or CA file.
    pub fn new(config: RegistryConfig) -> Result<Self, RegistryError> {
        Ok(Self {
            aliases: Aliases::new(&config.aliases)?,
            endpoints: Arc::new(Endpoints::new(&config)?),
            retry: RetryPolicy::default(),
            origins: Arc::default(),
        })
    }

    /// The same with other retries.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    pub(crate) fn target(&self, reference: &ImageReference) -> Result<Target, RegistryError> {
        Ok(self.aliases.target(reference)?)
    }

    pub(crate) fn endpoint(&self, target: &Target) -> Result<Endpoint, RegistryError> {
        self.endpoints.endpoint(target)
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Remembers that a registry has `blobs`, so that a push to the same registry can mount instead of upload them.
    pub(crate) fn remember_origin<'a>(&self, target: &Target, blobs: impl IntoIterator<Item = &'a Digest>) {
        let mut origins = self.origins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if origins.len() > ORIGINS_KEPT {
            origins.clear();
        }
        for digest in blobs {
            origins.insert(digest.clone(), target.location.clone());
        }
    }

    /// Another repository of the target's registry that had `blob`.
    pub(crate) fn origin(&self, target: &Target, blob: &Digest) -> Option<ImageReference> {
        let origins = self.origins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let origin = origins.get(blob)?;
        let elsewhere = origin.registry == target.location.registry && origin.repository != target.location.repository;
        elsewhere.then(|| origin.clone())
    }
}
