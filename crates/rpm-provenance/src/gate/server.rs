//! The accept loops. The listeners live in the sandbox's network namespace, these tasks outside of it: a socket stays
//! where it was made, so this is the sandbox's only way out.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::http1::{Connection, Received};
use super::request::{Asked, Shared};

/// Connections at a time and listener; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;

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
                    if let Err(error) = connection(stream, &shared, stop).await {
                        tracing::debug!(%error, "a connection to the gate ended early");
                    }
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

async fn connection(stream: TcpStream, shared: &Arc<Shared>, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let mut connection = Connection::new(stream);
    loop {
        let received = tokio::select! {
            _ = stop.changed() => return Ok(()),
            received = connection.receive() => received?,
        };
        let (answer, keep_alive) = match received {
            Received::Closed => return Ok(()),
            Received::Malformed(status, reason) => (shared.malformed(status, reason), false),
            Received::Request(head) => {
                let asked = Asked { method: head.method, uri: head.uri, headers: head.headers };
                (shared.answer(&asked).await, head.keep_alive)
            }
        };
        connection.send(answer, keep_alive).await?;
        if !keep_alive {
            connection.close().await;
            return Ok(());
        }
    }
}
