//! New layers on their way: packed in the background, adopted by the store, remembered in the instruction cache.

mod arena;
mod cache;
mod cache_key;
mod packer;

pub(crate) use arena::Layers;
pub(crate) use cache::{StepCache, StepRecord};
pub(crate) use cache_key::CacheKey;
pub(crate) use packer::{PackJob, Packed, Packer, Packing};
