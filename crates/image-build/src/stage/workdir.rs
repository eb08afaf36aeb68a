//! WORKDIR (engine: M5): a path joined to the one before, and a directory that exists from then on.

use std::os::fd::OwnedFd;
use std::path::Path;

use dockerfile::expand;

use super::StageState;
use crate::build::{Builder, Made};
use crate::error::StepError;
use crate::progress::StepInfo;
use crate::rootfs::{RootDir, Users};

impl Builder<'_> {
    /// Sets the working directory and makes it when it is missing, owned by the current USER.
    pub(crate) fn workdir(&mut self, state: &mut StageState, path: &str, step: &StepInfo) -> Result<Made, StepError> {
        let path = expand(path, self.plan.escape, &|name| state.lookup(name))?;
        if path.is_empty() {
            return Err(StepError::Invalid("WORKDIR needs a path".to_owned()));
        }
        let dir = clean(&state.absolute(&path));
        state.config.working_dir = dir.clone();
        let key = state.key.step("WORKDIR", [dir.as_bytes(), state.config.user.as_bytes()]);
        if let Some(made) = self.take_cached(state, &key, step)? {
            return Ok(made);
        }
        let view = self.view(&state.layers, state.base.as_ref())?;
        let there = view.root().resolve(Path::new(&dir)).map_err(StepError::path("find the working directory", &dir))?;
        if there.is_dir() {
            return Ok(self.nothing_made(state, key));
        }
        let user = Users::read(view.root())?.process_user(&state.config.user)?;
        drop(view);
        let snapshot = self.snapshot(state)?;
        drop(make(snapshot.root(), &dir, (user.uid, user.gid))?);
        self.made(state, key, snapshot.freeze()?, step)
    }
}

/// Makes a working directory.
pub(super) fn make(root: &RootDir, dir: &str, owner: (u32, u32)) -> Result<OwnedFd, StepError> {
    root.make_dirs(Path::new(dir), owner).map_err(StepError::path("make the working directory", dir))
}

/// An absolute path without `.`, `..` and double slashes.
fn clean(path: &str) -> String {
    let parts = crate::rootfs::components(Path::new(path));
    let parts: Vec<String> = parts.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_directories_are_clean() {
        for (path, expected) in [("/", "/"), ("//a/./b/", "/a/b"), ("/a/../..", "/"), ("/a/../b", "/b")] {
            assert_eq!(clean(path), expected);
        }
    }
}
