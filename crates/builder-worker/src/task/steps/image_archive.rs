//! An image as Koji keeps it: a `docker-archive` file. It is written beside whatever the build does meanwhile, because that
//! takes as long as the rest of a small build; nothing of it leaves this machine before it is asked to.
//! Called by `build_arch.rs`, which knows first what is in the image, `publish_arch.rs` and `build_source_container.rs`.

use std::path::PathBuf;

use build_model::{Arch, BoxedDiagnose};
use content_generator::OutputFile;
use image_layers::{LocalImage, Store, docker_archive};
use tokio::task::JoinHandle;

use super::import_files::output_file;
use crate::task::run::{TaskContext, WorkFileError};

/// An archive that is being written.
pub struct ImageArchive {
    path: PathBuf,
    name: String,
    written: JoinHandle<Result<OutputFile, BoxedDiagnose>>,
}

impl ImageArchive {
    /// Begins to write an image; `inside` is the name in the archive, `REPOSITORY:TAG`.
    pub fn begin(context: &TaskContext<'_>, store: &Store, image: &LocalImage, arch: &Arch, inside: String) -> Self {
        let name = format!("docker-image-{}.{arch}.tar.gz", image.manifest.config.digest.hex());
        let path = context.work_dir.join(&name);
        let (store, image, to, named) = (store.clone(), image.clone(), path.clone(), name.clone());
        let written = tokio::task::spawn_blocking(move || {
            docker_archive::write(&store, &image, &to, &[inside], true)?;
            Ok(output_file(&to, &named, None)?)
        });
        Self { path, name, written }
    }

    /// Waits for its end, uploads it into `dir` and removes it here.
    ///
    /// # Errors
    /// The disk's or the hub's.
    pub async fn upload(self, context: &TaskContext<'_>, dir: &str) -> Result<OutputFile, BoxedDiagnose> {
        let Self { path, name, written } = self;
        let file = written.await.map_err(|source| WorkFileError { path: path.clone(), source: source.into() })??;
        context.session.upload_file(&path, dir, &name, &|_, _| {}).await?;
        std::fs::remove_file(&path).map_err(|source| WorkFileError { path, source })?;
        Ok(OutputFile { dir: Some(dir.to_owned()), ..file })
    }
}
