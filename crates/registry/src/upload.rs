//! One blob from the store into a repository: asked for first, mounted from another repository of the same registry where
//! that is known to work, else sent in one streaming PUT. Chunked uploads are slower and need as many requests as chunks.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use image_layers::{Descriptor, Store, StoreError};
use oci_client::errors::OciDistributionError;
use tokio_util::io::ReaderStream;

use crate::alias::Target;
use crate::classify::classify;
use crate::endpoint::{Endpoint, stalled, wire};
use crate::error::{Action, RegistryError};
use crate::registry::Registry;

/// Pieces a file is read in.
const PIECE: usize = 1 << 20;
/// Longest time without a byte taken. After the last byte a registry may move the blob to slow storage before it answers.
pub(crate) const STALL: Duration = Duration::from_secs(300);
/// A mount is a small matter for the registry; uploading instead is always possible.
const MOUNT_TIMEOUT: Duration = Duration::from_secs(60);

/// How a blob got into the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uploaded {
    Present,
    Mounted,
    Sent,
}

impl Registry {
    /// Makes sure that the repository of `target` has `blob`.
    pub(crate) async fn upload(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        store: &Store,
        blob: &Descriptor,
    ) -> Result<Uploaded, RegistryError> {
        let action = Action::Push;
        self.retry
            .run(action, target, || async {
                let (wire, digest) = (wire(&target.location), blob.digest.as_str());
                if endpoint.reader()?.blob_exists(&wire, digest).await.map_err(|e| classify(e, action, target))? {
                    return Ok(Uploaded::Present);
                }
                if self.mount(endpoint, target, blob).await {
                    return Ok(Uploaded::Mounted);
                }
                send(endpoint, target, store, blob).await?;
                Ok(Uploaded::Sent)
            })
            .await
    }

    /// Tries to mount; any answer but "created" means that the blob has to be sent. Registries refuse mounts when the token
    /// does not cover the source, and may answer with an upload session instead, which then just expires.
    async fn mount(&self, endpoint: &Endpoint, target: &Target, blob: &Descriptor) -> bool {
        let Some(origin) = self.origin(target, &blob.digest) else { return false };
        let (into, from) = (wire(&target.location), wire(&origin));
        let Ok(writer) = endpoint.writer() else { return false };
        let mount = writer.mount_blob(&into, &from, blob.digest.as_str());
        match tokio::time::timeout(MOUNT_TIMEOUT, mount).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(%target, from = %origin, blob = %blob.digest, %error, "blob not mounted, sending it");
                false
            }
            Err(_) => false,
        }
    }
}

async fn send(endpoint: &Endpoint, target: &Target, store: &Store, blob: &Descriptor) -> Result<(), RegistryError> {
    let stored = |source| RegistryError::Store { target: target.to_string(), source };
    let file = store.open_blob(&blob.digest).map_err(stored)?;
    let unreadable = |source| stored(StoreError::Io { action: "read", path: store.blob_path(&blob.digest), source });
    let size = file.metadata().map_err(unreadable)?.len();
    if size != blob.size {
        let text = format!("the blob has {size} bytes instead of {}", blob.size);
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    let sent = Arc::new(AtomicU64::new(0));
    // A read error reaches us only as a broken request; it is kept here to be told from a broken connection.
    let read_error: Arc<Mutex<Option<io::Error>>> = Arc::default();
    let pieces = ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE).map({
        let (sent, read_error) = (Arc::clone(&sent), Arc::clone(&read_error));
        move |piece| match piece {
            Ok(bytes) => {
                sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes)
            }
            Err(error) => {
                *read_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(OciDistributionError::GenericError(Some("the blob cannot be read".to_owned())))
            }
        }
    });
    let wire = wire(&target.location);
    let writer = endpoint.writer()?;
    let push = writer.push_blob_stream(&wire, pieces, blob.digest.as_str(), Some(size));
    let outcome = tokio::select! {
        outcome = push => outcome,
        () = standstill(&sent) => return Err(stalled(Action::Push, target, STALL)),
    };
    if let Some(source) = read_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(unreadable(source));
    }
    outcome.map(drop).map_err(|e| classify(e, Action::Push, target))
}

/// Returns once `sent` has not moved for [`STALL`].
pub(crate) async fn standstill(sent: &AtomicU64) {
    let mut before = sent.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(STALL).await;
        let now = sent.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}
