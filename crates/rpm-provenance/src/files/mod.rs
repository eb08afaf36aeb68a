//! File accounting: every path of the layers a build made is put into one [`Class`], before anything is pushed.
//!
//! Second part of the proof. The rpmdb says which packages are in the image; this says whether its files are theirs.
//! What no package, commit or known program accounts for is listed by name, programs first. Site policy ([`FilePolicy`])
//! then decides. One pass over the new layers; content is hashed only where something of the same size is known,
//! and not again where it was hashed on its way into or out of the layer ([`LayerDigests`]).

mod account;
mod aliases;
mod attributes;
mod authselect;
mod capabilities;
mod claimed;
mod classify;
mod code;
mod commands;
mod commit;
mod file_list;
mod glob;
mod hash;
mod links;
mod loader;
mod named;
mod owners;
mod packed;
mod patterns;
mod places;
mod policy;
mod record;
mod released;
pub mod report;
mod rights;
mod tree;
mod trust;
mod variables;

use std::path::PathBuf;

use build_model::{Blame, Diagnose};

pub use account::{Accounting, LayerSource, NewLayer, account};
pub use claimed::CommitContents;
pub use code::Code;
pub use file_list::{PackageFile, PackageFiles};
pub use named::ConfigText;
pub use packed::{LayerDigests, PackedDigests};
pub use policy::{AllowedPath, Decision, FilePolicy};
pub use record::{Class, Count, FileAccount, PackageFinding, Privilege, Record};
pub use released::released_elsewhere;

/// The layers could not be read; nothing is said about the image.
#[derive(Debug, thiserror::Error)]
#[error("cannot account for the image's files: {path}")]
pub struct FilesError {
    /// The file on this machine.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

impl From<(PathBuf, std::io::Error)> for FilesError {
    fn from((path, source): (PathBuf, std::io::Error)) -> Self {
        FilesError { path, source }
    }
}

impl Diagnose for FilesError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "file-accounting"
    }
}

/// Characters that are not seen, or change the order of those that are: a report must not read other than it is.
fn hides(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A path for reports: readable and on one line, whatever bytes it has.
fn shown(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.into_owned();
    }
    text.chars().flat_map(|c| if c.is_control() || hides(c) { c.escape_default().collect() } else { vec![c] }).collect()
}
