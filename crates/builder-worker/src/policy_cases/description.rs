//! An image described in a few lines, for cases: only what rules look at.

use std::collections::BTreeMap;

use build_model::Nvra;
use rpm_provenance::files::{Class, Code, Privilege, Record};
use rpm_provenance::report::{Difference, FilesSection, Package, PackageTags, ParentBuild, ParentImage, SCHEMA_VERSION};
use rpm_provenance::{Origin, Provenance};
use serde::Deserialize;

/// `[[image]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDescription {
    /// Name-version-release.
    #[serde(default = "some_nvr")]
    nvr: String,
    /// Architecture.
    #[serde(default = "some_arch")]
    arch: String,
    /// All layers as they are pushed, in MB.
    #[serde(default)]
    size_mb: Option<u64>,
    /// The build before: `{ nvr, size_mb }`.
    #[serde(default)]
    previous: Option<PreviousDescription>,
    /// Labels of the finished image; unknown when absent.
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    /// Images it is made from.
    #[serde(default)]
    parents: Vec<ParentDescription>,
    /// Its RPMs.
    #[serde(default)]
    packages: Vec<PackageDescription>,
    /// Public keys in its rpmdb that the parent image does not have, like `gpg-pubkey-a15b79cc-1`.
    #[serde(default)]
    new_public_keys: Vec<String>,
    /// Files of its new layers.
    #[serde(default)]
    files: Vec<FileDescription>,
    /// Tags that a tag inherits from.
    #[serde(default)]
    tag_parents: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviousDescription {
    nvr: String,
    size_mb: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParentDescription {
    reference: String,
    /// N-V-R of the complete Koji build it is; absent for a foreign image.
    #[serde(default)]
    koji_build: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageDescription {
    /// name-version-release.arch
    nvra: String,
    #[serde(default)]
    epoch: Option<u32>,
    /// Key id of its signature; unsigned when absent.
    #[serde(default)]
    key: Option<String>,
    /// Keys Koji has signed copies with; not compared when absent.
    #[serde(default)]
    koji_keys: Option<Vec<String>>,
    /// Koji tags of its build; unknown when absent.
    #[serde(default)]
    tags: Option<Vec<String>>,
    /// Koji tags its build has left.
    #[serde(default)]
    left_tags: Vec<String>,
    /// Whether the parent image has it.
    #[serde(default)]
    inherited: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDescription {
    path: String,
    class: Class,
    /// `script` or `binary` for programs.
    #[serde(default)]
    program: Option<Code>,
    /// The RPM that owns the path.
    #[serde(default)]
    owner: Option<String>,
    /// `setuid`, `setgid`, `capabilities …` that no RPM gives.
    #[serde(default)]
    gained: Vec<String>,
}

fn some_nvr() -> String {
    "image-1-1".into()
}

fn some_arch() -> String {
    "x86_64".into()
}

impl ImageDescription {
    /// The document that rules judge. Every described RPM is proven: what is not never comes to a policy.
    pub fn document(&self) -> Result<Provenance, String> {
        let mut seen = std::collections::BTreeSet::new();
        for package in &self.packages {
            package.nvra.parse::<Nvra>().map_err(|e| e.to_string())?;
            if !seen.insert(&package.nvra) {
                return Err(format!("the package {} is described twice", package.nvra));
            }
        }
        let mut document = Provenance {
            schema_version: SCHEMA_VERSION,
            image: self.nvr.clone(),
            arch: self.arch.clone(),
            size: self.size_mb.map(bytes),
            labels: self.labels.clone(),
            parents: self.parents.iter().map(ParentDescription::parent).collect(),
            all_proven: true,
            packages: self.packages.iter().map(PackageDescription::package).collect(),
            new_public_keys: self.new_public_keys.clone(),
            tag_parents: self.tag_parents.clone(),
            previous: self.previous.as_ref().map(|p| Difference {
                nvr: p.nvr.clone(),
                size: Some(bytes(p.size_mb)),
                ..Difference::default()
            }),
            ..Provenance::default()
        };
        let privileges = self.files.iter().filter(|f| !f.gained.is_empty()).map(|f| Privilege {
            path: f.path.clone(),
            gained: f.gained.clone(),
            owner: f.owner.clone(),
        });
        let records = self.files.iter().map(FileDescription::record);
        document.files = Some(FilesSection::of_records(records.collect(), privileges.collect()));
        Ok(document)
    }
}

fn bytes(mb: u64) -> u64 {
    mb.saturating_mul(1 << 20)
}

impl ParentDescription {
    fn parent(&self) -> ParentImage {
        ParentImage {
            reference: self.reference.clone(),
            build: self.koji_build.as_ref().map(|nvr| ParentBuild { id: 0, nvr: nvr.clone() }),
            ..ParentImage::default()
        }
    }
}

impl PackageDescription {
    fn package(&self) -> Package {
        Package {
            nvra: self.nvra.clone(),
            epoch: self.epoch,
            sigmd5: None,
            sha256header: String::new(),
            source_rpm: None,
            vendor: None,
            size: 0,
            build_time: None,
            signing_key: self.key.clone(),
            verdict: "proven".into(),
            by: None,
            origin: if self.inherited { Origin::Inherited } else { Origin::Gate },
            released_as: None,
            koji: None,
            content_source: None,
            why: None,
            tags: self.tags.as_ref().map(|now| PackageTags { now: now.clone(), before: self.left_tags.clone() }),
            koji_keys: self.koji_keys.clone(),
        }
    }
}

impl FileDescription {
    fn record(&self) -> Record {
        Record {
            path: self.path.clone(),
            class: self.class,
            code: self.program.unwrap_or(Code::None),
            runs: None,
            size: 1,
            kind: "file".into(),
            layer: None,
            owner: self.owner.clone(),
            differs: Vec::new(),
            source: None,
            sha256: None,
        }
    }
}
