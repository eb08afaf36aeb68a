//! Whether the program of a RUN exists in the image. Asked before the container starts, so that a missing one is the
//! Dockerfile's fault in plain words, and whatever the runtime complains of afterwards is the builder's.

use std::path::Path;

use crate::rootfs::RootDir;

/// Whether `program` can be found the way execvp(3) does. `unseen` are mount points whose content is not in `root`.
pub(super) fn exists(root: &RootDir, program: &str, path: &str, cwd: &str, unseen: &[&str]) -> bool {
    let is_file = |candidate: &str| {
        let hidden = unseen.iter().any(|m| Path::new(candidate).starts_with(m));
        hidden || root.resolve(Path::new(candidate)).is_ok_and(|found| found.is_file())
    };
    if program.contains('/') {
        return if program.starts_with('/') { is_file(program) } else { is_file(&format!("{cwd}/{program}")) };
    }
    path.split(':').any(|dir| is_file(&format!("{}/{program}", if dir.is_empty() { cwd } else { dir })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn programs_are_found_in_path_by_path_or_behind_a_mount() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("usr/bin")).expect("mkdir");
        fs::write(dir.path().join("usr/bin/tool"), "").expect("write");
        std::os::unix::fs::symlink("usr/bin", dir.path().join("bin")).expect("symlink");
        let root = RootDir::open(dir.path()).expect("open");
        let found = |program: &str| exists(&root, program, "/sbin:/bin", "/usr", &["/tools"]);
        assert!(found("tool") && found("/bin/tool") && found("bin/tool") && found("/tools/any"));
        assert!(!found("other") && !found("/tool") && !found("/usr/bin") && !found(""));
    }
}
