//! How overlayfs spells deletions in an upper directory (Documentation/filesystems/overlayfs.rst), and which extended
//! attributes belong to an image.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

/// Marks a directory that hides everything below it in lower layers, with the value `y`.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";
/// Set on renamed directories when `redirect_dir` is on; such an upper is not self-contained.
pub(crate) const REDIRECT: &str = "trusted.overlay.redirect";
/// Set on files of which only the metadata was copied up when `metacopy` is on.
pub(crate) const METACOPY: &str = "trusted.overlay.metacopy";
/// Prefix of whiteout files in layer tars (image-spec layer.md).
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// Name of the entry that makes its directory opaque.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// Prefix of aufs' own bookkeeping; carries nothing.
pub(crate) const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// Whether `stat` is that of an overlay whiteout: a character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether the directory at `path` hides what lower layers have in it.
pub(crate) fn is_opaque(path: &Path) -> io::Result<bool> {
    let mut value = [0_u8; 2];
    match rustix::fs::lgetxattr(path, OPAQUE, &mut value) {
        Ok(length) => Ok(value.get(..length) == Some(b"y".as_slice())),
        // ERANGE: a longer value means something else.
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether an attribute is part of an image. Everything of overlayfs is not, nor are labels that belong to the
/// machine (`security.selinux`, `security.ima`) or to root's own programs (`trusted.*`).
pub(crate) fn is_image_xattr(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => name.starts_with(b"user.") && name.len() > 5 && !name.starts_with(b"user.overlay."),
    }
}

/// The image's extended attributes of the file at `path`, sorted by name. A symbolic link is not followed.
///
/// Capabilities bound to a user namespace (version 3) are written as version 2: the namespace ends with the build.
pub(crate) fn image_xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for name in xattr_names(path)? {
        if is_image_xattr(&name) {
            let mut value = xattr_value(path, OsStr::from_bytes(&name))?;
            if name == b"security.capability" {
                value = without_root_id(value);
            }
            found.push((name, value));
        }
    }
    found.sort();
    Ok(found)
}

/// Names of all extended attributes; empty where the file system has none.
pub(crate) fn xattr_names(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut list = Vec::new();
    loop {
        let size = match rustix::fs::llistxattr_query(path) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Ok(size) => size,
            Err(error) => return Err(error.into()),
        };
        list.resize(size, 0_u8);
        match rustix::fs::llistxattr(path, &mut list[..]) {
            Ok(length) => {
                list.truncate(length);
                return Ok(list.split(|b| *b == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect());
            }
            Err(Errno::RANGE) => {} // grew in between
            Err(error) => return Err(error.into()),
        }
    }
}

fn xattr_value(path: &Path, name: &OsStr) -> io::Result<Vec<u8>> {
    loop {
        let size = rustix::fs::lgetxattr_query(path, name)?;
        let mut value = vec![0_u8; size];
        match rustix::fs::lgetxattr(path, name, &mut value[..]) {
            Ok(length) => {
                value.truncate(length);
                return Ok(value);
            }
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `struct vfs_ns_cap_data` (version 3, 24 bytes) as `struct vfs_cap_data` (version 2, 20 bytes).
fn without_root_id(mut value: Vec<u8>) -> Vec<u8> {
    const VERSION_BYTE: usize = 3; // most significant byte of the little-endian magic
    if value.len() == 24 && value.get(VERSION_BYTE) == Some(&3) {
        value.truncate(20);
        if let Some(version) = value.get_mut(VERSION_BYTE) {
            *version = 2;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attributes_of_the_image_are_kept() {
        for kept in ["security.capability", "user.comment", "system.posix_acl_default"] {
            assert!(is_image_xattr(kept.as_bytes()), "{kept}");
        }
        for dropped in [
            "trusted.overlay.opaque",
            "trusted.x",
            "user.overlay.opaque",
            "user.",
            "security.selinux",
            "security.ima",
            "system.nfs4_acl",
        ] {
            assert!(!is_image_xattr(dropped.as_bytes()), "{dropped}");
        }
    }

    #[test]
    fn capabilities_of_a_user_namespace_lose_its_root_id() {
        let mut v3 = vec![1, 0, 0, 3];
        v3.extend([7; 16]);
        v3.extend([0xa0, 0x86, 1, 0]);
        let v2 = without_root_id(v3);
        assert_eq!((v2.len(), &v2[..4]), (20, &[1, 0, 0, 2][..]));
        assert_eq!(without_root_id(v2.clone()), v2);
    }
}
