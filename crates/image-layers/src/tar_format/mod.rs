//! stub
/// stub
#[derive(Debug, thiserror::Error)]
#[error("tar")]
pub struct TarError;
