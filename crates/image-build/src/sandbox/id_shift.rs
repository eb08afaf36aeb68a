//! How containers in a user namespace see files whose owners on disk are those of the image.
//!
//! Everything of a RUN's root, the layers below and the upper directory alike, is reached through one mount of the store
//! with the namespace's ids (MOUNT_ATTR_IDMAP): root on disk is the container's root, and what the container's root
//! writes is root's on disk. Layers, COPY, the packer and the cache never meet a shifted id, so that a layer is the same
//! with and without a user namespace.
//!
//! overlayfs works on the upper directory as whoever mounted it. The host's root does not exist behind such a mount
//! (the overlay would come up read-only), so a thread that has become the container's root mounts it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits, set_thread_res_gid, set_thread_res_uid};

use super::{EngineDir, SandboxError, UserNamespace};
use crate::mounts::{Mounted, bind, bind_with_ids};

/// The store with a user namespace's ids, and the namespace's file for the runtime.
#[derive(Debug)]
pub(crate) struct IdShift {
    namespace: Arc<UserNamespace>,
    store: PathBuf,
    reachable: PathBuf,
    shifted_store: Mounted,
    file: Mounted,
}

impl IdShift {
    /// Mounts the store at `store` with the ids of `namespace`, below the engine's directory.
    ///
    /// # Errors
    /// The kernel (before 5.12) or the store's file system knows no such mounts.
    pub(crate) fn new(namespace: Arc<UserNamespace>, store: &Path, engine: &EngineDir) -> Result<Self, SandboxError> {
        let target = engine.path().join("store");
        std::fs::create_dir(&target).map_err(SandboxError::path("make the directory", &target))?;
        let root = File::open(store).map_err(SandboxError::path("open", store))?;
        let shifted_store = bind_with_ids(rustix::fd::AsFd::as_fd(&root), &target, rustix::fd::AsFd::as_fd(&*namespace))
            .map_err(SandboxError::path("mount with other owners", store))?;
        let path = engine.path().join("user-namespace");
        File::create(&path).map_err(SandboxError::path("create", &path))?;
        let file = bind(rustix::fd::AsFd::as_fd(&*namespace), &path).map_err(SandboxError::path("mount", &path))?;
        let reachable = engine.reachable().to_owned();
        Ok(Self { namespace, store: store.to_owned(), reachable, shifted_store, file })
    }

    pub(crate) fn namespace(&self) -> &UserNamespace {
        &self.namespace
    }

    /// The file that stands for the namespace.
    pub(crate) fn file(&self) -> &Path {
        self.file.target()
    }

    /// Where something of the store is with shifted ids. What is in the reachable directory has them already.
    ///
    /// # Errors
    /// It is elsewhere.
    pub(crate) fn shifted(&self, path: &Path) -> io::Result<PathBuf> {
        if path.starts_with(&self.reachable) {
            return Ok(path.to_owned());
        }
        let below = path.strip_prefix(&self.store);
        below.map(|below| self.shifted_store.target().join(below)).map_err(|_| io::ErrorKind::CrossesDevices.into())
    }

    /// Does `work` on a thread that is the namespace's root to the file system, and has the capabilities of this process.
    pub(crate) fn as_container_root<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let root = self.namespace.host_root();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                // Credentials are a thread's own; this one ends with them. Without the bit it would lose its capabilities.
                set_capabilities_secure_bits(CapabilitiesSecureBits::NO_SETUID_FIXUP)?;
                set_thread_res_gid(None, Some(Gid::from_raw(root)), None)?;
                set_thread_res_uid(None, Some(Uid::from_raw(root)), None)?;
                work()
            });
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the mounting thread panicked")))
        })
    }
}
