//! Reading and writing tar archives (POSIX pax and ustar, GNU long names; sparse files are only read), bytes in and out.
//!
//! Not the `tar` crate, for two reasons: its reader puts extended headers of any size into memory, and its writer gives
//! no say over when they are needed. Layers come from strangers and must come out the same every time.

mod entry;
mod error;
mod number;
mod overrides;
mod pax;
mod reader;
mod sparse;
mod sparse_file;
mod sparse_reader;
mod writer;

pub use entry::{TarEntry, TarKind, shown};
pub use error::TarError;
pub use reader::TarReader;
pub use sparse::SparseMap;
pub use sparse_file::SparseFileError;
pub use writer::TarWriter;

/// Tar archives consist of blocks of this size.
pub(crate) const BLOCK: usize = 512;

#[cfg(test)]
mod tests;
