//! A file of the import: name, size and checksum must equal what was uploaded, the hub computes both again
//! (CG_Importer.prep_outputs).

use serde::{Deserialize, Serialize};

use crate::MetadataError;

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Base name; unique in one import.
    pub name: String,
    /// Directory it lies in, below the import's own (`relpath` of the document); `None` for that one itself. The image of an
    /// architecture lies in the output directory of the task that built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Checksum of the content.
    pub checksum: Checksum,
}

/// A checksum of a kind the hub takes for archives (md5 and sha256; adler32 only for transfers).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "checksum_type", content = "checksum", rename_all = "lowercase")]
pub enum Checksum {
    /// 32 lower-case hex digits.
    Md5(String),
    /// 64 lower-case hex digits.
    Sha256(String),
}

impl Checksum {
    /// Koji's name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Checksum::Md5(_) => "md5",
            Checksum::Sha256(_) => "sha256",
        }
    }

    /// The hex digits.
    pub fn hex(&self) -> &str {
        match self {
            Checksum::Md5(hex) | Checksum::Sha256(hex) => hex,
        }
    }
}

impl OutputFile {
    /// Refuses names that would leave the upload directory or collide with the metadata, and malformed checksums.
    pub(crate) fn check(&self) -> Result<(), MetadataError> {
        let bad = |reason| MetadataError::FileName { file: self.name.clone(), reason };
        if self.name.is_empty() || self.name == "." || self.name == ".." {
            return Err(bad("it names no file"));
        }
        if self.name.len() > 255 {
            return Err(bad("it is longer than 255 bytes"));
        }
        if self.name.contains('/') {
            return Err(bad("it holds a slash; files lie directly in the upload directory"));
        }
        if self.name.chars().any(char::is_control) {
            return Err(bad("it holds a control character"));
        }
        if self.name == "metadata.json" {
            return Err(bad("this name is the metadata's own"));
        }
        if self.dir.as_ref().is_some_and(|dir| !dir.split('/').all(is_plain_name)) {
            return Err(bad("its directory is not a path below the import's"));
        }
        let length = match self.checksum {
            Checksum::Md5(_) => 32,
            Checksum::Sha256(_) => 64,
        };
        if !is_lower_hex(self.checksum.hex(), length) {
            return Err(MetadataError::Checksum {
                file: self.name.clone(),
                kind: self.checksum.kind(),
                value: self.checksum.hex().to_owned(),
            });
        }
        Ok(())
    }
}

/// Whether a part of a path leads nowhere but down.
fn is_plain_name(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control)
}

/// Whether `text` is exactly `length` lower-case hex digits, the only form the hub compares equal.
pub(crate) fn is_lower_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, hex: String) -> OutputFile {
        OutputFile { name: name.to_owned(), dir: None, size: 1, checksum: Checksum::Sha256(hex) }
    }

    #[test]
    fn names_that_leave_the_upload_directory_are_refused() {
        assert!(file("x86_64.log", "a".repeat(64)).check().is_ok());
        for name in ["", ".", "..", "../x.log", "a/b.log", "a\nb.log", "metadata.json"] {
            assert!(matches!(file(name, "a".repeat(64)).check(), Err(MetadataError::FileName { .. })), "{name:?}");
        }
    }

    #[test]
    fn directories_lead_down_from_the_imports_own() {
        let in_dir = |dir: &str| OutputFile { dir: Some(dir.to_owned()), ..file("x.log", "a".repeat(64)) }.check();
        assert!(in_dir("tasks/17/10017").is_ok());
        for dir in ["", "/tasks", "tasks/", "tasks//1", "../other", "tasks/./1", "a\nb"] {
            assert!(in_dir(dir).is_err(), "{dir:?}");
        }
    }

    #[test]
    fn only_lower_case_sums_of_the_right_length_pass() {
        for hex in ["a".repeat(63), "A".repeat(64), "g".repeat(64), String::new()] {
            assert!(matches!(file("x.log", hex).check(), Err(MetadataError::Checksum { .. })));
        }
    }
}
