//! One TLS configuration for the HTTP clients that trust the machine's certificate authorities and nobody else. OpenSSL
//! takes some 20 ms to read the authorities, and each client would have them read twice (native-tls 0.2): of a small
//! build that was a tenth, and of the proof of 500 RPMs a third. Used by hub sessions, the gate and the worker's clients.

use std::sync::OnceLock;

/// The clients of this process share it; `None` where it cannot be made.
static SHARED: OnceLock<Option<native_tls::TlsConnector>> = OnceLock::new();

/// Has a client trust the machine's authorities, without reading them again. Where that cannot be, reqwest tries for
/// itself and says why.
pub fn with_system_authorities(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    match SHARED.get_or_init(|| native_tls::TlsConnector::new().ok()) {
        Some(connector) => builder.tls_backend_preconfigured(connector.clone()),
        None => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_reqwest_takes() {
        let client = with_system_authorities(reqwest::Client::builder()).build();
        client.expect("another version of native-tls than reqwest's is refused here");
        assert!(SHARED.get().is_some_and(Option::is_some));
    }
}
