//! Mounts with owners, and the two kinds the engine makes itself: plain binds, also with other ids (mount_setattr(2),
//! MOUNT_ATTR_IDMAP), and small file systems in memory. overlayfs is in [`crate::snapshot`].

mod bind;
mod memory;
mod mounted;

pub(crate) use bind::{bind, bind_with_ids};
pub(crate) use memory::memory;
pub(crate) use mounted::Mounted;
