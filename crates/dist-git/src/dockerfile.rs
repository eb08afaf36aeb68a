//! Finding the Dockerfile in a build context, without being led out of it by a symbolic link.

use std::path::{Path, PathBuf};

use build_model::{Blame, Diagnose};

/// The names looked for, in order.
const NAMES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// Why there is no usable Dockerfile.
#[derive(Debug, thiserror::Error)]
pub enum DockerfileError {
    /// Neither name is there.
    #[error("the repository holds neither a Dockerfile nor a Containerfile{}", nearby.as_ref().map(|n| format!(" (but `{n}`)")).unwrap_or_default())]
    NotFound {
        /// A file whose name differs only in case or ending.
        nearby: Option<String>,
    },
    /// It is a symbolic link to somewhere outside, or to nothing.
    #[error("{name} is a symbolic link to `{target}`, which is not a file inside the repository")]
    Outside {
        /// Its name.
        name: &'static str,
        /// Where the link points.
        target: String,
    },
    /// It is a directory or the like.
    #[error("{name} is not a file")]
    NotAFile {
        /// Its name.
        name: &'static str,
    },
    /// It could not be looked at.
    #[error("cannot look at {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnose for DockerfileError {
    fn blame(&self) -> Blame {
        match self {
            DockerfileError::Io { .. } => Blame::Site,
            _ => Blame::Packager,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            DockerfileError::NotFound { .. } => "dockerfile-not-found",
            DockerfileError::Outside { .. } => "dockerfile-outside",
            DockerfileError::NotAFile { .. } => "dockerfile-not-a-file",
            DockerfileError::Io { .. } => "checkout-directory",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            DockerfileError::NotFound { .. } => {
                Some("where it is in a directory below, name that; in a source URL so: …?DIRECTORY#COMMIT".to_owned())
            }
            _ => None,
        }
    }
}

/// The Dockerfile of a build context: `Dockerfile`, else `Containerfile`. A symbolic link is fine as long as it ends at
/// a regular file inside `root`.
///
/// # Errors
/// When there is none, or the one there is leads out of `root` or is no file. A bad `Dockerfile` is an error even if
/// there is a good `Containerfile`: guessing would build something else than the packager sees.
pub fn find_dockerfile(root: &Path) -> Result<PathBuf, DockerfileError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| DockerfileError::Io { path, source }
    };
    let inside = root.canonicalize().map_err(io(root))?;
    for name in NAMES {
        let path = root.join(name);
        let kind = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(io(&path)(e)),
        };
        if kind.is_symlink() {
            // also fails for links to nothing and for loops
            let end = path.canonicalize().ok().filter(|end| end.starts_with(&inside) && end.is_file());
            if end.is_none() {
                let target = std::fs::read_link(&path).map_err(io(&path))?.display().to_string();
                return Err(DockerfileError::Outside { name, target });
            }
        } else if !kind.is_file() {
            return Err(DockerfileError::NotAFile { name });
        }
        return Ok(path);
    }
    Err(DockerfileError::NotFound { nearby: nearby(root) })
}

/// A file that may have been meant: `dockerfile`, `Dockerfile.rhel9`, …
fn nearby(root: &Path) -> Option<String> {
    let entries = std::fs::read_dir(root).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| {
            let lower = name.to_ascii_lowercase();
            NAMES.iter().any(|wanted| lower.starts_with(&wanted.to_ascii_lowercase()))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn context(files: &[&str], links: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for file in files {
            std::fs::write(dir.path().join(file), "FROM scratch\n").expect("written");
        }
        for (name, target) in links {
            symlink(target, dir.path().join(name)).expect("linked");
        }
        dir
    }

    fn found(dir: &tempfile::TempDir) -> String {
        find_dockerfile(dir.path()).expect("found").file_name().expect("a name").to_string_lossy().into_owned()
    }

    #[test]
    fn a_dockerfile_comes_before_a_containerfile() {
        assert_eq!(found(&context(&["Dockerfile", "Containerfile"], &[])), "Dockerfile");
        assert_eq!(found(&context(&["Containerfile"], &[])), "Containerfile");
    }

    #[test]
    fn a_link_inside_the_context_is_followed() {
        assert_eq!(found(&context(&["Dockerfile.el9"], &[("Dockerfile", "Dockerfile.el9")])), "Dockerfile");
    }

    #[test]
    fn links_that_leave_the_context_are_refused() {
        for target in ["/etc/passwd", "../x", "nothing", "Dockerfile", ".", "/proc/self/root/etc/passwd"] {
            let dir = context(&["Containerfile"], &[("Dockerfile", target)]);
            let error = find_dockerfile(dir.path()).expect_err(target);
            assert!(matches!(error, DockerfileError::Outside { name: "Dockerfile", .. }), "{error}");
            assert!(error.to_string().contains(target), "{error}");
        }
        let dir = context(&[], &[("out", "/etc"), ("Dockerfile", "out/passwd")]);
        assert!(matches!(find_dockerfile(dir.path()), Err(DockerfileError::Outside { .. })));
    }

    #[test]
    fn a_directory_is_no_dockerfile() {
        let dir = context(&[], &[]);
        std::fs::create_dir(dir.path().join("Dockerfile")).expect("made");
        assert!(matches!(find_dockerfile(dir.path()), Err(DockerfileError::NotAFile { .. })));
    }

    #[test]
    fn a_near_miss_is_named() {
        let error = find_dockerfile(context(&["dockerfile.rhel9"], &[]).path()).expect_err("none");
        assert_eq!(error.to_string(), "the repository holds neither a Dockerfile nor a Containerfile (but `dockerfile.rhel9`)");
    }
}
