//! COPY and ADD, parsed. Paths, `--chown`, `--chmod` and `--checksum` expand; `--from` never holds a variable.

use crate::Heredoc;

/// `COPY [flags] source… dest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// At least one.
    pub sources: Vec<CopySource>,
    /// Destination; a directory when it ends with `/` or there are several sources.
    pub dest: String,
    /// `--from`: stage name, stage number or image; see [`crate::BuildPlan::resolve_from`]. Always `None` for ADD.
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, in order; patterns, not expanded.
    pub exclude: Vec<String>,
}

/// One source of COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern below the source root; for ADD also a URL.
    Path(String),
    /// A file written in the Dockerfile itself; its name is the heredoc's word.
    Heredoc(Heredoc),
}

/// `ADD [flags] source… dest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// What it shares with COPY.
    pub copy: Copy,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// `--unpack`, where given.
    pub unpack: Option<bool>,
}
