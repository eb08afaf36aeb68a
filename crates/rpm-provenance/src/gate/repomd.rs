//! `repodata/repomd.xml`: the list of a repository's metadata files with their checksums (createrepo_c writes it).

use std::collections::HashMap;

use super::checksum::Checksum;
use super::location;
use super::xml::{Visitor, walk};

/// One metadata file.
#[derive(Debug, Clone)]
pub(super) struct MetadataFile {
    /// `primary`, `filelists`, `modules`, …
    pub kind: String,
    /// Path below the repository's base.
    pub location: String,
    pub checksum: Checksum,
    pub size: Option<u64>,
    pub timestamp: Option<u64>,
}

/// The files repomd.xml lists, by location. Files with a checksum too weak to pin them are left out.
pub(super) fn parse(text: &[u8]) -> Result<HashMap<String, MetadataFile>, String> {
    let mut visitor = Repomd::default();
    walk(text, &mut visitor)?;
    Ok(visitor.files)
}

/// Metadata files allowed; Fedora has about twenty.
const MAX_FILES: usize = 1000;

#[derive(Default)]
struct Repomd {
    files: HashMap<String, MetadataFile>,
    kind: String,
    location: Option<String>,
    algorithm: String,
    checksum: Option<Checksum>,
    size: Option<u64>,
    timestamp: Option<u64>,
}

impl Visitor for Repomd {
    fn start(&mut self, depth: usize, name: &str, attribute: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
        match (depth, name) {
            (1, "repomd") => {}
            (1, other) => return Err(format!("the root element is `{other}`, not `repomd`")),
            (2, "data") => {
                let files = std::mem::take(&mut self.files);
                *self = Repomd { files, kind: attribute("type").unwrap_or_default(), ..Repomd::default() };
            }
            (3, "location") => {
                let href = attribute("href").unwrap_or_default();
                if !location::is_inside(&href) {
                    return Err(format!("the location `{}` leads out of the repository", href.escape_debug()));
                }
                self.location = Some(href);
            }
            (3, "checksum") => self.algorithm = attribute("type").unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, name: &str, text: &str) -> Result<(), String> {
        match (depth, name) {
            (3, "checksum") => self.checksum = Checksum::new(&self.algorithm, text),
            (3, "size") => self.size = text.parse().ok(),
            // createrepo may write fractions of a second
            (3, "timestamp") => self.timestamp = text.split('.').next().and_then(|t| t.parse().ok()),
            (2, "data") => {
                if let (Some(location), Some(checksum)) = (self.location.take(), self.checksum.take()) {
                    let file = MetadataFile {
                        kind: std::mem::take(&mut self.kind),
                        location: location.clone(),
                        checksum,
                        size: self.size,
                        timestamp: self.timestamp,
                    };
                    if self.files.len() == MAX_FILES {
                        return Err(format!("more than {MAX_FILES} metadata files"));
                    }
                    self.files.insert(location, file);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(location: &str, algorithm: &str, sum: &str) -> String {
        format!(
            r#"<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision><data type="primary">
               <checksum type="{algorithm}">{sum}</checksum><location href="{location}"/><timestamp>17.5</timestamp><size>9</size></data></repomd>"#
        )
    }

    #[test]
    fn files_are_found_by_location_with_their_checksum() {
        let sum = "ab".repeat(32);
        let files = parse(data("repodata/p.xml.gz", "sha256", &sum).as_bytes()).expect("repomd");
        let file = &files["repodata/p.xml.gz"];
        assert_eq!((file.kind.as_str(), file.size, file.timestamp), ("primary", Some(9), Some(17)));
        assert_eq!(file.checksum.to_string(), format!("sha256:{sum}"));
    }

    #[test]
    fn weak_checksums_pin_nothing_and_escaping_locations_are_an_error() {
        assert!(parse(data("repodata/p.xml.gz", "sha", &"ab".repeat(20)).as_bytes()).expect("repomd").is_empty());
        let sum = "ab".repeat(32);
        for bad in ["../p.xml", "/etc/passwd", "a/../../b", "http://h/p.xml", "a\\b"] {
            let err = parse(data(bad, "sha256", &sum).as_bytes()).expect_err(bad);
            assert!(err.contains("leads out"), "{err}");
        }
    }

    #[test]
    fn entity_bombs_and_cut_off_documents_are_errors() {
        let bomb =
            r#"<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><repomd><revision>&b;</revision></repomd>"#;
        assert!(parse(bomb.as_bytes()).expect_err("bomb").contains("entity"));
        assert!(parse(b"<repomd><data>").expect_err("cut off").contains("ends inside"));
        let deep = "<repomd>".repeat(100);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
