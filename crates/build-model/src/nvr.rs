//! Name-version-release of builds and packages (koji.parse_NVR and parse_NVRA are the rules).

use std::fmt;
use std::str::FromStr;

/// Name, version, release of a build or a package. Epochs are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Nvr {
    /// Package name; may contain dashes.
    pub name: String,
    /// Version; no dash.
    pub version: String,
    /// Release; no dash.
    pub release: String,
}

/// An [`Nvr`] with an architecture: one RPM file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Nvra {
    /// Name, version, release.
    #[serde(flatten)]
    pub nvr: Nvr,
    /// RPM architecture (`x86_64`, `noarch`, `src`).
    pub arch: String,
}

/// Why a text is not an NVR or NVRA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NvrError {
    /// Fewer than two dashes, or an empty part.
    #[error("`{0}` is not a name-version-release")]
    NotNvr(String),
    /// No `.arch` at the end.
    #[error("`{0}` is not a name-version-release.arch")]
    NotNvra(String),
}

impl FromStr for Nvr {
    type Err = NvrError;

    fn from_str(text: &str) -> Result<Self, NvrError> {
        let bad = || NvrError::NotNvr(text.to_owned());
        let (rest, release) = text.rsplit_once('-').ok_or_else(bad)?;
        let (name, version) = rest.rsplit_once('-').ok_or_else(bad)?;
        if name.is_empty() || version.is_empty() || release.is_empty() {
            return Err(bad());
        }
        Ok(Nvr { name: name.into(), version: version.into(), release: release.into() })
    }
}

impl FromStr for Nvra {
    type Err = NvrError;

    /// Accepts `n-v-r.arch`, with or without a trailing `.rpm`.
    fn from_str(text: &str) -> Result<Self, NvrError> {
        let bad = || NvrError::NotNvra(text.to_owned());
        let stem = text.strip_suffix(".rpm").unwrap_or(text);
        let (nvr, arch) = stem.rsplit_once('.').ok_or_else(bad)?;
        if arch.is_empty() || arch.contains('-') {
            return Err(bad());
        }
        Ok(Nvra { nvr: nvr.parse().map_err(|_| bad())?, arch: arch.into() })
    }
}

impl fmt::Display for Nvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.name, self.version, self.release)
    }
}

impl fmt::Display for Nvra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.nvr, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_name_keeps_its_dashes() {
        let nvr: Nvr = "python3-dnf-plugins-4.14.0-1.fc40".parse().expect("an NVR");
        assert_eq!((nvr.name.as_str(), nvr.version.as_str(), nvr.release.as_str()), ("python3-dnf-plugins", "4.14.0", "1.fc40"));
        assert_eq!(nvr.to_string(), "python3-dnf-plugins-4.14.0-1.fc40");
    }

    #[test]
    fn texts_without_three_parts_are_refused() {
        for bad in ["", "a", "a-b", "-1-2", "a--2", "a-1-"] {
            assert!(bad.parse::<Nvr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_rpm_file_name_is_an_nvra() {
        let nvra: Nvra = "jq-1.6-2.fc40.x86_64.rpm".parse().expect("an NVRA");
        assert_eq!(nvra.arch, "x86_64");
        assert_eq!(nvra.to_string(), "jq-1.6-2.fc40.x86_64");
        assert!("jq-1.6-2".parse::<Nvra>().is_err());
    }
}
