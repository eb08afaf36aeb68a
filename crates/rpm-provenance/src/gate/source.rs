//! A content source, pinned: its repomd.xml as it was at the start of the build, and what its primary.xml offers.

use std::collections::HashMap;
use std::path::PathBuf;

use futures_util::StreamExt as _;

use super::GateError;
use super::cache::FileCache;
use super::decompress;
use super::primary::{self, Offer};
use super::repomd::{self, MetadataFile};
use super::upstream::{FetchError, Upstream};

/// A repository offered to the build: one architecture's directory, with `repodata` below it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContentSource {
    /// Repository id inside the sandbox: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// `http://`, `https://` or `file://` URL of the directory that holds `repodata`.
    pub base_url: String,
    /// SHA-256 of repomd.xml, hex, to insist on; without it whatever is there at the start is pinned.
    #[serde(default)]
    pub repomd_sha256: Option<String>,
    /// ASCII-armoured public keys; with any, the sandbox's dnf checks signatures (`gpgcheck=1`).
    #[serde(default)]
    pub gpgkeys: Vec<PathBuf>,
}

/// What a content source was pinned to, for the build's records.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    /// The content source.
    pub name: String,
    /// Its URL.
    pub base_url: String,
    /// SHA-256 of the repomd.xml served, hex.
    pub repomd_sha256: String,
    /// RPMs it offers.
    pub packages: usize,
    /// RPMs its metadata lists but that are never handed out (location outside, weak checksum, another place).
    pub unusable: usize,
}

/// Largest repomd.xml.
const MAX_REPOMD: u64 = 4 << 20;
/// Largest metadata file of unknown size.
pub(super) const MAX_METADATA: u64 = 1 << 30;

pub(super) struct PinnedSource {
    pub pin: Pin,
    pub upstream: Upstream,
    pub repomd: bytes::Bytes,
    pub files: HashMap<String, MetadataFile>,
    pub offer: Offer,
    /// Contents of the public keys.
    pub keys: Vec<String>,
    /// Newest metadata file, seconds since 1970: `Last-Modified` of repomd.xml.
    pub timestamp: Option<u64>,
}

/// Fetches repomd.xml and primary.xml, checks them and remembers what they say.
pub(super) async fn pin(source: &ContentSource, http: &reqwest::Client, cache: &FileCache) -> Result<PinnedSource, GateError> {
    let bad = |reason: String| GateError::BadSource { name: source.name.clone(), reason };
    let metadata = |file: &str, reason: String| GateError::Metadata { name: source.name.clone(), file: file.to_owned(), reason };
    let name_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if source.name.is_empty() || source.name.starts_with('.') || source.name.len() > 128 || !source.name.bytes().all(name_ok) {
        return Err(bad("a name has letters, digits, `.`, `_` and `-` only".to_owned()));
    }
    let keys = read_keys(source)?;
    let upstream = Upstream::new(&source.base_url, http.clone()).map_err(bad)?;
    let fetch_failed = |e| GateError::Fetch { name: source.name.clone(), source: e };
    let repomd = fetch_repomd(&upstream).await.map_err(fetch_failed)?;
    let found = sha256(&repomd);
    if let Some(wanted) = source.repomd_sha256.as_deref().filter(|w| !w.eq_ignore_ascii_case(&found)) {
        return Err(GateError::PinDiffers { name: source.name.clone(), wanted: wanted.to_owned(), found });
    }
    let files = repomd::parse(&repomd).map_err(|e| metadata("repomd.xml", e))?;
    let primary =
        files.values().filter(|f| f.kind == "primary").find(|f| decompress::is_readable(&f.location)).ok_or_else(|| {
            metadata("repomd.xml", "it lists no primary.xml of a readable kind with a sha256 or better".to_owned())
        })?;
    let file =
        cache.fetch(&upstream, &primary.location, &primary.checksum, primary.size, MAX_METADATA).await.map_err(fetch_failed)?;
    let location = primary.location.clone();
    let offer = tokio::task::spawn_blocking(move || {
        let reader = decompress::open(&file, &location).map_err(|e| e.to_string())?;
        primary::parse(reader)
    })
    .await
    .map_err(|e| metadata(&primary.location, e.to_string()))?
    .map_err(|e| metadata(&primary.location, e))?;

    let pin = Pin {
        name: source.name.clone(),
        base_url: source.base_url.clone(),
        repomd_sha256: found,
        packages: offer.packages.len(),
        unusable: offer.unusable.len(),
    };
    let timestamp = files.values().filter_map(|f| f.timestamp).max();
    Ok(PinnedSource { pin, upstream, repomd: repomd.into(), files, offer, keys, timestamp })
}

async fn fetch_repomd(upstream: &Upstream) -> Result<Vec<u8>, FetchError> {
    let path = "repodata/repomd.xml";
    let mut stream = upstream.open(path).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > MAX_REPOMD {
            return Err(FetchError::TooLarge { url: upstream.name_of(path), limit: MAX_REPOMD });
        }
    }
    Ok(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    crate::header::hex(&sha2::Sha256::digest(bytes))
}

fn read_keys(source: &ContentSource) -> Result<Vec<String>, GateError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|e| GateError::Key { path: path.clone(), source: e })?;
        if text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
            Ok(text)
        } else {
            let reason = std::io::Error::new(std::io::ErrorKind::InvalidData, "no ASCII-armoured public key");
            Err(GateError::Key { path: path.clone(), source: reason })
        }
    };
    source.gpgkeys.iter().map(read).collect()
}
