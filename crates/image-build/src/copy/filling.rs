//! Threads that make and fill the files of one COPY while the tree is walked on: most of the time a small file takes is the
//! kernel's, and it has several processors. Used by [`super::place`] and [`super::tree`].

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Scope;

use image_layers::Fillers;
use rustix::fs::Mode;

use super::CopyError;
use super::file::copy_content;
use super::open_dir::OpenDir;
use super::tree::{From, Rewrite, To, open_both, set_attributes};

/// Open files that wait; far below any limit.
const QUEUE: usize = 64;

/// A file to be filled.
pub(super) enum Filling {
    /// One that was made.
    Open {
        source: File,
        dest: File,
        /// Below the source root and in the image, for messages.
        paths: (PathBuf, PathBuf),
    },
    /// One that is to be made first, in a directory of the tree.
    Named { dir: Arc<OpenDir>, name: OsString, mode: Mode },
}

/// The threads.
pub(super) struct Filler(Fillers<Filling, CopyError>);

impl Filler {
    /// Starts them; each ends when the filler is finished or dropped.
    pub(super) fn start<'scope>(scope: &'scope Scope<'scope, '_>, rewrite: &'scope Rewrite) -> io::Result<Self> {
        let fillers = Fillers::start(scope, QUEUE, || {
            let mut buffer = Vec::new();
            move |filling| fill(filling, rewrite, &mut buffer)
        })?;
        Ok(Self(fillers))
    }

    /// Has a file filled. Gives the error of an earlier one.
    pub(super) fn fill(&self, filling: Filling) -> Result<(), CopyError> {
        if self.0.submit(filling) { Ok(()) } else { self.0.take_failure().map_or(Ok(()), Err) }
    }

    /// Waits until everything so far is filled.
    pub(super) fn wait(&self) -> Result<(), CopyError> {
        if self.0.wait() { Ok(()) } else { self.0.take_failure().map_or(Ok(()), Err) }
    }

    /// Waits until everything is filled.
    pub(super) fn finish(self) -> Result<(), CopyError> {
        self.0.finish()
    }
}

fn fill(job: Filling, rewrite: &Rewrite, buffer: &mut Vec<u8>) -> Result<(), CopyError> {
    let (source, dest, (from, to), dir) = match job {
        Filling::Open { source, dest, paths } => (source, dest, paths, None),
        Filling::Named { dir, name, mode } => {
            let (from, to) = (dir.from.join(&name), dir.to.join(&name));
            let here = From { dir: dir.source.as_fd(), name: &name, path: &from };
            let (source, dest) = open_both(&here, &To { dir: dir.dest.as_fd(), name: &name, path: &to }, mode)?;
            (source, dest, (from, to), Some(dir))
        }
    };
    let (mut source, mut dest) = (source, dest);
    let stat = rustix::fs::fstat(&source).map_err(|e| CopyError::read(&from)(e.into()))?;
    copy_content(&mut source, &stat, &mut dest, buffer).map_err(CopyError::write(&to))?;
    set_attributes(rewrite, (source.as_fd(), &stat), (dest.as_fd(), &to))?;
    dir.map_or(Ok(()), |dir| dir.release(rewrite))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_filled_fails_the_copy() {
        let dir = tempfile::tempdir().expect("a directory");
        let rewrite = Rewrite { owner: None, mode: None, devices: false };
        let filling = |number: usize| {
            let (from, to) = (dir.path().join(format!("from-{number}")), dir.path().join(format!("to-{number}")));
            std::fs::write(&from, "content").expect("written");
            // Every hundredth cannot be written to.
            let dest = File::create(&to).expect("created");
            let dest = if number % 100 == 50 { File::open(&to).expect("opened") } else { dest };
            Filling::Open { source: File::open(&from).expect("opened"), dest, paths: (from, to) }
        };
        let copy = |numbers: std::ops::Range<usize>| {
            std::thread::scope(|scope| {
                let filler = Filler::start(scope, &rewrite).expect("threads");
                let walked = numbers.into_iter().try_for_each(|number| filler.fill(filling(number)));
                walked.and(filler.finish())
            })
        };
        copy(0..50).expect("all are filled");
        assert_eq!(std::fs::read(dir.path().join("to-49")).expect("there"), b"content");
        for numbers in [40..51, 50..51, 50..250] {
            let error = copy(numbers).expect_err("one cannot be filled");
            assert!(error.to_string().contains("50"), "{error}");
        }
    }
}
