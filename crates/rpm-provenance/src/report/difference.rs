//! What changed between two builds of an image: packages, sizes and labels.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Provenance;

/// What changed since an earlier build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Difference {
    /// The earlier build.
    pub nvr: String,
    /// Why it cannot be compared with; the lists are empty then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// Bytes of its layers.
    pub size: Option<u64>,
    /// Packages that it had not, or has no more, or in another version; sorted by name.
    pub packages: Vec<PackageChange>,
    /// Installed bytes of all packages, before and after.
    pub installed: PackageTotals,
    /// Labels with another value; sorted.
    pub labels: Vec<LabelChange>,
}

/// Installed bytes of all packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTotals {
    /// In the earlier build.
    pub before: u64,
    /// In this one.
    pub after: u64,
}

/// One package that is not the same. Only one side is there when it was added or removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// Name.
    pub name: String,
    /// Architecture.
    pub arch: String,
    /// [epoch:]version-release in the earlier build; several are joined by blanks.
    pub before: Option<String>,
    /// In this one.
    pub after: Option<String>,
    /// Installed bytes in the earlier build.
    pub size_before: u64,
    /// In this one.
    pub size_after: u64,
    /// Same version, other content: rebuilt or re-issued.
    pub content: bool,
}

/// One label with another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelChange {
    /// The label.
    pub label: String,
    /// Its value in the earlier build.
    pub before: Option<String>,
    /// Its value in this one.
    pub after: Option<String>,
}

impl PackageChange {
    /// Growth in bytes.
    pub fn growth(&self) -> i64 {
        i64::try_from(self.size_after).unwrap_or(i64::MAX).saturating_sub(i64::try_from(self.size_before).unwrap_or(i64::MAX))
    }
}

#[derive(Default)]
struct Side {
    evrs: BTreeSet<String>,
    digests: BTreeSet<String>,
    size: u64,
}

impl Difference {
    /// Compares two builds.
    pub fn between(before: &Provenance, after: &Provenance) -> Self {
        let (old, new) = (sides(before), sides(after));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let none = Side::default();
        let packages = names.into_iter().filter_map(|key| {
            let (a, b) = (old.get(key).unwrap_or(&none), new.get(key).unwrap_or(&none));
            if a.digests == b.digests {
                return None;
            }
            let evr = |side: &Side| (!side.evrs.is_empty()).then(|| side.evrs.iter().cloned().collect::<Vec<_>>().join(" "));
            Some(PackageChange {
                name: key.0.clone(),
                arch: key.1.clone(),
                before: evr(a),
                after: evr(b),
                size_before: a.size,
                size_after: b.size,
                content: a.evrs == b.evrs,
            })
        });
        let empty = BTreeMap::new();
        let (old_labels, new_labels) = (before.labels.as_ref().unwrap_or(&empty), after.labels.as_ref().unwrap_or(&empty));
        let labels: BTreeSet<&String> = old_labels.keys().chain(new_labels.keys()).collect();
        let labels = labels.into_iter().filter(|label| old_labels.get(*label) != new_labels.get(*label)).map(|label| {
            LabelChange { label: label.clone(), before: old_labels.get(label).cloned(), after: new_labels.get(label).cloned() }
        });
        let total = |sides: &BTreeMap<(String, String), Side>| sides.values().map(|side| side.size).sum();
        Self {
            nvr: before.image.clone(),
            unavailable: None,
            size: before.size,
            packages: packages.collect(),
            installed: PackageTotals { before: total(&old), after: total(&new) },
            labels: labels.collect(),
        }
    }

    /// An earlier build that cannot be compared with.
    pub fn unavailable(nvr: &str, why: impl Into<String>) -> Self {
        Self { nvr: nvr.to_owned(), unavailable: Some(why.into()), ..Self::default() }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.labels.is_empty()
    }
}

fn sides(document: &Provenance) -> BTreeMap<(String, String), Side> {
    let mut sides: BTreeMap<(String, String), Side> = BTreeMap::new();
    for package in &document.packages {
        let side = sides.entry((package.name().to_owned(), package.arch().to_owned())).or_default();
        side.evrs.insert(package.evr());
        // Recorded documents of other origin may lack the digest; then the version has to do.
        let digest = if package.sha256header.is_empty() { package.evr() } else { package.sha256header.clone() };
        side.digests.insert(digest);
        side.size += package.size;
    }
    sides
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn build(nvr: &str, packages: &[(&str, &str, u64)], labels: &[(&str, &str)]) -> Provenance {
        let package = |(nvra, digest, size): &(&str, &str, u64)| json!({ "nvra": nvra, "sha256header": digest, "size": size, "verdict": "proven", "origin": "gate" });
        let packages: Vec<_> = packages.iter().map(package).collect();
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let document = json!({ "image": nvr, "size": 1000, "packages": packages, "labels": labels });
        serde_json::from_value(document).expect("a document")
    }

    #[test]
    fn packages_are_told_with_their_growth_and_labels_with_their_values() {
        let before = build(
            "web-1-1",
            &[
                ("same-1-1.noarch", "a", 5),
                ("grown-1-1.noarch", "b", 10),
                ("gone-1-1.noarch", "c", 7),
                ("redone-1-1.noarch", "d", 3),
            ],
            &[("kept", "x"), ("changed", "0"), ("dropped", "y")],
        );
        let after = build(
            "web-1-2",
            &[
                ("same-1-1.noarch", "a", 5),
                ("grown-2-1.noarch", "e", 30),
                ("come-1-1.noarch", "f", 1),
                ("redone-1-1.noarch", "g", 2),
            ],
            &[("kept", "x"), ("changed", "1"), ("added", "z")],
        );
        let found = Difference::between(&before, &after);
        let told: Vec<_> = found
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.before.as_deref(), p.after.as_deref(), p.growth(), p.content))
            .collect();
        assert_eq!(
            told,
            [
                ("come", None, Some("1-1"), 1, false),
                ("gone", Some("1-1"), None, -7, false),
                ("grown", Some("1-1"), Some("2-1"), 20, false),
                ("redone", Some("1-1"), Some("1-1"), -1, true),
            ]
        );
        assert_eq!(found.installed, PackageTotals { before: 25, after: 38 });
        let labels: Vec<_> = found.labels.iter().map(|l| (l.label.as_str(), l.before.as_deref(), l.after.as_deref())).collect();
        assert_eq!(labels, [("added", None, Some("z")), ("changed", Some("0"), Some("1")), ("dropped", Some("y"), None)]);
        assert_eq!((found.nvr.as_str(), found.size), ("web-1-1", Some(1000)));
        assert!(Difference::between(&after, &after).is_empty());
    }
}
