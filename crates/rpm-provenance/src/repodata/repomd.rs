//! `repodata/repomd.xml`: the list of a repository's metadata files with their checksums (createrepo_c writes it).

use std::collections::{HashMap, HashSet};

use super::MetadataError;
use super::checksum::Checksum;
use super::location;
use super::xml::{Attributes, Visitor, walk};

/// One metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataFile {
    /// `primary`, `filelists`, `modules`, …
    pub kind: String,
    /// Path below the repository's base.
    pub location: String,
    /// Of the file as it is served.
    pub checksum: Checksum,
    /// Bytes of the file as it is served.
    pub size: Option<u64>,
    /// Bytes when decompressed.
    pub open_size: Option<u64>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
}

/// What repomd.xml lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repomd {
    /// By location. Files with a checksum too weak to pin them are left out.
    pub files: HashMap<String, MetadataFile>,
}

/// Metadata files allowed; Fedora has about twenty.
const MAX_FILES: usize = 1000;
/// Largest size a metadata file may claim; bigger numbers are nonsense that later sums should not meet.
const MAX_SIZE: u64 = 1 << 40;

/// Reads repomd.xml.
///
/// # Errors
/// When it is no repomd.xml, leads out of the repository, or is ambiguous: two files of one kind or in one place, two
/// locations for one file, a size that is none. Clients and the gate could then mean different files.
pub fn parse(text: &[u8]) -> Result<Repomd, MetadataError> {
    let mut visitor = Reader::default();
    walk(text, &mut visitor)?;
    Ok(Repomd { files: visitor.files })
}

#[derive(Default)]
struct Reader {
    files: HashMap<String, MetadataFile>,
    kinds: HashSet<String>,
    data: Data,
}

#[derive(Default)]
struct Data {
    kind: String,
    location: Option<String>,
    algorithm: Option<String>,
    checksum: Option<Checksum>,
    size: Option<u64>,
    open_size: Option<u64>,
    timestamp: Option<u64>,
}

