//! A content source, pinned: its repomd.xml as it was at the start of the build, and what its primary.xml offers.

use std::path::PathBuf;
use std::sync::Arc;

use build_model::Blame;
use futures_util::StreamExt as _;

use super::GateError;
use super::cache::{CachedFile, FileCache, Note};
use super::upstream::{FetchError, HttpClients, Upstream};
use crate::repodata::{self, Checksum, MetadataFile, Offer, Repomd, decompress, primary};

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
    /// Whether the request brought it. Then it is the packager's, and redirections to another host are refused.
    #[serde(default)]
    pub of_request: bool,
}

impl ContentSource {
    /// Whose move it is when it cannot be used.
    pub(super) fn blame(&self) -> Blame {
        if self.of_request { Blame::Packager } else { Blame::Site }
    }
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
    /// As it is served.
    pub repomd_xml: bytes::Bytes,
    pub repomd: Repomd,
    pub offer: Offer,
    /// Contents of the public keys.
    pub keys: Vec<String>,
    /// Newest metadata file, seconds since 1970: `Last-Modified` of repomd.xml.
    pub timestamp: Option<u64>,
}

/// Fetches repomd.xml and primary.xml, checks them and remembers what they say.
pub(super) async fn pin(source: &ContentSource, http: &HttpClients, cache: &FileCache) -> Result<PinnedSource, GateError> {
    let bad = |reason: String| GateError::BadSource { name: source.name.clone(), reason, blame: source.blame() };
    let metadata = |file: &str, reason: String| GateError::Metadata {
        name: source.name.clone(),
        file: file.to_owned(),
        reason,
        blame: source.blame(),
    };
    let name_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if source.name.is_empty() || source.name.starts_with('.') || source.name.len() > 128 || !source.name.bytes().all(name_ok) {
        return Err(bad("a name has letters, digits, `.`, `_` and `-` only".to_owned()));
    }
    let keys = read_keys(source)?;
    let upstream = Upstream::new(&source.base_url, http.for_source(source.of_request)).map_err(bad)?;
    let fetch_failed = |e| GateError::Fetch { name: source.name.clone(), source: e, blame: source.blame() };
    let repomd_xml = fetch_repomd(&upstream).await.map_err(|e| fetch_failed(Arc::new(e)))?;
    let found = Checksum::sha256_of(&repomd_xml).hex().to_owned();
    if let Some(wanted) = source.repomd_sha256.as_deref().filter(|w| !w.eq_ignore_ascii_case(&found)) {
        return Err(GateError::PinDiffers { name: source.name.clone(), wanted: wanted.to_owned(), found });
    }
    let repomd = repodata::repomd::parse(&repomd_xml).map_err(|e| metadata("repomd.xml", e.to_string()))?;
    let primary = repomd.files.values().find(|f| f.kind == "primary" && decompress::is_readable(&f.location));
    let primary = primary
        .ok_or_else(|| metadata("repomd.xml", "it lists no primary.xml of a readable kind with a sha256 or better".to_owned()))?;
    let offer = match stored_offer(cache, primary) {
        Some(offer) => offer,
        None => {
            let fetched = cache.fetch_whole(&upstream, &primary.location, &primary.checksum, primary.size, MAX_METADATA);
            let file = fetched.await.map_err(fetch_failed)?;
            let read = tokio::task::spawn_blocking({
                let open_size = primary.open_size;
                move || read_primary(&file, open_size)
            });
            let read = read.await.map_err(|e| metadata(&primary.location, e.to_string()))?;
            let offer = read.map_err(|e| metadata(&primary.location, e))?;
            cache.put_note(Note::Offer, &primary.checksum, offer.as_bytes());
            offer
        }
    };
    let pin = Pin {
        name: source.name.clone(),
        base_url: source.base_url.clone(),
        repomd_sha256: found,
        packages: offer.packages(),
        unusable: offer.unusable(),
    };
    let timestamp = repomd.files.values().filter_map(|f| f.timestamp).max();
    Ok(PinnedSource { pin, upstream, repomd_xml: repomd_xml.into(), repomd, offer, keys, timestamp })
}

/// What an earlier build read out of the same primary.xml.
fn stored_offer(cache: &FileCache, primary: &MetadataFile) -> Option<Offer> {
    Offer::from_bytes(cache.note(Note::Offer, &primary.checksum)?).ok()
}

fn read_primary(file: &CachedFile, open_size: Option<u64>) -> Result<Offer, String> {
    let reader = decompress::open(file.reader(), open_size).map_err(|e| e.to_string())?;
    primary::parse(reader).map_err(|e| e.to_string())
}

async fn fetch_repomd(upstream: &Upstream) -> Result<Vec<u8>, FetchError> {
    let path = "repodata/repomd.xml";
    let mut stream = upstream.open(path, 0).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > MAX_REPOMD {
            return Err(FetchError::TooLarge { url: upstream.name_of(path), limit: MAX_REPOMD });
        }
    }
    Ok(bytes)
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
