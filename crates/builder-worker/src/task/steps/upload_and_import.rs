//! `CGImport`. What a task writes goes into a fresh upload directory: the hub moves the files away and, on an error
//! after that, deletes them (koji-facts §6), so a directory is never used twice, and never the one the logs stream to.

use std::path::{Path, PathBuf};

use build_model::{Blame, BoxedDiagnose, BuildId, Diagnose};
use content_generator::ImportInput;
use koji_session::HubError;

use super::{now, still_ours};
use crate::task::run::{TaskContext, WorkFileError};
use crate::worker::Reserved;

/// The directory of an import: the hub's whole work directory, because its files come from several tasks.
const WORK: &str = ".";

/// A plugin of the hub refused the import: ours (`koji-plugin/hub/containerbuild.py`), or one of the site's.
#[derive(Debug, thiserror::Error)]
#[error("the hub refused the import: {text}")]
pub struct ImportRefused {
    text: String,
    plugin: String,
}

impl ImportRefused {
    /// Tells a plugin's refusal from other faults.
    fn of(error: HubError) -> BoxedDiagnose {
        let HubError::Fault(fault) = &error else { return error.into() };
        let Some(refusal) = fault.callback_refusal() else { return error.into() };
        tracing::warn!(%fault, "the hub refused the import");
        let text = match refusal.exception {
            "koji.ParameterError" => refusal.text.to_owned(),
            // No refusal but a failure: its class is part of what happened.
            exception => format!("its {} callback failed with {exception}: {}", refusal.callback, refusal.text),
        };
        ImportRefused { text, plugin: refusal.plugin.to_owned() }.into()
    }
}

impl Diagnose for ImportRefused {
    fn blame(&self) -> Blame {
        Blame::Hub
    }
    fn kind(&self) -> &'static str {
        "import-refused"
    }
    fn hint(&self) -> Option<String> {
        Some(format!(
            "the hub's plugin {} says so; its configuration and the hub's log tell its administrators more",
            self.plugin
        ))
    }
}

/// A directory below the hub's work directory that no other run of this task has used: the reservation's token is new, or
/// the time is.
pub fn upload_dir(context: &TaskContext<'_>, reserved: &Reserved) -> String {
    let mark: String = reserved.token.chars().take(8).collect();
    format!("koji-upload/containerbuild-{}-{}-{mark}", context.task, now())
}

/// Uploads `uploads` (local path, name) and the metadata, and imports the build. `dir` is a directory for the metadata.
///
/// # Errors
/// The metadata's, the disk's, the hub's, or that the task is not this builder's any more.
pub async fn upload_and_import(
    context: &TaskContext<'_>,
    reserved: &Reserved,
    upload_dir: &str,
    dir: &Path,
    mut uploads: Vec<(PathBuf, String)>,
    input: &ImportInput,
) -> Result<BuildId, BoxedDiagnose> {
    let metadata = content_generator::metadata(input)?;
    let metadata_path = dir.join("metadata.json");
    std::fs::write(&metadata_path, metadata.to_string())
        .map_err(|source| WorkFileError { path: metadata_path.clone(), source })?;
    uploads.push((metadata_path, "metadata.json".into()));
    for (path, name) in &uploads {
        context.session.upload_file(path, upload_dir, name, &|_, _| {}).await?;
    }
    // CGImport itself is not tied to the task, so ask last thing before it.
    still_ours(context).await?;
    let build = import_once(context, reserved, upload_dir).await?;
    context.log.step(&format!("imported {} as build {build}", reserved.nvr));
    Ok(build)
}

/// Imports; when the answer was lost, looks whether the hub did it (hubs before 1.36 do not notice a repeated call).
async fn import_once(context: &TaskContext<'_>, reserved: &Reserved, upload_dir: &str) -> Result<BuildId, BoxedDiagnose> {
    let metadata = format!("{}/metadata.json", upload_dir);
    match context.session.import(&metadata, WORK, &reserved.token).await {
        Ok(build) => Ok(build),
        Err(error) => match context.session.get_build(&reserved.nvr).await {
            Ok(Some(build)) if build.state == koji_session::BuildState::Complete && build.task_id == Some(context.task) => {
                Ok(build.id)
            }
            _ => Err(ImportRefused::of(error)),
        },
    }
}
