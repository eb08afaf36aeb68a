//! The repositories' definitions as mounts for RUN steps: generated ones over the image's own, and nothing of what an
//! image says about other places in sight. Edits of RUN steps are thrown away; the image's own files stay as they are.

use std::path::{Path, PathBuf};

use build_model::BoxedDiagnose;
use image_build::{InjectedKind, InjectedMount, Progress, ProgressEvent};
use rpm_provenance::{Gate, gate};

use super::bases::BaseOfRuns;
use super::{GATE_PORT, GatedBuildError};

/// Largest dnf.conf that is read.
const MAX_CONF: u64 = 1 << 20;

/// The generated definitions, written below `work_dir`: the same for every base image.
pub(super) fn definitions(gate: &Gate, work_dir: &Path) -> Result<InjectedMount, BoxedDiagnose> {
    let dir = work_dir.join("repos");
    for (target, text) in gate.repo_files(GATE_PORT) {
        write(&dir.join(target.trim_start_matches('/')), &text)?;
    }
    Ok(scratch(dir.join(gate::REPO_DIR.trim_start_matches('/')), gate::REPO_DIR))
}

/// What of one base image is kept out of sight.
pub(super) fn concealed(
    base: &BaseOfRuns,
    work_dir: &Path,
    progress: &dyn Progress,
) -> Result<Vec<InjectedMount>, BoxedDiagnose> {
    let dir = work_dir.join("conceal").join(base.chain.hex());
    let mut mounts = Vec::new();
    for target in gate::OTHER_REPO_DIRS {
        if base.view.list(target).is_ok_and(|names| !names.is_empty()) {
            let empty = dir.join("empty");
            std::fs::create_dir_all(&empty).map_err(|source| GatedBuildError::RepoFiles { path: empty.clone(), source })?;
            mounts.push(scratch(empty, target));
        }
    }
    for target in confs(base) {
        let target = target.as_str();
        // A link leads to the other one of the two.
        if !base.view.symlink_metadata(target).is_ok_and(|m| m.is_some_and(|m| m.is_file())) {
            continue;
        }
        let Ok(Some(conf)) = base.view.read(target, MAX_CONF) else { continue };
        let Some(without) = gate::without_repositories(&String::from_utf8_lossy(&conf)) else { continue };
        let text = format!(
            "{target} of {} names repositories; RUN steps see it without them, and what they change in it is thrown away",
            base.reference
        );
        progress.event(ProgressEvent::Note { text });
        let file = dir.join(target.trim_start_matches('/'));
        write(&file, &without)?;
        mounts.push(scratch(file, target));
    }
    Ok(mounts)
}

/// The files of a base image that may name repositories in their `[main]`.
fn confs(base: &BaseOfRuns) -> Vec<String> {
    let drop_ins = gate::CONF_DIRS.into_iter().flat_map(|dir| {
        let names = base.view.list(dir).unwrap_or_default(); // no such directory: no such package manager
        names.into_iter().filter(|name| name.ends_with(gate::CONF_ENDING)).map(move |name| format!("{dir}/{name}"))
    });
    gate::MAIN_CONFS.into_iter().map(str::to_owned).chain(drop_ins).collect()
}

fn scratch(source: PathBuf, target: &str) -> InjectedMount {
    InjectedMount { source, target: target.to_owned(), kind: InjectedKind::OverlayScratch }
}

fn write(path: &Path, text: &str) -> Result<(), GatedBuildError> {
    let failed = |source| GatedBuildError::RepoFiles { path: path.to_owned(), source };
    std::fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    std::fs::write(path, text).map_err(failed)
}
