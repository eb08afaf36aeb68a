//! Applies aliases: the public name of an image → where it really is. Both are kept: one is recorded, the other is spoken to.

use std::fmt;

use build_model::Digest;

use crate::error::RegistryError;
use crate::image_reference::{ImageReference, check_registry};
use crate::{ReferenceError, RegistryAlias};

/// Checked aliases, longest prefix first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aliases(Vec<RegistryAlias>);

/// An image as it is called and as it is reached.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The name people and Koji know.
    pub(crate) name: ImageReference,
    /// The same after aliases.
    pub(crate) location: ImageReference,
}

impl Aliases {
    pub(crate) fn new(aliases: &[RegistryAlias]) -> Result<Self, RegistryError> {
        let mut list = Vec::new();
        for alias in aliases {
            let prefix = alias.prefix.trim_end_matches('/');
            let location = alias.location.trim_end_matches('/');
            for text in [prefix, location] {
                // With a made-up last part, host and path are checked by the grammar of references.
                let host = text.split('/').next().unwrap_or_default();
                check_registry(host)
                    .and_then(|()| match text.split_once('/') {
                        Some((_, path)) => ImageReference::repository(host, path).map(drop).map_err(|e| e.reason),
                        None => Ok(()),
                    })
                    .map_err(|reason| RegistryError::Alias { text: text.to_owned(), reason })?;
            }
            list.push(RegistryAlias { prefix: prefix.to_owned(), location: location.to_owned() });
        }
        list.sort_by_key(|a| std::cmp::Reverse(a.prefix.len()));
        Ok(Self(list))
    }

    /// Where `name` really is.
    pub(crate) fn target(&self, name: &ImageReference) -> Result<Target, ReferenceError> {
        let full = name.name();
        for alias in &self.0 {
            let Some(rest) = full.strip_prefix(&alias.prefix).filter(|r| r.is_empty() || r.starts_with('/')) else { continue };
            let moved = format!("{}{rest}", alias.location);
            let bad = |reason| ReferenceError { text: moved.clone(), reason };
            let (registry, repository) = moved.split_once('/').ok_or_else(|| bad("the alias leaves no repository"))?;
            let place = ImageReference::repository(registry, repository)?;
            let location = ImageReference { tag: name.tag.clone(), digest: name.digest.clone(), ..place };
            return Ok(Target { name: name.clone(), location });
        }
        Ok(Target { name: name.clone(), location: name.clone() })
    }
}

impl Target {
    pub(crate) fn with_digest(&self, digest: &Digest) -> Self {
        Self { name: self.name.with_digest(digest.clone()), location: self.location.with_digest(digest.clone()) }
    }

    pub(crate) fn with_tag(&self, tag: &build_model::ImageTag) -> Self {
        Self { name: self.name.with_tag(tag), location: self.location.with_tag(tag) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if self.name.name() != self.location.name() {
            write!(f, " (at {})", self.location.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(pairs: &[(&str, &str)]) -> Result<Aliases, RegistryError> {
        let list: Vec<_> =
            pairs.iter().map(|(p, l)| RegistryAlias { prefix: (*p).to_owned(), location: (*l).to_owned() }).collect();
        Aliases::new(&list)
    }

    #[test]
    fn the_longest_prefix_at_a_path_boundary_counts() {
        let a = aliases(&[("reg.example", "127.0.0.1:5000"), ("reg.example/f40", "mirror.example/old/f40/")]).expect("aliases");
        for (name, location) in [
            ("reg.example/web:1", "127.0.0.1:5000/web:1"),
            ("reg.example/f40/web:1", "mirror.example/old/f40/web:1"),
            ("reg.example/f400/web", "127.0.0.1:5000/f400/web"),
            ("reg.example.org/web", "reg.example.org/web"),
            ("other.example/web", "other.example/web"),
        ] {
            let target = a.target(&name.parse().expect("a reference")).expect("a target");
            assert_eq!(target.location.to_string(), location);
            assert_eq!(target.name.to_string(), name);
        }
    }

    #[test]
    fn both_names_appear_in_messages() {
        let a = aliases(&[("reg.example", "127.0.0.1:5000")]).expect("aliases");
        let target = a.target(&"reg.example/web:1".parse().expect("a reference")).expect("a target");
        assert_eq!(target.to_string(), "reg.example/web:1 (at 127.0.0.1:5000/web)");
    }

    #[test]
    fn malformed_aliases_are_refused_at_start() {
        for (prefix, location) in
            [("", "h.example"), ("h.example", "http://x"), ("h.example/Web", "x.example"), ("h.example", "")]
        {
            assert!(matches!(aliases(&[(prefix, location)]), Err(RegistryError::Alias { .. })), "{prefix} {location}");
        }
    }
}
