//! What the COPY and ADD instructions of a Dockerfile can have put into layers besides the commit's files as they are: members
//! of its archives, and texts in the Dockerfile. A build knows which layer an instruction made, because it made it; `verify` has
//! the image's own history for it, which may lie, and holds the content against these.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use dockerfile::{CopySource, InstructionKind};
use rpm_provenance::files::CommitContents;

use crate::build_context::BuildContext;

/// The contents, and what of them cannot be told.
pub(super) fn of_commit(root: &Path, read: &BuildContext) -> (CommitContents, Vec<String>) {
    let (mut contents, mut unread) = (CommitContents::default(), Vec::new());
    let mut has_add = false;
    for instruction in read.plan.stages.iter().flat_map(|stage| &stage.instructions) {
        let copy = match &instruction.kind {
            InstructionKind::Copy(copy) => copy,
            InstructionKind::Add(add) => {
                has_add |= add.copy.sources.iter().any(|source| matches!(source, CopySource::Path(_)));
                &add.copy
            }
            _ => continue,
        };
        for source in &copy.sources {
            if let CopySource::Heredoc(heredoc) = source {
                contents.add_text(&heredoc.body, heredoc.expand);
            }
        }
    }
    // ADD unpacks what its patterns and variables lead to; any archive of the commit is the commit's all the same.
    if has_add && let Err((path, error)) = add_archives(root, &mut contents) {
        let name = path.strip_prefix(root).unwrap_or(&path).display();
        unread.push(format!("the archive {name} of the commit cannot be read: {error}"));
    }
    (contents, unread)
}

fn add_archives(root: &Path, contents: &mut CommitContents) -> Result<(), (PathBuf, io::Error)> {
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).map_err(|error| (dir.clone(), error))? {
            let entry = entry.map_err(|error| (dir.clone(), error))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(|error| (entry.path(), error))?);
            if kind.is_dir() && entry.file_name() != ".git" {
                pending.push(path);
            } else if kind.is_file() {
                let members = File::open(&path).and_then(image_build::archive_contents).map_err(|error| (path, error))?;
                members.into_iter().flatten().for_each(|(size, sha256)| contents.add_file(size, sha256));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn members_of_archives_and_texts_of_the_dockerfile_are_the_commits() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut tar = tar_of("page.html", b"<p>hello");
        tar.extend([0; 1024]);
        fs::create_dir(dir.path().join("below")).expect("made");
        fs::write(dir.path().join("below/page.tar"), tar).expect("written");
        fs::write(dir.path().join("note"), "no archive").expect("written");
        let mut contents = CommitContents::default();
        add_archives(dir.path(), &mut contents).expect("read");
        let mut expected = CommitContents::default();
        expected.add_file(8, Sha256::digest(b"<p>hello").into());
        assert_eq!(contents, expected);
        fs::write(dir.path().join("cut.tar"), &tar_of("page.html", b"<p>hello")[..514]).expect("written");
        let (path, _) = add_archives(dir.path(), &mut contents).expect_err("cut off");
        assert!(path.ends_with("cut.tar"));
    }

    /// A ustar member.
    fn tar_of(name: &str, content: &[u8]) -> Vec<u8> {
        let mut block = [0_u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[108..115].copy_from_slice(b"0000000");
        block[116..123].copy_from_slice(b"0000000");
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[136..147].copy_from_slice(b"00000000000");
        block[148..156].copy_from_slice(b"        ");
        block[156] = b'0';
        block[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut out = block.to_vec();
        out.extend(content);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}
