//! stub
use std::io;
use std::path::PathBuf;

/// What a container would see: a stack of layer directories as one tree, without mounting anything.
#[derive(Debug, Clone)]
pub struct MergedView {
    layers: Vec<PathBuf>,
}

impl MergedView {
    /// A view of `layer_dirs_top_first`.
    pub fn new(layer_dirs_top_first: Vec<PathBuf>) -> Self {
        Self { layers: layer_dirs_top_first }
    }
    /// Host path.
    pub fn lookup(&self, _path: &str) -> Option<PathBuf> {
        self.layers.first().cloned()
    }
    /// Content of a file.
    ///
    /// # Errors
    /// stub
    pub fn read(&self, _path: &str, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// Names.
    ///
    /// # Errors
    /// stub
    pub fn list(&self, _dir: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
}
