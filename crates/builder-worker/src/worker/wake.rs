//! Being told that it is worth asking for tasks: datagrams of the hub plugin (`wake` in koji-plugin/hub/containerbuild.conf).
//!
//! Nothing in a datagram is believed, and whoever sends many gets the hub asked once a second: what it saves is the
//! waiting between two questions of an idle builder. Called by worker/poll.rs.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

/// Not more often than this, whoever sends.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// How long after a call the hub is asked quickly: its scheduler may have run a moment before the task was there, and then
/// waits for its own interval.
pub const EXPECT_FOR: Duration = Duration::from_secs(2);

/// The pause between questions meanwhile.
pub const EXPECT_PAUSE: Duration = Duration::from_millis(250);

/// Where calls arrive; nowhere, when the site has configured no address.
pub struct Wake {
    socket: Option<UdpSocket>,
    last: Option<Instant>,
}

impl Wake {
    /// Listens.
    ///
    /// # Errors
    /// The system's: the address is not this machine's, or in use.
    pub async fn listen(address: Option<SocketAddr>) -> std::io::Result<Self> {
        let socket = match address {
            Some(address) => Some(UdpSocket::bind(address).await?),
            None => None,
        };
        Ok(Self { socket, last: None })
    }

    /// Returns with the next call. May be dropped while it waits.
    pub async fn called(&mut self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        let mut ignored = [0; 64];
        loop {
            if let Err(error) = socket.recv(&mut ignored).await {
                tracing::debug!(%error, "a call that did not arrive");
                tokio::time::sleep(AT_MOST_EVERY).await;
                continue;
            }
            // Those that came together are one.
            while socket.try_recv(&mut ignored).is_ok() {}
            if self.last.is_none_or(|last| last.elapsed() >= AT_MOST_EVERY) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_calls_are_one_and_none_waits_for_ever() {
        let mut wake = Wake::listen(Some("127.0.0.1:0".parse().expect("address"))).await.expect("a socket");
        let address = wake.socket.as_ref().and_then(|s| s.local_addr().ok()).expect("an address");
        let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        for _ in 0..20 {
            sender.send_to(b"x", address).await.expect("sent");
        }
        tokio::time::timeout(Duration::from_secs(5), wake.called()).await.expect("called");
        sender.send_to(b"x", address).await.expect("sent");
        let soon = tokio::time::timeout(Duration::from_millis(200), wake.called()).await;
        assert!(soon.is_err(), "not twice in a second");
        let mut deaf = Wake::listen(None).await.expect("nothing to open");
        assert!(tokio::time::timeout(Duration::from_millis(50), deaf.called()).await.is_err());
    }
}
