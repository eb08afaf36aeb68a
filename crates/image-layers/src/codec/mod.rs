//! How layer blobs are compressed and inflated.

mod blocks;
mod decode;
mod gzip;
mod incompressible;

pub(crate) use blocks::BlockWriter;
pub use decode::decoder;

use crate::media_types::{OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};

/// The usual level of libdeflate: the lowest at which layers are no larger than those that buildah and podman push
/// (measured on programs and documents, half-compressible and hardly compressible data: 1 to 6 % smaller). Level 6 saves
/// 2 % more for half as much time again.
const GZIP_LEVEL: u32 = 2;
/// The usual level of libzstd: the lowest at which layers are smaller than with gzip in all of the same data. Level 3, the
/// usual one elsewhere, saves 1 to 7 % more for a third more time.
const ZSTD_LEVEL: i32 = 2;

/// Compression of a layer blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// gzip, readable by everything. Level 1 to 12; 2 is usual.
    Gzip {
        /// The level of libdeflate.
        level: u32,
    },
    /// zstd: smaller and three times as fast, but not known to Docker's manifest format. Level 1 to 19; 2 is usual.
    Zstd {
        /// The level of libzstd.
        level: i32,
    },
    /// A plain tar.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Gzip { level: GZIP_LEVEL }
    }
}

/// A text that names no compression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no compression: give gzip, gzip:1 to gzip:12, zstd, zstd:1 to zstd:19, or none")]
pub struct CompressionError {
    text: String,
}

/// `gzip`, `zstd:19`, `none`: the name, and where one wants it the level.
impl std::str::FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u32>().ok())),
            None => (text, None),
        };
        match (name, level) {
            ("gzip", None) => Ok(Compression::Gzip { level: GZIP_LEVEL }),
            ("gzip", Some(Some(level @ 1..=12))) => Ok(Compression::Gzip { level }),
            ("zstd", None) => Ok(Compression::Zstd { level: ZSTD_LEVEL }),
            ("zstd", Some(Some(level @ 1..=19))) => Ok(Compression::Zstd { level: level.cast_signed() }),
            ("none", None) => Ok(Compression::None),
            _ => Err(CompressionError { text: text.to_owned() }),
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Compression::Gzip { level } => write!(f, "gzip:{level}"),
            Compression::Zstd { level } => write!(f, "zstd:{level}"),
            Compression::None => f.write_str("none"),
        }
    }
}

impl Compression {
    /// The OCI media type of a layer compressed this way.
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::Gzip { .. } => OCI_LAYER_GZIP,
            Compression::Zstd { .. } => OCI_LAYER_ZSTD,
            Compression::None => OCI_LAYER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_have_names_with_levels() {
        for (text, expected) in [
            ("gzip", Compression::Gzip { level: GZIP_LEVEL }),
            ("gzip:12", Compression::Gzip { level: 12 }),
            ("zstd", Compression::Zstd { level: ZSTD_LEVEL }),
            ("zstd:19", Compression::Zstd { level: 19 }),
            ("none", Compression::None),
        ] {
            let parsed: Compression = text.parse().expect(text);
            assert_eq!(parsed, expected);
            assert_eq!(parsed.to_string().parse(), Ok(expected));
        }
        for bad in ["", "xz", "gzip:0", "gzip:13", "zstd:20", "zstd:", "none:1", "gzip:6:1"] {
            let error = bad.parse::<Compression>().expect_err(bad);
            assert!(error.to_string().contains("zstd:1 to zstd:19"), "{error}");
        }
    }
}
