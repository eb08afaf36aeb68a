//! `containerbuild build --push`: layers go to the registry while they are packed, and while later steps run. The push at
//! the end finds them there. What fails here is tried again there, and told there; without a manifest that names them,
//! blobs sent for a build that failed are removed by the registry's garbage collection.

use std::sync::{Mutex, PoisonError};

use build_model::BoxedDiagnose;
use image_build::LayerFollower;
use image_layers::FollowedBlob;
use registry::{ImageReference, Registry};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The uploads of one build.
pub struct UploadAhead {
    registry: Registry,
    targets: Vec<ImageReference>,
    runtime: Handle,
    uploads: Mutex<Vec<JoinHandle<()>>>,
}

impl UploadAhead {
    /// Uploads to the repositories of `references`; `None` when there are none. Called on the runtime.
    ///
    /// # Errors
    /// A malformed reference.
    pub fn to(references: &[String], registry: &Registry) -> Result<Option<Self>, BoxedDiagnose> {
        let targets = references.iter().map(|text| text.parse()).collect::<Result<Vec<ImageReference>, _>>()?;
        if targets.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { registry: registry.clone(), targets, runtime: Handle::current(), uploads: Mutex::default() }))
    }

    /// Waits for what is still on its way.
    pub async fn finish(self) {
        let uploads = self.uploads.into_inner().unwrap_or_else(PoisonError::into_inner);
        for upload in uploads {
            // A panic in there only means that the layer is sent again.
            let _ = upload.await;
        }
    }
}

impl LayerFollower for UploadAhead {
    fn layer_begun(&self, blob: FollowedBlob) {
        for target in &self.targets {
            let (registry, target, blob) = (self.registry.clone(), target.clone(), blob.clone());
            let upload = self.runtime.spawn(async move {
                match registry.upload_followed(blob, &target.registry, &target.repository).await {
                    Ok(digest) => tracing::debug!(%digest, "sent a layer while it was packed"),
                    Err(error) => tracing::debug!(%error, "a layer was not sent while it was packed"),
                }
            });
            self.uploads.lock().unwrap_or_else(PoisonError::into_inner).push(upload);
        }
    }
}
