//! `os/architecture[/variant]` as in FROM --platform, in the spelling of the OCI image-spec.

use std::fmt;
use std::str::FromStr;

/// A platform in OCI spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Platform {
    /// `linux`, …
    pub os: String,
    /// `amd64`, `arm64`, `ppc64le`, `s390x`, …
    pub architecture: String,
    /// `v7`, … where the architecture has variants.
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Not one to three parts of letters, digits, `_`, `-`, `.`.
    #[error("`{0}` is not a platform: it is written os/architecture, like linux/amd64")]
    Syntax(String),
    /// One part that is neither a known system nor a known architecture.
    #[error("`{0}` is neither a known operating system nor a known architecture")]
    Unknown(String),
}

const SYSTEMS: [&str; 12] =
    ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly", "solaris", "illumos", "aix", "android", "plan9"];
const ARCHITECTURES: [&str; 14] = [
    "amd64", "arm64", "386", "arm", "ppc64le", "ppc64", "s390x", "s390", "riscv64", "mips64le", "mips64", "mips", "loong64",
    "wasm",
];

impl FromStr for Platform {
    type Err = PlatformError;

    /// Accepts `os/arch[/variant]`, an architecture alone (for linux), and the usual other names of architectures.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let well_formed =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !parts.iter().all(well_formed) {
            return Err(PlatformError::Syntax(text.to_owned()));
        }
        match parts.as_slice() {
            [one] => {
                let (architecture, variant) = normal(one, None);
                if ARCHITECTURES.contains(&architecture.as_str()) {
                    return Ok(Platform { os: "linux".to_owned(), architecture, variant });
                }
                let os = one.to_ascii_lowercase();
                if SYSTEMS.contains(&os.as_str()) {
                    let (architecture, variant) = normal(build_model::Arch::host().oci(), None);
                    return Ok(Platform { os, architecture, variant });
                }
                Err(PlatformError::Unknown(text.to_owned()))
            }
            [os, arch] => Ok(Self::of(os, normal(arch, None))),
            [os, arch, variant] => Ok(Self::of(os, normal(arch, Some(variant)))),
            _ => Err(PlatformError::Syntax(text.to_owned())),
        }
    }
}

impl Platform {
    fn of(os: &str, (architecture, variant): (String, Option<String>)) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        Platform { os, architecture, variant }
    }
}

/// Architecture and variant under their OCI names.
fn normal(architecture: &str, variant: Option<&str>) -> (String, Option<String>) {
    let architecture = architecture.to_ascii_lowercase();
    let variant = variant.map(str::to_ascii_lowercase);
    let (architecture, variant) = match architecture.as_str() {
        "x86_64" | "x86-64" => ("amd64", variant),
        "aarch64" => ("arm64", variant),
        "i386" | "i486" | "i586" | "i686" => ("386", None),
        "armhf" => ("arm", Some("v7".to_owned())),
        "armel" => ("arm", Some("v6".to_owned())),
        other => (other, variant),
    };
    let variant = match (architecture, variant.as_deref()) {
        // What everyone means where no variant is said.
        ("arm64", Some("8" | "v8")) | ("amd64", Some("v1")) => None,
        ("arm", None) => Some("v7".to_owned()),
        ("arm", Some(v @ ("5" | "6" | "7" | "8"))) => Some(format!("v{v}")),
        _ => variant,
    };
    (architecture.to_owned(), variant)
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_become_the_oci_one() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("s390x", "linux/s390x"),
        ] {
            assert_eq!(text.parse::<Platform>().expect(text).to_string(), normal);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "/", "linux/", "a/b/c/d", "linux/a b", "vax"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
