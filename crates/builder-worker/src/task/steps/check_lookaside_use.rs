//! Whether an image was made with files of the lookaside cache. They are in no source RPM, so a source container of the image
//! would lack a part of its source without saying so; the earlier service refused such images, too (atomic-reactor,
//! fetch_sources). Called by `build_source_container.rs`.

use build_model::{Blame, BoxedDiagnose, Diagnose, Nvr, ScmUrl};
use dist_git::{SOURCES, ScmAllowList, parse_sources};
use koji_session::Build;

use super::fetch_source::checkout_log;
use crate::task::run::{TaskContext, WorkFileError};

/// The image has sources that are no RPMs.
#[derive(Debug, thiserror::Error)]
#[error("{nvr} was made with {count} files of the lookaside cache ({names}), which a source container does not hold")]
pub struct MadeWithLookaside {
    nvr: Nvr,
    count: usize,
    names: String,
}

impl Diagnose for MadeWithLookaside {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "source-lookaside"
    }
    fn hint(&self) -> Option<String> {
        Some("package these files as RPMs and build the image anew; then their source is an RPM's".into())
    }
}

/// Looks into the commit an image was built from; returns what the packager is told.
///
/// # Errors
/// [`MadeWithLookaside`], a source that this site does not allow any more, or git's.
pub async fn check_lookaside_use(context: &TaskContext<'_>, of: &Build) -> Result<Option<String>, BoxedDiagnose> {
    let Some(source) = of.source.as_deref().filter(|source| !source.is_empty()) else {
        return Ok(Some(format!(
            "Koji does not say what {} was built from; files of the lookaside cache are not looked for",
            of.nvr
        )));
    };
    let url: ScmUrl = source.parse()?;
    ScmAllowList::parse(&context.settings.scm.allowed).check(&url)?;
    let dest = context.work_dir.join("source");
    let tree = dist_git::checkout(&url, None, &dest, &checkout_log(context)).await?;
    let path = tree.root.join(SOURCES);
    if !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).map_err(|source| WorkFileError { path, source })?;
    let names: Vec<String> = parse_sources(&text)?.into_iter().map(|file| file.name).collect();
    if names.is_empty() {
        return Ok(None);
    }
    Err(MadeWithLookaside { nvr: of.nvr.clone(), count: names.len(), names: names.join(", ") }.into())
}
