//! Why a build cannot be imported as it is. Nearly all of it would be a fault of the hub after everything was uploaded,
//! so it is found here first.

use build_model::{Arch, Blame, Diagnose};

/// Why no import metadata can be made, or why the hub would refuse it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// `koji.check_NVR` and the layout of the build directory.
    #[error("the build's {field} `{value}` cannot be imported: {reason}")]
    Nvr {
        /// `name`, `version` or `release`.
        field: &'static str,
        /// Its value.
        value: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The content generator has an empty name or version.
    #[error("the content generator has no {field}")]
    Generator {
        /// `name` or `version`.
        field: &'static str,
    },
    /// A build without any image.
    #[error("the build has no image of any architecture")]
    NoImages,
    /// Two images of one architecture.
    #[error("the build has two images for {arch}")]
    DuplicateArch {
        /// The architecture.
        arch: Arch,
    },
    /// A log or file belongs to an architecture without an image, hence without a buildroot.
    #[error("{file} belongs to {arch}, but there is no image for {arch}")]
    UnknownArch {
        /// The file.
        file: String,
        /// The architecture.
        arch: Arch,
    },
    /// A file name that does not work as an upload.
    #[error("the file name `{file}` cannot be imported: {reason}")]
    FileName {
        /// The name.
        file: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// Two outputs with one file name would overwrite each other.
    #[error("two outputs are named {file}")]
    DuplicateFile {
        /// The name.
        file: String,
    },
    /// A checksum that cannot be compared.
    #[error("the {kind} checksum of {file} is `{value}`, which is not lower-case hex of the right length")]
    Checksum {
        /// The file.
        file: String,
        /// `md5` or `sha256`.
        kind: &'static str,
        /// What was given.
        value: String,
    },
    /// The hub has no archive type for the file.
    #[error("the hub knows no archive type for the file {file}")]
    UnknownExtension {
        /// The file.
        file: String,
    },
    /// An imported public key, which rpm lists like a package.
    #[error("the component list of {place} holds {nvra}; gpg-pubkey is no package and must be left out")]
    GpgPubkey {
        /// Architecture or buildroot.
        place: String,
        /// The entry.
        nvra: String,
    },
    /// A component without the digest the hub compares.
    #[error("component {nvra} of {place} has no SIGMD5")]
    MissingSigMd5 {
        /// Architecture or buildroot.
        place: String,
        /// The package.
        nvra: String,
    },
    /// A component field with a value the hub would store wrongly.
    #[error("component {nvra} of {place}: {field} is `{value}`: {reason}")]
    ComponentField {
        /// Architecture or buildroot.
        place: String,
        /// The package.
        nvra: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// One NVRA twice with different content: the list does not describe one image.
    #[error("component {nvra} of {place} is listed twice with different {field}: `{first}` and `{second}`")]
    ConflictingComponent {
        /// Architecture or buildroot.
        place: String,
        /// The package.
        nvra: String,
        /// The field that differs.
        field: &'static str,
        /// First value.
        first: String,
        /// Second value.
        second: String,
    },
    /// A further key of `extra` that the document already uses.
    #[error("`extra.{key}` is written by containerbuild itself")]
    ReservedExtraKey {
        /// The key.
        key: String,
    },
    /// The document breaks a rule of CG_Importer; `at` is the place in it.
    #[error("import metadata, {at}: {rule}")]
    Document {
        /// JSON path, like `output[2].extra`.
        at: String,
        /// What the hub would say.
        rule: String,
    },
}

impl Diagnose for MetadataError {
    fn blame(&self) -> Blame {
        match self {
            MetadataError::Nvr { .. } => Blame::Packager,
            _ => Blame::Site,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            MetadataError::Nvr { .. } => "import-nvr",
            MetadataError::Generator { .. } => "import-generator",
            MetadataError::NoImages | MetadataError::DuplicateArch { .. } | MetadataError::UnknownArch { .. } => "import-arches",
            MetadataError::FileName { .. } | MetadataError::DuplicateFile { .. } | MetadataError::Checksum { .. } => {
                "import-file"
            }
            MetadataError::UnknownExtension { .. } => "import-extension",
            MetadataError::GpgPubkey { .. }
            | MetadataError::MissingSigMd5 { .. }
            | MetadataError::ComponentField { .. }
            | MetadataError::ConflictingComponent { .. } => "import-component",
            MetadataError::ReservedExtraKey { .. } => "import-extra-key",
            MetadataError::Document { .. } => "import-metadata",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            MetadataError::Nvr { field, .. } if *field != "name" => {
                Some(format!("change the label `{field}` in the Dockerfile; Koji allows no dash in it"))
            }
            MetadataError::UnknownExtension { file } => {
                let extension = file.rsplit_once('.').map_or("EXTENSION", |(_, e)| e);
                Some(format!(
                    "choose another file name, or let an administrator run `koji add-archive-type NAME DESCRIPTION {extension}` and list the extension in the worker's configuration"
                ))
            }
            MetadataError::MissingSigMd5 { .. } => {
                Some("packages of RPM format 6 carry no SIGMD5; a hub before 1.36 cannot record them".to_owned())
            }
            _ => None,
        }
    }
}
