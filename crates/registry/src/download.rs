//! One blob from a registry into the store: streamed in bounded memory, hashed while it is written, resumed after a lost
//! connection, and published only when size and digest are right.

use std::io::{BufWriter, Write as _};

use futures_util::StreamExt as _;
use image_layers::{Descriptor, ExpectedBlob, Store, StoreError};
use oci_client::client::{BlobResponse, LayerDescriptor};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::bytes::{Buf as _, Bytes};

use crate::alias::Target;
use crate::classify::{classify, classify_stream, panicked};
use crate::endpoint::{Endpoint, wire};
use crate::error::{Action, RegistryError};
use crate::registry::Registry;
use crate::retry::guarded;

/// Pieces of the network's size (some ten KiB) in flight between the connection and the disk.
const QUEUE: usize = 32;
/// Bytes written at once.
const WRITE: usize = 1 << 20;

/// What goes to the writing thread. A queue that closes without `End` means: forget it.
enum Part {
    Bytes(Bytes),
    End,
}

/// Why no more parts come.
enum Stop {
    /// The writing thread is gone; it knows why.
    Writer,
    Failed(RegistryError),
}

impl Registry {
    /// Brings `blob` into `store`; `expected` tells those who follow it.
    pub(crate) async fn download(
        &self,
        endpoint: &Endpoint,
        target: &Target,
        store: &Store,
        blob: &Descriptor,
        expected: ExpectedBlob,
    ) -> Result<(), RegistryError> {
        let (sender, receiver) = channel(QUEUE);
        let thread = tokio::task::spawn_blocking({
            let store = store.clone();
            move || write_blob(&store, receiver, &expected)
        });
        let received = self.receive(endpoint, target, blob, &sender).await;
        if received.is_ok() {
            // When this fails the thread is gone, and tells why below.
            let _ = sender.send(Part::End).await;
        }
        drop(sender);
        let written = thread.await.map_err(|_| panicked(Action::Pull, target))?;
        match (received, written) {
            (Err(Stop::Failed(error)), _) => Err(error),
            (_, Err(StoreError::DigestMismatch { expected, found })) => Err(RegistryError::DigestMismatch {
                target: format!("a blob of {target}"),
                registry: target.location.registry.clone(),
                expected: expected.to_string(),
                found: found.to_string(),
            }),
            (_, Err(source)) => Err(RegistryError::Store { target: target.to_string(), source }),
            (_, Ok(())) => Ok(()),
        }
    }

    /// All bytes of the blob, over as many connections as it takes.
    async fn receive(&self, endpoint: &Endpoint, target: &Target, blob: &Descriptor, sender: &Sender<Part>) -> Result<(), Stop> {
        let mut received = 0;
        let mut attempt = 1;
        while received < blob.size {
            let part = async { Ok(receive_once(endpoint, target, blob, sender, &mut received).await) };
            match guarded(Action::Pull, target, part).await.unwrap_or_else(|error| Err(Stop::Failed(error))) {
                Ok(()) if received == blob.size => break,
                Ok(()) => return Err(Stop::Failed(wrong_size(target, blob, received))),
                Err(Stop::Failed(error)) if self.retry.again(attempt, &error).await => attempt += 1,
                Err(stop) => return Err(stop),
            }
        }
        Ok(())
    }
}

/// The rest of the blob after the first `received` bytes, as far as this connection carries.
async fn receive_once(
    endpoint: &Endpoint,
    target: &Target,
    blob: &Descriptor,
    sender: &Sender<Part>,
    received: &mut u64,
) -> Result<(), Stop> {
    let failed = |error| Stop::Failed(classify_blob(classify(error, Action::Pull, target), target, blob));
    let wire = wire(&target.location);
    let digest = blob.digest.to_string();
    // No `urls`: fetching layers from places a manifest names would let an image send the builder anywhere.
    let layer = LayerDescriptor { digest: &digest, urls: &None };
    let reader = endpoint.reader().map_err(Stop::Failed)?;
    let (mut stream, mut skip) = if *received == 0 {
        (reader.pull_blob_stream(&wire, &layer).await.map_err(failed)?, 0)
    } else {
        match reader.pull_blob_stream_partial(&wire, &layer, *received, None).await.map_err(failed)? {
            BlobResponse::Partial(stream) => (stream, 0),
            // A registry without ranges starts again; what is here already is passed over.
            BlobResponse::Full(stream) => (stream, *received),
        }
    };
    while let Some(bytes) = stream.next().await {
        let mut bytes = bytes.map_err(|e| Stop::Failed(classify_stream(e, Action::Pull, target)))?;
        let known = usize::try_from(skip).map_or(bytes.len(), |s| s.min(bytes.len()));
        bytes.advance(known);
        skip -= known as u64;
        if bytes.is_empty() {
            continue;
        }
        *received += bytes.len() as u64;
        if *received > blob.size {
            return Err(Stop::Failed(wrong_size(target, blob, *received)));
        }
        sender.send(Part::Bytes(bytes)).await.map_err(|_| Stop::Writer)?;
    }
    Ok(())
}

fn write_blob(store: &Store, mut parts: Receiver<Part>, expected: &ExpectedBlob) -> Result<(), StoreError> {
    // Large pieces: the file system handles few large ones in half the time of many small ones.
    let mut writer = BufWriter::with_capacity(WRITE, expected.writer()?);
    let failed = |source| StoreError::Io { action: "write a blob in", path: store.root().to_owned(), source };
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::Bytes(bytes) => writer.write_all(&bytes).map_err(failed)?,
            Part::End => {
                return writer.into_inner().map_err(|e| failed(e.into_error()))?.finish(Some(expected.digest())).map(drop);
            }
        }
    }
    Ok(())
}

/// A manifest that is there with a blob that is not is the registry's doing, not the packager's.
fn classify_blob(error: RegistryError, target: &Target, blob: &Descriptor) -> RegistryError {
    match error {
        RegistryError::NotFound { .. } => RegistryError::LostBlob {
            target: target.to_string(),
            registry: target.location.registry.clone(),
            digest: blob.digest.clone(),
        },
        other => other,
    }
}

fn wrong_size(target: &Target, blob: &Descriptor, found: u64) -> RegistryError {
    RegistryError::BlobSize {
        target: target.to_string(),
        registry: target.location.registry.clone(),
        digest: blob.digest.clone(),
        expected: blob.size,
        found,
    }
}
