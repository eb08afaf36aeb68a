//! The labels an image must carry to become a Koji build, and the N-V-R they give
//! (rules of the earlier service: compat §3.2). Called by the worker's planning step and by lint.

use std::collections::BTreeMap;

use crate::{Blame, Diagnose};

/// What the labels of a Dockerfile say about the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLabels {
    /// `com.redhat.component` (or `BZComponent`): the Koji package.
    pub component: String,
    /// `name` (or `Name`): the repository path in the registry.
    pub name: String,
    /// `version` (or `Version`).
    pub version: String,
    /// `release` (or `Release`), if given.
    pub release: Option<String>,
}

/// Why labels do not make a build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A required label is absent.
    #[error("the Dockerfile sets no label `{label}`")]
    Missing {
        /// The label's preferred name.
        label: &'static str,
    },
    /// A label is there but empty after expansion.
    #[error("the label `{label}` is empty")]
    Empty {
        /// The label's preferred name.
        label: &'static str,
    },
    /// A label's value breaks a rule of Koji or of registries.
    #[error("the label `{label}` is `{value}`: {rule}")]
    Invalid {
        /// The label's preferred name.
        label: &'static str,
        /// The value found.
        value: String,
        /// The rule it breaks.
        rule: &'static str,
    },
}

impl Diagnose for LabelError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        match self {
            LabelError::Missing { .. } => "label-missing",
            LabelError::Empty { .. } => "label-empty",
            LabelError::Invalid { .. } => "label-invalid",
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            LabelError::Missing { label } | LabelError::Empty { label } => {
                Some(format!("add `LABEL {label}=\"…\"` to the last stage of the Dockerfile"))
            }
            LabelError::Invalid { .. } => None,
        }
    }
}

const COMPONENT: &str = "com.redhat.component";

impl ImageLabels {
    /// Reads the labels of the final stage, after expansion. Old spellings count where the new one is absent.
    ///
    /// # Errors
    /// The first rule broken, in the order component, name, version, release.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Result<Self, LabelError> {
        let component = required(labels, COMPONENT, "BZComponent")?;
        let name = required(labels, "name", "Name")?;
        let version = required(labels, "version", "Version")?;
        let release = match lookup(labels, "release", "Release") {
            None => None,
            Some(value) => Some(checked("release", value)?),
        };
        if component.contains(['/', ' ']) {
            return Err(invalid(COMPONENT, &component, "a Koji package name holds no slash and no blank"));
        }
        check_repository(&name)?;
        check_version("version", &version)?;
        if let Some(release) = &release {
            check_version("release", release)?;
        }
        Ok(Self { component, name, version, release })
    }
}

fn lookup<'a>(labels: &'a BTreeMap<String, String>, name: &str, old: &str) -> Option<&'a str> {
    labels.get(name).or_else(|| labels.get(old)).map(String::as_str)
}

fn required(labels: &BTreeMap<String, String>, label: &'static str, old: &str) -> Result<String, LabelError> {
    checked(label, lookup(labels, label, old).ok_or(LabelError::Missing { label })?)
}

fn checked(label: &'static str, value: &str) -> Result<String, LabelError> {
    if value.trim().is_empty() { Err(LabelError::Empty { label }) } else { Ok(value.to_owned()) }
}

fn invalid(label: &'static str, value: &str, rule: &'static str) -> LabelError {
    LabelError::Invalid { label, value: value.to_owned(), rule }
}

/// Koji refuses a dash in version or release, and both end up in a registry tag.
fn check_version(label: &'static str, value: &str) -> Result<(), LabelError> {
    if value.contains(['-', '/']) {
        return Err(invalid(label, value, "Koji allows no dash and no slash here"));
    }
    if !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'~' | b'^')) {
        return Err(invalid(label, value, "only letters, digits, dot, underscore, `+`, `~` and `^` are allowed"));
    }
    if value.bytes().any(|b| matches!(b, b'+' | b'~' | b'^')) {
        return Err(invalid(label, value, "it becomes part of a registry tag, where `+`, `~` and `^` are not allowed"));
    }
    Ok(())
}

/// The repository path: OCI distribution-spec components; the first may not look like a host.
fn check_repository(name: &str) -> Result<(), LabelError> {
    if name.split('/').next().is_some_and(|first| first.contains(['.', ':'])) {
        return Err(invalid("name", name, "the first part would be taken for a registry host"));
    }
    let ok = name.split('/').all(|part| {
        let bytes = part.as_bytes();
        !bytes.is_empty()
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
    });
    if ok { Ok(()) } else { Err(invalid("name", name, "a repository path is lower-case parts joined by slashes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn old_names_count_where_the_new_ones_are_absent() {
        let l =
            ImageLabels::from_labels(&labels(&[("BZComponent", "web"), ("Name", "f40/web"), ("version", "1"), ("Version", "2")]))
                .expect("labels");
        assert_eq!((l.component.as_str(), l.version.as_str(), l.release), ("web", "1", None));
    }

    #[test]
    fn each_missing_label_is_named() {
        let err = ImageLabels::from_labels(&labels(&[("com.redhat.component", "web"), ("version", "1")])).expect_err("no name");
        assert_eq!(err, LabelError::Missing { label: "name" });
        assert_eq!(err.blame(), Blame::Packager);
    }

    #[test]
    fn values_koji_or_registries_would_refuse_are_refused_here() {
        let base = [("com.redhat.component", "web"), ("name", "f40/web"), ("version", "1.0")];
        for (label, value) in [
            ("version", "1.0-beta"),
            ("release", "1/2"),
            ("name", "Host.example/web"),
            ("name", "Web"),
            ("version", " "),
            ("version", "1~rc1"),
        ] {
            let mut l = labels(&base);
            l.insert(label.into(), value.into());
            assert!(ImageLabels::from_labels(&l).is_err(), "{label}={value}");
        }
    }
}
