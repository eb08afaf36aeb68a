//! The names of tags (rpm's include/rpm/rpmtag.h, as `rpm --querytags` prints them), in `tags.txt`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A tag of a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    /// In capitals.
    pub name: String,
    pub number: u32,
}

/// One `NAME NUMBER` a line.
const TABLE: &str = include_str!("tags.txt");

static BY_NAME: LazyLock<BTreeMap<&'static str, u32>> = LazyLock::new(|| {
    TABLE
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect()
});

/// The tag of that name, in any case, with or without `RPMTAG_`.
pub(super) fn find(name: &str) -> Option<Tag> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("RPMTAG_").unwrap_or(&upper);
    BY_NAME.get(name).map(|number| Tag { name: name.to_owned(), number: *number })
}

/// The name rpm prints for a number: of several names the one that stands first in the table.
pub(super) fn canonical(tag: &Tag) -> String {
    let mut lines = TABLE.lines().filter_map(|line| line.split_once(' '));
    let name = lines.find(|(_, number)| number.parse() == Ok(tag.number)).map_or(tag.name.as_str(), |(name, _)| name);
    let lower = name.to_ascii_lowercase();
    let mut chars = lower.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// All names, in capitals.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_tag() {
        assert_eq!(BY_NAME.len(), TABLE.lines().count());
        assert_eq!(find("rpmtag_Name"), Some(Tag { name: "NAME".into(), number: 1000 }));
        assert_eq!(find("nonsense"), None);
    }
}