impl Visitor for Reader {
    fn start(&mut self, depth: usize, name: &str, attributes: &Attributes<'_>) -> Result<(), String> {
        match (depth, name) {
            (1, "repomd") => {}
            (1, other) => return Err(format!("the root element is `{other}`, not `repomd`")),
            (2, "data") => {
                let kind = attributes.get("type")?.unwrap_or_default();
                if !self.kinds.insert(kind.clone()) {
                    return Err(format!("two files of the kind `{}`", kind.escape_debug()));
                }
                if self.kinds.len() > MAX_FILES {
                    return Err(format!("more than {MAX_FILES} metadata files"));
                }
                self.data = Data { kind, ..Data::default() };
            }
            (3, "location") => {
                let href = attributes.get("href")?.unwrap_or_default();
                if !location::is_inside(&href) {
                    return Err(format!("the location `{}` leads out of the repository", href.escape_debug()));
                }
                if let Some(base) = attributes.get("xml:base")?.filter(|b| !b.is_empty()) {
                    return Err(format!("`{}` lies in another place, {}", href.escape_debug(), base.escape_debug()));
                }
                if self.data.location.replace(href).is_some() {
                    return Err(format!("two locations for one file of the kind `{}`", self.data.kind.escape_debug()));
                }
            }
            (3, "checksum") => {
                let algorithm = attributes.get("type")?.unwrap_or_default();
                if self.data.algorithm.replace(algorithm).is_some() {
                    return Err(format!("two checksums for one file of the kind `{}`", self.data.kind.escape_debug()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, depth: usize, name: &str, text: &str) -> Result<(), String> {
        let data = &mut self.data;
        match (depth, name) {
            (3, "checksum") => data.checksum = Checksum::new(data.algorithm.as_deref().unwrap_or_default(), text),
            (3, "size") => data.size = Some(size(&data.kind, text)?),
            (3, "open-size") => data.open_size = Some(size(&data.kind, text)?),
            // createrepo may write fractions of a second
            (3, "timestamp") => data.timestamp = text.split('.').next().and_then(|t| t.parse().ok()),
            (2, "data") => {
                let data = std::mem::take(data);
                if let (Some(location), Some(checksum)) = (data.location, data.checksum) {
                    let file = MetadataFile {
                        kind: data.kind,
                        location: location.clone(),
                        checksum,
                        size: data.size,
                        open_size: data.open_size,
                        timestamp: data.timestamp,
                    };
                    if self.files.insert(location.clone(), file).is_some() {
                        return Err(format!("two files at `{}`", location.escape_debug()));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn size(kind: &str, text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| *n <= MAX_SIZE);
    number.ok_or_else(|| format!("the size of `{}` is `{}`", kind.escape_debug(), text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(location: &str, algorithm: &str, sum: &str) -> String {
        data_with(location, algorithm, sum, "<size>9</size>")
    }

    fn data_with(location: &str, algorithm: &str, sum: &str, more: &str) -> String {
        format!(
            r#"<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision><data type="primary">
               <checksum type="{algorithm}">{sum}</checksum><location href="{location}"/><timestamp>17.5</timestamp>{more}</data></repomd>"#
        )
    }

    #[test]
    fn files_are_found_by_location_with_their_checksum() {
        let sum = "ab".repeat(32);
        let files = parse(data("repodata/p.xml.gz", "sha256", &sum).as_bytes()).expect("repomd").files;
        let file = &files["repodata/p.xml.gz"];
        assert_eq!((file.kind.as_str(), file.size, file.timestamp), ("primary", Some(9), Some(17)));
        assert_eq!(file.checksum.to_string(), format!("sha256:{sum}"));
    }

    #[test]
    fn weak_checksums_pin_nothing_and_escaping_locations_are_an_error() {
        assert!(parse(data("repodata/p.xml.gz", "sha", &"ab".repeat(20)).as_bytes()).expect("repomd").files.is_empty());
        let sum = "ab".repeat(32);
        for bad in ["../p.xml", "/etc/passwd", "a/../../b", "http://h/p.xml", "a\\b"] {
            let err = parse(data(bad, "sha256", &sum).as_bytes()).expect_err(bad);
            assert!(err.reason.contains("leads out"), "{err}");
        }
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_an_error() {
        let sum = "ab".repeat(32);
        let one = data("a", "sha256", &sum);
        let inner = &one[one.find("<data").expect("data")..one.find("</repomd>").expect("end")];
        let twice = |second: &str| format!("<repomd>{inner}{second}</repomd>");
        let other = inner.replace("primary", "filelists");
        for (text, word) in [
            (twice(inner), "two files of the kind `primary`"),
            (twice(&other), "two files at `a`"),
            (data_with("a", "sha256", &sum, r#"<location href="b"/>"#), "two locations"),
            (data_with("a", "sha256", &sum, r#"<checksum type="sha256">x</checksum>"#), "two checksums"),
            (data_with("a", "sha256", &sum, "<size>-1</size>"), "size of `primary` is `-1`"),
            (data_with("a", "sha256", &sum, "<open-size>99999999999999999999</open-size>"), "is `9999"),
            (data_with("a", "sha256", &sum, "").replace("href=\"a\"", "href=\"a\" href=\"b\""), "duplicate"),
            (data_with("a", "sha256", &sum, "").replace("<location", "<location xml:base=\"http://h/\""), "another place"),
            (format!("{one}{one}"), "second root"),
        ] {
            let error = parse(text.as_bytes()).expect_err(word);
            assert!(error.reason.contains(word), "{error}: {word}");
        }
    }

    #[test]
    fn entity_bombs_and_cut_off_documents_are_errors() {
        let bomb =
            r#"<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><repomd><revision>&b;</revision></repomd>"#;
        assert!(parse(bomb.as_bytes()).expect_err("bomb").reason.contains("document type"));
        assert!(parse(b"<repomd><revision>&b;</revision></repomd>").expect_err("entity").reason.contains("entity"));
        assert!(parse(b"<repomd><data>").expect_err("cut off").reason.contains("ends inside"));
        let deep = "<repomd>".repeat(100);
        assert!(parse(deep.as_bytes()).is_err());
    }
}
