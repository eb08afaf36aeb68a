//! `[gate]`: the worker's own copy of what content sources offer.

use serde::{Deserialize, Serialize};

/// The gate's settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateSettings {
    /// Space for packages, metadata and package managers' caches in `state_dir`, in GB; what was not used for longest goes
    /// first. 0 sets no limit. One build may exceed it by what it needs itself.
    pub cache_gb: u64,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self { cache_gb: 20 }
    }
}

impl GateSettings {
    /// The limit in bytes.
    pub fn cache_limit(&self) -> Option<u64> {
        (self.cache_gb > 0).then(|| self.cache_gb.saturating_mul(1 << 30))
    }
}
