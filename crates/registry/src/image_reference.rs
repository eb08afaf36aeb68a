//! Image references: `registry/repository[:tag][@digest]` (grammar of distribution's reference package).
//!
//! Stricter than docker: a name without a registry host is an error. Guessing `docker.io` would let a typing error
//! pull somebody else's image.

use std::fmt;
use std::str::FromStr;

use build_model::{Blame, Diagnose, Digest, ImageTag};

/// Where an image is: always with a registry, at best with a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    /// Host, with the port if there is one: `registry.example.com`, `127.0.0.1:5000`, `[::1]:5000`.
    pub registry: String,
    /// Path of the repository: `f40/web`.
    pub repository: String,
    /// Tag. With neither tag nor digest, `latest` is meant.
    pub tag: Option<String>,
    /// Digest of the manifest or index. It decides; a tag beside it is for people.
    pub digest: Option<Digest>,
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason}")]
pub struct ReferenceError {
    /// The text given.
    pub text: String,
    /// The rule it breaks.
    pub reason: &'static str,
}

impl Diagnose for ReferenceError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "image-reference"
    }
    fn hint(&self) -> Option<String> {
        Some("write it in full, as registry.example.com/namespace/name:tag".to_owned())
    }
}

impl ImageReference {
    /// The repository itself, without tag or digest.
    ///
    /// # Errors
    /// When host or path break the grammar.
    pub fn repository(registry: &str, repository: &str) -> Result<Self, ReferenceError> {
        let bad = |reason| ReferenceError { text: format!("{registry}/{repository}"), reason };
        check_registry(registry).map_err(bad)?;
        check_repository(repository).map_err(bad)?;
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag: None, digest: None })
    }

    /// The same image pinned to a digest; the tag stays for people to read.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// Another tag of the same repository.
    pub fn with_tag(&self, tag: &ImageTag) -> Self {
        Self { tag: Some(tag.as_str().to_owned()), digest: None, ..self.clone() }
    }

    /// `registry/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `registry/repository@digest`, the form to record; `None` when there is no digest.
    pub fn by_digest(&self) -> Option<String> {
        self.digest.as_ref().map(|d| format!("{}@{d}", self.name()))
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let bad = |reason| ReferenceError { text: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse::<Digest>().map_err(|_| bad("the digest is not `sha256:` and 64 hex digits"))?))
            }
            None => (text, None),
        };
        let (registry, path) = rest.split_once('/').ok_or_else(|| bad("it names no registry; short names are not looked up"))?;
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        check_registry(registry).map_err(bad)?;
        check_repository(repository).map_err(bad)?;
        if let Some(tag) = tag {
            ImageTag::new(tag).map_err(|e| bad(e.reason))?;
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> String {
        reference.to_string()
    }
}

/// A host name, an IPv4 address or an IPv6 address in brackets, each with an optional port.
/// A single word that is not `localhost` is the first part of a path, as every container tool reads it.
pub(crate) fn check_registry(registry: &str) -> Result<(), &'static str> {
    if !registry.contains(['.', ':']) && registry != "localhost" {
        return Err("it names no registry; short names are not looked up");
    }
    let (host, port) = match registry.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("the registry's address has no closing bracket")?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "the registry's address in brackets is not IPv6")?;
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err("only a port may follow the registry's address"),
            };
            ("", port)
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    if let Some(port) = port
        && (!port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|p| p > 0))
    {
        return Err("the registry's port is not a number from 1 to 65535");
    }
    if registry.starts_with('[') {
        return Ok(());
    }
    let label = |part: &str| {
        let bytes = part.as_bytes();
        bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
    };
    if host.len() <= 253 && host.split('.').all(label) { Ok(()) } else { Err("the registry is not a host name") }
}

/// Path components of lower-case letters and digits, joined inside by `.`, `_`, `__` or dashes.
fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.is_empty() {
        return Err("it names no repository");
    }
    if repository.len() > 255 {
        return Err("the repository is longer than 255 characters");
    }
    if repository.split('/').all(is_component) {
        Ok(())
    } else {
        Err("a repository is lower-case words joined by slashes; inside a word single dots, one or two underscores, or dashes")
    }
}

