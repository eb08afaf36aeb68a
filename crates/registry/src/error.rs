//! What can go wrong between the worker and a registry, told apart by who has to act.

use std::io;
use std::path::PathBuf;

use build_model::{Arch, Blame, Diagnose, Digest};
use image_layers::{ImageError, StoreError};
use oci_client::errors::OciDistributionError;

use crate::ReferenceError;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Looking up what a tag or digest names.
    Resolve,
    /// Downloading a blob.
    Pull,
    /// Uploading a blob or manifest.
    Push,
    /// Setting a tag.
    Tag,
}

impl Action {
    fn writes(self) -> bool {
        matches!(self, Action::Push | Action::Tag)
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Action::Resolve => "look up",
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Tag => "tag",
        })
    }
}

/// A failure of this crate. `target` is the image as it is called, with its real place where an alias moved it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such reference can exist.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A configured alias breaks the grammar.
    #[error("the registry alias `{text}` is not a registry with an optional path: {reason}")]
    Alias {
        /// Prefix or location.
        text: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A configured file cannot be read.
    #[error("cannot read the {what} {}", path.display())]
    ReadFile {
        /// Which kind of file.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The auth file makes no sense.
    #[error("the auth file {} is not usable: {reason}", path.display())]
    AuthFile {
        /// Where.
        path: PathBuf,
        /// Why; never holds a secret.
        reason: String,
    },
    /// A CA file without any certificate.
    #[error("the CA file {} holds no certificate", path.display())]
    NoCertificate {
        /// Where.
        path: PathBuf,
    },
    /// No HTTP client can be made, usually because of a malformed CA certificate.
    #[error("cannot set up the registry client")]
    Client {
        /// What the client says.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// No connection, or it was lost, or nothing came for too long.
    #[error("cannot {action} {target}: the registry {registry} does not answer")]
    Unreachable {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// What the client says.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// An upload that made no progress.
    #[error("cannot {action} {target}: the registry {registry} took no data for {seconds} s")]
    Stalled {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The connection came about, but not its encryption.
    #[error("cannot {action} {target}: no trusted TLS connection to {registry}")]
    Tls {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// What the client says.
        #[source]
        source: Box<OciDistributionError>,
    },
    /// The registry is there but cannot serve now: 408, 429, 5xx.
    #[error("cannot {action} {target}: the registry {registry} answers with status {status}{}", colon(message))]
    Busy {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// HTTP status.
        status: u16,
        /// The answer's text, shortened.
        message: String,
    },
    /// Credentials are missing, wrong or not enough.
    #[error("cannot {action} {target}: the registry {registry} refuses access{}", colon(message))]
    Unauthorized {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// The answer's text, shortened.
        message: String,
    },
    /// No such repository, tag or digest.
    #[error("there is no image {target}")]
    NotFound {
        /// Which image.
        target: String,
    },
    /// A blob that the manifest names but the registry lost.
    #[error("the registry {registry} has lost the blob {digest} of {target}")]
    LostBlob {
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// The blob.
        digest: Digest,
    },
    /// An index without the wanted platform.
    #[error("{target} has no image for linux/{}; it has {}", arch.oci(), list(found))]
    NoPlatform {
        /// Which image.
        target: String,
        /// The wanted architecture.
        arch: Arch,
        /// Platforms the index lists.
        found: Vec<String>,
    },
    /// A single image for another platform.
    #[error("{target} is an image for {found}, not for linux/{}", arch.oci())]
    WrongPlatform {
        /// Which image.
        target: String,
        /// The wanted architecture.
        arch: Arch,
        /// What its config says.
        found: String,
    },
    /// Content or a tag is not what it must be.
    #[error("{target}: expected the digest {expected}, but the registry {registry} has {found}")]
    DigestMismatch {
        /// Which image or blob.
        target: String,
        /// The host spoken to.
        registry: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A blob longer or shorter than its descriptor says.
    #[error("{target}: the blob {digest} should have {expected} bytes, but the registry {registry} sends {found}")]
    BlobSize {
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// The blob.
        digest: Digest,
        /// Bytes by its descriptor.
        expected: u64,
        /// Bytes received so far.
        found: u64,
    },
    /// A manifest beyond what registries themselves accept.
    #[error("the manifest of {target} has {size} bytes, more than the {limit} registries accept")]
    ManifestTooLarge {
        /// Which image.
        target: String,
        /// Its size.
        size: u64,
        /// The most that is read.
        limit: u64,
    },
    /// The registry understood and said no.
    #[error("cannot {action} {target}: the registry {registry} refuses it{}", colon(message))]
    Refused {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// The answer's text, shortened.
        message: String,
    },
    /// An answer outside the distribution specification.
    #[error("cannot {action} {target}: the answer of {registry} makes no sense{}", colon(message))]
    Protocol {
        /// What was being done.
        action: Action,
        /// Which image.
        target: String,
        /// The host spoken to.
        registry: String,
        /// What is wrong.
        message: String,
    },
    /// An index of nothing.
    #[error("an index for {target} needs at least one image, and each platform once")]
    IndexMembers {
        /// Which image.
        target: String,
    },
    /// The manifest or config is not usable.
    #[error("the image {target} is not usable")]
    Image {
        /// Which image.
        target: String,
        /// Why.
        #[source]
        source: ImageError,
    },
    /// The local store failed.
    #[error("the local store fails while working on {target}")]
    Store {
        /// Which image.
        target: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl Diagnose for RegistryError {
    fn blame(&self) -> Blame {
        match self {
            RegistryError::Reference(_)
            | RegistryError::NotFound { .. }
            | RegistryError::NoPlatform { .. }
            | RegistryError::WrongPlatform { .. }
            | RegistryError::ManifestTooLarge { .. } => Blame::Packager,
            RegistryError::Image { source, .. } => source.blame(),
            _ => Blame::Site,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            RegistryError::Reference(source) => source.kind(),
            RegistryError::Alias { .. } => "registry-alias",
            RegistryError::ReadFile { .. } | RegistryError::AuthFile { .. } | RegistryError::NoCertificate { .. } => {
                "registry-file"
            }
            RegistryError::Client { .. } => "registry-client",
            RegistryError::Unreachable { .. } | RegistryError::Stalled { .. } => "registry-unreachable",
            RegistryError::Tls { .. } => "registry-tls",
            RegistryError::Busy { .. } => "registry-busy",
            RegistryError::Unauthorized { .. } => "registry-unauthorized",
            RegistryError::NotFound { .. } => "image-not-found",
            RegistryError::LostBlob { .. } => "registry-lost-blob",
            RegistryError::NoPlatform { .. } | RegistryError::WrongPlatform { .. } => "image-platform",
            RegistryError::DigestMismatch { .. } | RegistryError::BlobSize { .. } => "registry-digest",
            RegistryError::ManifestTooLarge { .. } => "image-manifest-size",
            RegistryError::Refused { .. } => "registry-refused",
            RegistryError::Protocol { .. } => "registry-protocol",
            RegistryError::IndexMembers { .. } => "index-members",
            RegistryError::Image { source, .. } => source.kind(),
            RegistryError::Store { source, .. } => source.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            RegistryError::Reference(source) => return source.hint(),
            RegistryError::Image { source, .. } => return source.hint(),
            RegistryError::Store { source, .. } => return source.hint(),
            RegistryError::Unreachable { registry, .. } | RegistryError::Stalled { registry, .. } => {
                format!("check from the builder that {registry} is up and reachable (curl -v https://{registry}/v2/)")
            }
            RegistryError::Tls { registry, .. } => format!(
                "add the CA of {registry} to the configured CA files, or list {registry} as insecure if it speaks plain http"
            ),
            RegistryError::Unauthorized { action, registry, .. } if action.writes() => {
                format!("put credentials that may push to {registry} into the configured auth file")
            }
            RegistryError::Unauthorized { registry, .. } => {
                format!(
                    "check the credentials for {registry} in the auth file; some registries answer so for a repository that does not exist"
                )
            }
            RegistryError::NotFound { .. } => "check the spelling of the image and that its tag was not pruned".to_owned(),
            RegistryError::LostBlob { target, .. } => {
                format!("push {target} again: its blobs were removed, its manifest was not")
            }
            RegistryError::NoPlatform { arch, .. } | RegistryError::WrongPlatform { arch, .. } => {
                format!("use a parent image that is built for {arch}, or leave {arch} out of this build's architectures")
            }
            RegistryError::DigestMismatch { .. } | RegistryError::BlobSize { .. } => {
                "something between builder and registry changes content (proxy, mirror, damaged storage)".to_owned()
            }
            _ => return None,
        })
    }

    fn is_transient(&self) -> bool {
        match self {
            RegistryError::Unreachable { .. } | RegistryError::Stalled { .. } | RegistryError::Busy { .. } => true,
            RegistryError::Image { source, .. } => source.is_transient(),
            RegistryError::Store { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

fn colon(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn list(found: &[String]) -> String {
    if found.is_empty() { "none".to_owned() } else { found.join(", ") }
}
