//! RPM architectures as Koji spells them, and the OCI platform names for them.

use crate::{Blame, Diagnose};

/// A canonical Koji architecture (`x86_64`, `aarch64`, `ppc64le`, `s390x`, `i386`, `armhfp`, `riscv64`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Arch(String);

/// A text that is no architecture name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an architecture name")]
pub struct ArchError(pub String);

impl Diagnose for ArchError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "arch-name"
    }
}

impl Arch {
    /// The canonical form of `name`, as koji.canonArch does it (`i686` → `i386`, `armv7hl` → `armhfp`).
    ///
    /// # Errors
    /// When `name` is empty, longer than the hub's 16 characters, or holds anything but letters, digits and `_`.
    pub fn canonical(name: &str) -> Result<Self, ArchError> {
        let ok = !name.is_empty() && name.len() <= 16 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !ok {
            return Err(ArchError(name.to_owned()));
        }
        Ok(Arch(match name {
            "i486" | "i586" | "i686" | "athlon" => "i386".into(),
            "armv7l" | "armv7hl" | "armv7hnl" | "armv6hl" => "armhfp".into(),
            "amd64" | "ia32e" | "x86_64_v2" | "x86_64_v3" => "x86_64".into(),
            other => other.into(),
        }))
    }

    /// The architecture this program was compiled for.
    pub fn host() -> Self {
        let name = match std::env::consts::ARCH {
            "x86" => "i386",
            "powerpc64" => "ppc64le",
            "arm" => "armhfp",
            other => other,
        };
        Arch(name.to_owned())
    }

    /// Koji's spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The OCI (Go) spelling: `amd64`, `arm64`, …
    pub fn oci(&self) -> &str {
        match self.0.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "i386" => "386",
            "armhfp" => "arm",
            other => other,
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_kojis_and_ocis_spelling() {
        for (given, koji, oci) in [("i686", "i386", "386"), ("x86_64", "x86_64", "amd64"), ("aarch64", "aarch64", "arm64")] {
            let arch = Arch::canonical(given).expect("an arch");
            assert_eq!((arch.as_str(), arch.oci()), (koji, oci));
        }
        assert!(Arch::canonical("x86_64 aarch64").is_err());
    }
}
