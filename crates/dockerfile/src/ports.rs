//! One port of EXPOSE, after expansion: `port[-port][/protocol]`, to the keys of the image config's ExposedPorts.

/// Why a text is no port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a port for EXPOSE: {reason}")]
pub struct PortError {
    /// The text given.
    pub text: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// `8080`, `53/udp`, `8000-8003/tcp` → `8000/tcp`, … in order; the protocol is lower-cased and defaults to tcp.
///
/// A host part (`127.0.0.1:80:8080`), which the reference tolerates and drops, is dropped too.
///
/// # Errors
/// A number over 65535, a range that runs backwards, a protocol other than tcp, udp, sctp.
pub fn parse_port(text: &str) -> Result<Vec<String>, PortError> {
    let bad = |reason| PortError { text: text.to_owned(), reason };
    let container = text.rsplit(':').next().unwrap_or(text);
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp",
        "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(bad("the protocol is tcp, udp or sctp")),
    };
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let value = if plain { digits.parse::<u16>().ok() } else { None };
        value.ok_or_else(|| bad("a port is a number from 0 to 65535"))
    };
    let (first, last) = match ports.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(ports)?, number(ports)?),
    };
    if last < first {
        return Err(bad("the range runs backwards"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges_get_their_protocol() {
        assert_eq!(parse_port("80").expect("port"), ["80/tcp"]);
        assert_eq!(parse_port("53/UDP").expect("port"), ["53/udp"]);
        assert_eq!(parse_port("8000-8002/sctp").expect("range"), ["8000/sctp", "8001/sctp", "8002/sctp"]);
        assert_eq!(parse_port("127.0.0.1:8080:80").expect("host part"), ["80/tcp"]);
        assert_eq!(parse_port("65535-65535").expect("highest"), ["65535/tcp"]);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "/tcp", "http", "65536", "2-1", "80/icmp", "-1", "1-", "+80", "80/tcp/udp"] {
            assert!(parse_port(text).is_err(), "{text}");
        }
    }
}
