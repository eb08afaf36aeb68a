//! Whether the program of a RUN exists in the image. Asked before the container starts, so that a missing one is the
//! Dockerfile's fault in plain words, and whatever the runtime complains of afterwards is the builder's.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::rootfs::RootDir;

/// Whether `program` can be found and executed, looked for as execvp(3) does: a file with an execute bit, and if it is a
/// script, with an interpreter that is there. `unseen` are mount points whose content is not in `root`.
pub(super) fn can_run(root: &RootDir, program: &str, path: &str, cwd: &str, unseen: &[&str]) -> bool {
    let is_file = |candidate: &str| {
        let hidden = unseen.iter().any(|m| Path::new(candidate).starts_with(m));
        hidden || is_executable(root, candidate, unseen)
    };
    if program.contains('/') {
        return if program.starts_with('/') { is_file(program) } else { is_file(&format!("{cwd}/{program}")) };
    }
    path.split(':').any(|dir| is_file(&format!("{}/{program}", if dir.is_empty() { cwd } else { dir })))
}

fn is_executable(root: &RootDir, path: &str, unseen: &[&str]) -> bool {
    let Ok(found) = root.resolve(Path::new(path)) else { return false };
    if !found.is_file() || found.stat.as_ref().is_none_or(|s| s.st_mode & 0o111 == 0) {
        return false;
    }
    let Some(interpreter) = interpreter(root, &found.path) else { return true };
    let hidden = unseen.iter().any(|m| Path::new(&interpreter).starts_with(m));
    hidden || root.resolve(Path::new(&interpreter)).is_ok_and(|found| found.is_file())
}

/// What the first line of a script names after `#!`.
fn interpreter(root: &RootDir, path: &Path) -> Option<String> {
    // As much as the kernel looks at (execve(2)).
    let mut start = [0; 255];
    let file = File::from(root.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK).ok()?);
    let n = file.read_at(&mut start, 0).ok()?;
    let line = start.get(..n)?.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    line.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_are_found_in_path_by_path_or_behind_a_mount() {
        let dir = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(dir.path().join("usr/bin")).expect("mkdir");
        for (name, text, mode) in
            [("tool", "", 0o755), ("data", "", 0o644), ("script", "#! /bin/tool -x\n", 0o755), ("lost", "#!/bin/perl\n", 0o755)]
        {
            let path = dir.path().join("usr/bin").join(name);
            fs::write(&path, text).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        }
        std::os::unix::fs::symlink("usr/bin", dir.path().join("bin")).expect("symlink");
        let root = RootDir::open(dir.path()).expect("open");
        let found = |program: &str| can_run(&root, program, "/sbin:/bin", "/usr", &["/tools"]);
        assert!(found("tool") && found("/bin/tool") && found("bin/tool") && found("/tools/any"));
        assert!(found("script") && !found("lost") && !found("data"));
        assert!(!found("other") && !found("/tool") && !found("/usr/bin") && !found(""));
    }
}
