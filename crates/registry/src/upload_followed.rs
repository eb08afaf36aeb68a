//! A blob that is still being written, into a repository: one streamed PATCH request (distribution-spec, "Pushing blobs")
//! whose end comes when the writer's does. `oci-client` sends growing blobs in requests of 4 MiB, and a registry that keeps
//! its blobs in files syncs the disk after each of them. Called while layers are packed.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use build_model::Digest;
use futures_util::stream;
use image_layers::FollowedBlob;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, RequestBuilder, Response, StatusCode, Url};
use tokio::sync::mpsc::{Sender, channel};
use tokio_util::bytes::Bytes;

use crate::alias::Target;
use crate::classify::{classify, panicked};
use crate::endpoint::stalled;
use crate::error::{Action, RegistryError};
use crate::image_reference::ImageReference;
use crate::registry::Registry;
use crate::upload::{STALL, standstill};

/// Bytes handed to the connection at once.
const PIECE: usize = 1 << 20;

impl Registry {
    /// Sends a blob that is still being written to the repository `registry/repository`, as it grows. Not tried again: the
    /// blob will be in the store soon, and a push sends what the repository lacks.
    ///
    /// # Errors
    /// No permission, the registry fails, or the writer gives up. The registry forgets what it has of it then.
    pub async fn upload_followed(&self, blob: FollowedBlob, registry: &str, repository: &str) -> Result<Digest, RegistryError> {
        let target = self.target(&ImageReference::repository(registry, repository)?)?;
        let endpoint = self.endpoint(&target)?;
        let token = endpoint.login_to_write(Action::Push, &target).await?;
        let login = match (token, endpoint.auth()) {
            (Some(token), _) => Login::Bearer(token),
            (None, RegistryAuth::Basic(user, password)) => Login::Basic(user.clone(), password.clone()),
            (None, _) => Login::None,
        };
        let session = Session {
            client: self.endpoints().sender()?,
            is_plain: self.endpoints().is_plain(&target.location.registry),
            login,
            target,
        };
        session.send(blob).await
    }
}

enum Login {
    None,
    Bearer(String),
    Basic(String, String),
}

/// One upload.
struct Session {
    client: reqwest::Client,
    is_plain: bool,
    login: Login,
    target: Target,
}

impl Session {
    async fn send(&self, blob: FollowedBlob) -> Result<Digest, RegistryError> {
        let start = self.start()?;
        let opened = self.ask(self.client.post(start.clone()).header(CONTENT_LENGTH, 0), &start, StatusCode::ACCEPTED).await?;
        let place = self.next_place(&start, &opened)?;

        let (sender, receiver) = channel(1);
        let (end, sent) = (blob.clone(), Arc::new(AtomicU64::new(0)));
        let reading = tokio::task::spawn_blocking(move || read_pieces(blob, &sender));
        let pieces = stream::unfold((receiver, Arc::clone(&sent)), |(mut pieces, sent)| async {
            let piece: io::Result<Bytes> = pieces.recv().await?;
            sent.fetch_add(piece.as_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
            Some((piece, (pieces, sent)))
        });
        let patch = self.client.patch(place.clone()).header(CONTENT_TYPE, "application/octet-stream");
        let answer = tokio::select! {
            answer = self.ask(patch.body(Body::wrap_stream(pieces)), &start, StatusCode::ACCEPTED) => answer?,
            () = standstill(&sent) => return Err(stalled(Action::Push, &self.target, STALL)),
        };
        // It has ended with the stream.
        let digest = reading.await.ok().and_then(|()| end.digest().ok()).ok_or_else(|| panicked(Action::Push, &self.target))?;

        let mut place = self.next_place(&place, &answer)?;
        place.query_pairs_mut().append_pair("digest", digest.as_str());
        self.ask(self.client.put(place).header(CONTENT_LENGTH, 0), &start, StatusCode::CREATED).await?;
        Ok(digest)
    }

    fn start(&self) -> Result<Url, RegistryError> {
        let (scheme, location) = (if self.is_plain { "http" } else { "https" }, &self.target.location);
        let url = format!("{scheme}://{}/v2/{}/blobs/uploads/", location.registry, location.repository);
        url.parse().map_err(|_| self.protocol(format!("{url} is no address")))
    }

    /// Sends one request and expects `expected`; the login is for the registry alone, not for where it may point to.
    async fn ask(&self, request: RequestBuilder, registry: &Url, expected: StatusCode) -> Result<Response, RegistryError> {
        let failed = |error: reqwest::Error| classify(OciDistributionError::RequestError(error), Action::Push, &self.target);
        let mut request = request.build().map_err(failed)?;
        if request.url().origin() == registry.origin() {
            let with_login = RequestBuilder::from_parts(self.client.clone(), request);
            let with_login = match &self.login {
                Login::None => with_login,
                Login::Bearer(token) => with_login.bearer_auth(token),
                Login::Basic(user, password) => with_login.basic_auth(user, Some(password)),
            };
            request = with_login.build().map_err(failed)?;
        }
        let answer = self.client.execute(request).await.map_err(failed)?;
        if answer.status() == expected {
            return Ok(answer);
        }
        if answer.status().is_success() || answer.status().is_redirection() {
            return Err(self.protocol(format!("status {} where {} is due", answer.status(), expected)));
        }
        let (code, url) = (answer.status().as_u16(), answer.url().to_string());
        let message = answer.text().await.unwrap_or_default();
        Err(classify(OciDistributionError::ServerError { code, url, message }, Action::Push, &self.target))
    }

    /// Where the registry wants the next request of this upload.
    fn next_place(&self, before: &Url, answer: &Response) -> Result<Url, RegistryError> {
        let place =
            answer.headers().get(LOCATION).and_then(|place| place.to_str().ok()).and_then(|place| before.join(place).ok());
        place.ok_or_else(|| self.protocol("it does not say where the upload goes on".to_owned()))
    }

    fn protocol(&self, message: String) -> RegistryError {
        let registry = self.target.location.registry.clone();
        RegistryError::Protocol { action: Action::Push, target: self.target.to_string(), registry, message }
    }
}

/// Reads a growing blob to its end. Ends early when nobody takes the pieces any more; an error breaks the request off, so
/// that no registry takes half a blob for a whole one.
fn read_pieces(mut blob: FollowedBlob, pieces: &Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let piece = match (&mut blob).take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => return,
            Ok(_) => Ok(piece.into()),
            Err(error) => Err(error),
        };
        let is_last = piece.is_err();
        if pieces.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}
