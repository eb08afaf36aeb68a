//! Files a packager reads after the build, put into the task's output whether it succeeded or not.

use build_model::BoxedDiagnose;
use content_generator::OutputFile;

use super::import_files::output_file;
use crate::task::log::remote_dir;
use crate::task::run::TaskContext;

/// Uploads small text files (reports) into the task's output directory, from its work directory, and says what is there.
///
/// # Errors
/// The disk's or the hub's.
pub async fn archive_logs(context: &TaskContext<'_>, files: &[(String, String)]) -> Result<Vec<OutputFile>, BoxedDiagnose> {
    let mut uploaded = Vec::new();
    let dir = remote_dir(context.task);
    for (name, text) in files {
        let path = context.work_dir.join(name);
        std::fs::write(&path, text).map_err(|source| crate::task::run::WorkFileError { path: path.clone(), source })?;
        context.session.upload_file(&path, &dir, name, &|_, _| {}).await?;
        uploaded.push(output_file(&path, name, Some(&dir))?);
    }
    Ok(uploaded)
}
