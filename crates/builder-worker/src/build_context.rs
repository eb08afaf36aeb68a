//! A directory with a Dockerfile, read and planned: the same for a task's checkout and for `containerbuild build DIR`.

use std::path::{Path, PathBuf};

use build_model::{Arch, Blame, BoxedDiagnose, Diagnose};
use dockerfile::{Base, BuildPlan, IgnoreRules, PlanOptions, Platform};
use rustix::io::Errno;

/// A Dockerfile, read and planned.
pub struct BuildContext {
    /// File name as errors show it, relative to the context where it lies inside.
    pub dockerfile_name: String,
    /// The stages to run.
    pub plan: BuildPlan,
    /// `NAME.dockerignore` or `.dockerignore`, when there is one.
    pub ignore: Option<IgnoreRules>,
}

/// Why the files of a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is absurdly large.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

impl Diagnose for ContextError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "build-context"
    }
}

impl BuildContext {
    /// The reference of the image the target stage starts from, through the stages it is based on.
    pub fn base_reference(&self) -> Option<&str> {
        let mut stage = self.plan.target()?;
        loop {
            match &stage.base {
                Base::Image(image) => return Some(image),
                Base::Scratch => return None,
                Base::Stage(index) => stage = self.plan.stage(*index)?,
            }
        }
    }
}

/// A Dockerfile is text a person wrote; this is far beyond any.
const MAX_DOCKERFILE: u64 = 4 << 20;

/// Reads the Dockerfile at `path` and the ignore file that belongs to it.
///
/// # Errors
/// Every problem of the Dockerfile at once, each with line and column; or the file that cannot be read.
pub fn read_build_context(root: &Path, path: &Path, options: &PlanOptions) -> Result<BuildContext, BoxedDiagnose> {
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let text = read_limited(path)?.ok_or_else(|| ContextError::Read { path: path.to_owned(), source: Errno::NOENT.into() })?;
    let file = dockerfile::parse(&text, &name)?;
    let plan = dockerfile::plan(&file, options)?;
    let own = path.with_file_name(format!("{}.dockerignore", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut ignore = None;
    for candidate in [own, root.join(".dockerignore")] {
        if let Some(text) = read_limited(&candidate)? {
            ignore = Some(IgnoreRules::parse(&String::from_utf8_lossy(&text))?);
            break;
        }
    }
    Ok(BuildContext { dockerfile_name: name, plan, ignore })
}

/// The OCI platform of an architecture.
pub fn platform(arch: &Arch) -> Platform {
    Platform { os: "linux".into(), architecture: arch.oci().to_owned(), variant: None }
}

fn read_limited(path: &Path) -> Result<Option<Vec<u8>>, ContextError> {
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > MAX_DOCKERFILE => {
            return Err(ContextError::TooLarge { path: path.to_owned(), limit: MAX_DOCKERFILE });
        }
        _ => {}
    }
    std::fs::read(path).map(Some).map_err(|source| ContextError::Read { path: path.to_owned(), source })
}