fn is_component(part: &str) -> bool {
    let word = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(word) || !bytes.last().is_some_and(word) {
        return false;
    }
    // Between two words there is one separator: ".", "_", "__" or any number of dashes.
    let mut separator = Vec::new();
    for byte in bytes {
        if word(byte) {
            if !separator.is_empty() {
                let ok = matches!(separator.as_slice(), b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-');
                if !ok {
                    return false;
                }
                separator.clear();
            }
        } else if matches!(byte, b'.' | b'_' | b'-') {
            separator.push(*byte);
        } else {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex() -> String {
        format!("sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn the_forms_people_write_are_read_and_written_back() {
        let all = [
            "registry.example.com/web".to_owned(),
            "registry.example.com/f40/web:latest".to_owned(),
            "127.0.0.1:5000/f40/web:1.2-3".to_owned(),
            "localhost/web".to_owned(),
            "localhost:5000/a/b/c__d/e.f/g---h".to_owned(),
            "[::1]:5000/web:1".to_owned(),
            "[fe80::1]/web".to_owned(),
            format!("registry.example.com/f40/web@{}", hex()),
            format!("registry.example.com:443/f40/web:1.2-3@{}", hex()),
        ];
        for text in all {
            let reference: ImageReference = text.parse().expect(&text);
            assert_eq!(reference.to_string(), text);
            assert_eq!(serde_json::to_value(&reference).expect("json"), serde_json::json!(text));
        }
    }

    #[test]
    fn parts_land_in_their_fields() {
        let r: ImageReference = format!("127.0.0.1:5000/f40/web:1@{}", hex()).parse().expect("a reference");
        assert_eq!((r.registry.as_str(), r.repository.as_str(), r.tag.as_deref()), ("127.0.0.1:5000", "f40/web", Some("1")));
        assert_eq!(r.by_digest(), Some(format!("127.0.0.1:5000/f40/web@{}", hex())));
    }

    #[test]
    fn short_names_are_never_guessed() {
        for text in ["fedora", "fedora:40", "library/fedora", "f40/web:latest", ""] {
            let err = text.parse::<ImageReference>().expect_err(text);
            assert!(err.to_string().contains("short names"), "{err}");
            assert_eq!(err.blame(), Blame::Packager);
        }
    }

    #[test]
    fn malformed_parts_are_named() {
        let long = format!("h.example/{}", "a".repeat(256));
        for (text, reason) in [
            ("h.example/", "no repository"),
            ("h.example//web", "lower-case"),
            ("h.example/Web", "lower-case"),
            ("h.example/web/", "lower-case"),
            ("h.example/a..b", "lower-case"),
            ("h.example/a___b", "lower-case"),
            ("h.example/a.-b", "lower-case"),
            ("h.example/../etc", "lower-case"),
            ("h.example/web:", "empty"),
            ("h.example/web:-x", "dash"),
            ("h.example/web:a b", "only letters"),
            ("h.example/web:a:b", "only letters"),
            ("h.example/web@sha256:12", "digest"),
            ("h.example/web@sha512:12", "digest"),
            ("h.example:0/web", "port"),
            ("h.example:70000/web", "port"),
            ("h.example:+80/web", "port"),
            ("h.example:/web", "port"),
            ("-h.example/web", "host name"),
            ("h..example/web", "host name"),
            ("user@h.example/web", "digest"),
            ("https://h.example/web", "port"),
            ("h.example?x/web", "host name"),
            ("[::1/web", "bracket"),
            ("[::g]/web", "IPv6"),
            ("[::1]5000/web", "port"),
            (&long, "255"),
        ] {
            let err = text.parse::<ImageReference>().expect_err(text);
            assert!(err.reason.contains(reason), "{text}: {err}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_error_or_reads_back_the_same(text in "\\PC{0,60}") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn near_references_are_an_error_or_read_back_the_same(text in "[a-zA-Z0-9.:\\[\\]_@/-]{0,40}") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.to_string(), text);
                prop_assert!(!reference.repository.contains(".."), "no way out of the repository");
            }
        }

        #[test]
        fn well_formed_references_are_accepted(
            host in "[a-z0-9]{1,8}\\.[a-z]{2,5}(:[1-9][0-9]{0,3})?",
            path in "[a-z0-9]{1,6}([._-][a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}){0,3}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9._-]{0,20}"),
        ) {
            let text = format!("{host}/{path}{}", tag.as_ref().map(|t| format!(":{t}")).unwrap_or_default());
            let reference = text.parse::<ImageReference>();
            prop_assert!(reference.is_ok(), "{text}");
            prop_assert_eq!(reference.expect("checked").tag, tag);
        }
    }
}
