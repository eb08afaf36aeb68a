//! The parts of an image reference as Docker's `reference` grammar has them (distribution-spec names, Docker's hosts).

/// A well-formed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageName<'a> {
    /// The registry's host; `None` for a short name.
    pub host: Option<&'a str>,
    pub tag: Option<&'a str>,
    pub digest: Option<&'a str>,
}

impl<'a> ImageName<'a> {
    /// `None` when the text is no reference.
    pub fn parse(text: &'a str) -> Option<ImageName<'a>> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest).filter(|d| is_digest(d))?),
            None => (text, ""),
        };
        let digest = Some(digest).filter(|d| !d.is_empty());
        let last = rest.rfind('/').map_or(0, |i| i + 1);
        let (path, tag) = match rest.get(last..)?.find(':') {
            Some(colon) => (rest.get(..last + colon)?, Some(rest.get(last + colon + 1..)?)),
            None => (rest, None),
        };
        if !tag.is_none_or(is_tag) {
            return None;
        }
        let (host, path) = match path.split_once('/') {
            // As every tool reads it: the first part is a host when it could not be anything else.
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" || first != first.to_ascii_lowercase() => {
                (Some(first), rest)
            }
            _ => (None, path),
        };
        let well_formed = host.is_none_or(is_host) && path.split('/').all(is_component);
        well_formed.then_some(ImageName { host, tag, digest })
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_ok = port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let name_ok = match name.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok()),
        None => name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
    };
    port_ok && name_ok
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = part.as_bytes();
    alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
        && !part.contains("..")
        && !part.contains("___")
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.starts_with(|c: char| c.is_ascii_alphabetic()) && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let hex = "a".repeat(64);
        let full = format!("registry.example.com:5000/f40/web:1.0@sha256:{hex}");
        let name = ImageName::parse(&full).expect("a name");
        assert_eq!((name.host, name.tag), (Some("registry.example.com:5000"), Some("1.0")));
        assert!(name.digest.is_some());
        for short in ["fedora", "fedora:40", "library/fedora", "a/b/c:1"] {
            assert_eq!(ImageName::parse(short).expect(short).host, None);
        }
        assert_eq!(ImageName::parse("localhost/web").expect("a name").host, Some("localhost"));
        assert_eq!(ImageName::parse("[::1]:5000/web").expect("a name").host, Some("[::1]:5000"));
    }

    #[test]
    fn other_texts_are_no_names() {
        for text in ["", "fedora:", ":40", "Fedora", "a//b", "a/", "h.example.com/", "a@sha256:1", "a b", "h.x/Web:1", "a:b:c"] {
            assert_eq!(ImageName::parse(text), None, "{text}");
        }
    }
}
