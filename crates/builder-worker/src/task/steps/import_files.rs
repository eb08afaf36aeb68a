//! Files of an import as the metadata describes them: size and checksum of what is uploaded.

use std::path::Path;

use content_generator::{Checksum, OutputFile};
use sha2::{Digest as _, Sha256};

use crate::task::run::WorkFileError;

/// Describes the file at `path`, uploaded as `name` into `dir`.
///
/// # Errors
/// When it cannot be read.
pub fn output_file(path: &Path, name: &str, dir: Option<&str>) -> Result<OutputFile, WorkFileError> {
    let failed = |source| WorkFileError { path: path.to_owned(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        let n = std::io::Read::read(&mut file, &mut buffer).map_err(failed)?;
        if n == 0 {
            break;
        }
        sum.update(&buffer[..n]);
        size += n as u64;
    }
    let digest = build_model::Digest::from_sha256(&sum.finalize().into());
    let checksum = Checksum::Sha256(digest.hex().to_owned());
    Ok(OutputFile { name: name.to_owned(), dir: dir.map(str::to_owned), size, checksum })
}
