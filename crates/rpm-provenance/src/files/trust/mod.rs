//! What `update-ca-trust` makes below `/etc/pki/ca-trust/extracted`: explained when every certificate in it is one of the
//! anchors and bundles it is made of (update-ca-trust(8)), and those are an RPM's, the commit's or the parent image's.
//!
//! A pattern would not do: whoever may write there decides whom every program in the image believes.

mod certificates;
mod der;
mod subject;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use image_layers::MergedView;
use sha2::{Digest as _, Sha256};

use super::classify::Known;
use super::places::Directory;
use super::tree::Tree;
use super::{Class, glob};

/// Where it writes.
const EXTRACTED: &str = "/etc/pki/ca-trust/extracted";
/// What it reads: bundles of RPMs, anchors of the site.
const SOURCES: [&str; 2] = ["/usr/share/pki/ca-trust-source", "/etc/pki/ca-trust/source"];
/// The names programs know its bundles by: links to what it wrote, or the bundles themselves.
const BUNDLES: [&str; 7] = [
    "/etc/pki/tls/certs/ca-bundle*.crt",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/java/cacerts",
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-bundle*.crt",
    "/usr/lib/jvm/**/security/cacerts",
    "/etc/java/**/security/cacerts",
];
/// Largest file that is read; a bundle of all authorities of the web has some 500 kB.
const MAX_FILE: u64 = 16 << 20;
/// Directories below a source or result that are looked into.
const DEPTH: usize = 4;

/// Why such a file is there.
pub(super) const REASON: &str = "update-ca-trust: certificates of anchors and bundles that are accounted for";
/// What somebody else's would do.
pub(super) const RUNS: &str = "it decides whom programs believe";

/// SHA-256 of a certificate.
type Fingerprint = [u8; 32];

fn fingerprint(certificate: &[u8]) -> Fingerprint {
    Sha256::digest(certificate).into()
}

/// The directories that have certificates in them.
pub(super) fn directories() -> impl Iterator<Item = Directory> {
    let extracted = Directory { path: EXTRACTED, is_whole: true };
    std::iter::once(extracted).chain(BUNDLES.into_iter().map(Directory::of))
}

/// Whether a file is one of those that are made of certificates.
pub(super) fn is_extracted(path: &[u8]) -> bool {
    path.strip_prefix(EXTRACTED.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Whether programs find their authorities at a path.
pub(super) fn is_bundle(path: &[u8]) -> bool {
    BUNDLES.iter().any(|bundle| glob::matches(bundle.as_bytes(), path))
}

/// Directories below a source of what the site does not trust, by their names of two ages.
const BLOCKED: [&[u8]; 2] = [b"/blocklist/", b"/blacklist/"];

/// The certificates that may be in a result.
#[derive(Default)]
pub(super) struct Trust {
    known: HashSet<Fingerprint>,
    /// A source says that they are not to be trusted; this outweighs what others say.
    distrusted: HashSet<Fingerprint>,
}

impl Trust {
    /// Reads the sources of an image in which there are new results; of others, nothing.
    pub fn gather(tree: &mut Tree, known: &Known<'_>) -> Result<Self, (PathBuf, io::Error)> {
        let mut trust = Self::default();
        let mut is_new = false;
        for directory in directories() {
            let place = tree.canonical_dir(directory.path.as_bytes())?;
            is_new |= tree.entry(&place)?.is_some_and(|entry| tree.is_new(entry.layer));
        }
        if !is_new {
            return Ok(trust);
        }
        let whole = MergedView::new(tree.layers().to_vec());
        for path in SOURCES.iter().flat_map(|dir| files(&whole, dir, DEPTH)) {
            let (dir, name) = super::tree::split(path.as_bytes());
            let path = super::tree::join(&tree.canonical_dir(dir)?, name);
            let Some(entry) = tree.entry(&path)?.filter(|entry| entry.meta.is_file() && entry.meta.len() <= MAX_FILE) else {
                continue;
            };
            // What a lower layer has was judged with the parent image.
            let counts = !tree.is_new(entry.layer) || {
                let judged = known.judge(&entry).map_err(|error| (entry.host.clone(), error))?;
                matches!(judged.record.class, Class::Rpm | Class::Commit | Class::Copy)
            };
            if counts {
                let is_blocked = BLOCKED.iter().any(|dir| memchr::memmem::find(&path, dir).is_some());
                trust.add(&std::fs::read(&entry.host).map_err(|error| (entry.host, error))?, is_blocked);
            }
        }
        let below = MergedView::new(tree.layers().iter().skip(tree.new_layers()).cloned().collect());
        for path in files(&below, EXTRACTED, DEPTH) {
            if let Ok(Some(bytes)) = below.read(&path, MAX_FILE) {
                trust.add(&bytes, false);
            }
        }
        Ok(trust)
    }

    fn add(&mut self, bytes: &[u8], is_blocked: bool) {
        for certificate in certificates::in_source(bytes) {
            let place = if certificate.is_distrusted || is_blocked { &mut self.distrusted } else { &mut self.known };
            place.insert(fingerprint(&certificate.der));
        }
    }

    /// Why a result is not explained; `None` when it is.
    pub fn objection(&self, bytes: &[u8]) -> Option<String> {
        let found = match certificates::in_result(bytes) {
            Ok(found) => found,
            Err(reason) => return Some(format!("{RUNS}; {reason}")),
        };
        found.iter().find_map(|certificate| {
            let sum = fingerprint(&certificate.der);
            let (known, distrusted) = (self.known.contains(&sum), self.distrusted.contains(&sum));
            let why = match certificate.is_distrusted {
                false if distrusted => "an anchor that is accounted for says not to trust",
                false if !known => "no anchor that is accounted for has",
                true if !known && !distrusted => "nothing that is accounted for speaks of",
                _ => return None,
            };
            Some(format!("{RUNS}; {why} the certificate of {}", subject::of(&certificate.der)))
        })
    }

    /// Reads a result of a plausible size.
    pub fn objection_to(&self, host: &std::path::Path, size: u64) -> io::Result<Option<String>> {
        if size > MAX_FILE {
            return Ok(Some(format!("{RUNS}; it has {size} bytes, more than any bundle of certificates")));
        }
        Ok(self.objection(&std::fs::read(host)?))
    }
}

/// The files below a directory of the image; links are followed by the view, which never leaves the image.
fn files(view: &MergedView, dir: &str, depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    for name in view.list(dir).unwrap_or_default() {
        let path = format!("{dir}/{name}");
        match view.symlink_metadata(&path) {
            Ok(Some(meta)) if meta.is_file() => found.push(path),
            Ok(Some(meta)) if meta.is_dir() && depth > 0 => found.extend(files(view, &path, depth - 1)),
            _ => {}
        }
    }
    found
}
