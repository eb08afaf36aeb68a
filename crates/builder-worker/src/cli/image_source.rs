//! Images on the command line: `oci:DIR[:REF]`, `oci-archive:FILE`, `docker-archive:FILE`, or a registry reference
//! (optionally `docker://…`), as skopeo and podman spell them (containers-transports(5)).

use std::path::PathBuf;
use std::str::FromStr;

use build_model::{Arch, BoxedDiagnose};
use image_layers::{LocalImage, Store, docker_archive, oci_archive, oci_layout};
use registry::{ImageReference, Registry};

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageLocation {
    /// An OCI layout directory, and the name inside it where there are several.
    Oci(PathBuf, Option<String>),
    /// A tar of an OCI layout.
    OciArchive(PathBuf),
    /// A tar as `docker save` writes it.
    DockerArchive(PathBuf),
    /// An image in a registry.
    Registry(String),
}

impl std::fmt::Display for ImageLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImageLocation::Oci(dir, None) => write!(f, "oci:{}", dir.display()),
            ImageLocation::Oci(dir, Some(name)) => write!(f, "oci:{}:{name}", dir.display()),
            ImageLocation::OciArchive(file) => write!(f, "oci-archive:{}", file.display()),
            ImageLocation::DockerArchive(file) => write!(f, "docker-archive:{}", file.display()),
            ImageLocation::Registry(reference) => f.write_str(reference),
        }
    }
}

impl FromStr for ImageLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = |rest: &str| if rest.is_empty() { Err(format!("`{text}` names no path")) } else { Ok(PathBuf::from(rest)) };
        if let Some(rest) = text.strip_prefix("oci:") {
            let (dir, name) = match rest.rsplit_once(':') {
                Some((dir, name)) if !name.contains('/') => (dir, Some(name.to_owned())),
                _ => (rest, None),
            };
            return Ok(ImageLocation::Oci(path(dir)?, name));
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            return Ok(ImageLocation::OciArchive(path(rest)?));
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            return Ok(ImageLocation::DockerArchive(path(rest)?));
        }
        let reference = text.strip_prefix("docker://").unwrap_or(text);
        reference.parse::<ImageReference>().map_err(|e| e.to_string())?;
        Ok(ImageLocation::Registry(reference.to_owned()))
    }
}

impl ImageLocation {
    /// Brings the image into the store.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub async fn load(&self, store: &Store, registry: &Registry, arch: &Arch) -> Result<LocalImage, BoxedDiagnose> {
        Ok(match self {
            ImageLocation::Oci(dir, name) => oci_layout::read(store, dir, name.as_deref(), arch.oci())?,
            ImageLocation::OciArchive(file) => oci_archive::read(store, file, None, arch.oci())?,
            ImageLocation::DockerArchive(file) => docker_archive::read(store, file, None)?,
            ImageLocation::Registry(reference) => {
                let resolved = registry.resolve_known(&reference.parse::<ImageReference>()?, arch, store).await?;
                registry.pull(&resolved.reference, arch, store, &|_| {}).await?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_told_apart() {
        let parse = |text: &str| text.parse::<ImageLocation>();
        assert_eq!(parse("oci:/tmp/x"), Ok(ImageLocation::Oci("/tmp/x".into(), None)));
        assert_eq!(parse("oci:/tmp/x:web"), Ok(ImageLocation::Oci("/tmp/x".into(), Some("web".into()))));
        assert_eq!(parse("docker-archive:a.tar"), Ok(ImageLocation::DockerArchive("a.tar".into())));
        assert_eq!(parse("docker://r.example/x:1"), Ok(ImageLocation::Registry("r.example/x:1".into())));
        assert!(parse("oci:").is_err());
        assert!(parse("busybox").is_err(), "short names are not guessed");
    }
}
