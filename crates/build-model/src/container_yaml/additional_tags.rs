//! The file `additional-tags`: floating tags, one a line (deprecated since container.yaml has `tags`; compat §3.1).

use super::problem::{Remark, shown};
use crate::ImageTag;

/// The tags of an `additional-tags` file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdditionalTags {
    /// In the order of the file, each once.
    pub tags: Vec<ImageTag>,
    /// Lines that were skipped, with the reason.
    pub warnings: Vec<Remark>,
}

impl AdditionalTags {
    /// Reads the file. Lines that hold a dash are skipped, as the earlier service did: a tag with a dash could be the
    /// `version-release` of a build. So is what a registry would refuse; nothing here fails a build.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for (index, line) in text.lines().enumerate() {
            let word = line.trim();
            if word.is_empty() {
                continue;
            }
            let skipped = match ImageTag::new(word) {
                _ if word.contains('-') => "it holds a dash and could be taken for the version and release of a build",
                Ok(tag) if found.tags.contains(&tag) => continue,
                Ok(tag) => {
                    found.tags.push(tag);
                    continue;
                }
                Err(error) => error.reason,
            };
            found.warnings.push(Remark { line: index + 1, message: format!("`{}` is skipped: {skipped}", shown(word)) });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tag_a_line_and_none_with_a_dash() {
        let found = AdditionalTags::parse("stable\r\n\n  40 \nv1-rc\nstable\n# no comments\n");
        assert_eq!(found.tags.iter().map(ImageTag::as_str).collect::<Vec<_>>(), ["stable", "40"]);
        assert_eq!(found.warnings.iter().map(|w| w.line).collect::<Vec<_>>(), [4, 6]);
        assert!(found.warnings[0].message.contains("`v1-rc` is skipped: it holds a dash"));
    }
}
