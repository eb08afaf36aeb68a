//! The accept loops. The listeners live in the sandbox's network namespace, these tasks outside of it: a socket stays
//! where it was made, so this is the sandbox's only way out.
//!
//! hyper without a router: there is one route, requests must be seen before any normalising, and the limits on
//! header size and time are not reachable through axum's `serve`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::request::{Asked, Shared};
use super::response::Body;

/// Connections at a time and listener; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// Bytes of one request's line and headers.
const MAX_HEADER_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// How long a client may take to say what it wants. dnf keeps connections open between files.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// Accepts until `stop` changes, then lets the answers under way finish for a moment.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            _ = stop.changed() => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (shared, stop) = (shared.clone(), stop.clone());
                connections.spawn(async move {
                    connection(stream, shared, stop).await;
                    drop(slot);
                });
            }
            Err(e) => {
                // Out of descriptors, or the client is gone already; a pause keeps this from spinning.
                tracing::warn!(error = %e, "the gate cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(2), all).await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<Response<Body>, Infallible>(answer(shared, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADER_BYTES).max_headers(MAX_HEADERS);
    let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let result = tokio::select! {
        result = served.as_mut() => result,
        _ = stop.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(e) = result {
        tracing::debug!(error = %e, "a connection to the gate ended early");
    }
}

/// In a task of its own, so that a client who hangs up does not break off a download that others wait for.
async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    let (parts, _body) = request.into_parts();
    let asked = Asked { method: parts.method, uri: parts.uri, headers: parts.headers };
    let answered = tokio::spawn(async move { shared.answer(&asked).await }).await;
    answered.unwrap_or_else(|e| {
        tracing::error!(error = %e, "a request to the gate failed");
        let mut response = Response::new(Body::default());
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}
