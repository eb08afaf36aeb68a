//! How overlayfs spells deletions in an upper directory (Documentation/filesystems/overlayfs.rst), and which extended
//! attributes belong to an image.

use std::ffi::OsStr;
use std::fs::File;
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
        _ => name.starts_with(b"user.") && name.len() > 5 && !OVERLAYS.iter().any(|marks| name.starts_with(marks)),
    }
}

/// What overlays write down beside files for themselves: the kernel's without privileges, fuse-overlayfs, and containers'
/// storage for owners and modes that are others than the file's. In an image they would hide directories, or give a file the
/// setuid bit, for those readers alone.
const OVERLAYS: [&[u8]; 3] = [b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers."];

/// Where attributes are read: at a path, whose last link is not followed, or of an open file, which spares the kernel the
/// way there.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// By its path.
    Path(&'a Path),
    /// Opened.
    File(&'a File),
}

/// The names of a file's extended attributes.
pub(crate) struct XattrNames<'a> {
    place: Place<'a>,
    /// Each with a NUL at its end.
    names: Vec<u8>,
}

impl Place<'_> {
    fn list(self, list: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Place::Path(path) => rustix::fs::llistxattr(path, list),
            Place::File(file) => rustix::fs::flistxattr(file, list),
        }
    }

    fn get(self, name: &OsStr, value: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Place::Path(path) => rustix::fs::lgetxattr(path, name, value),
            Place::File(file) => rustix::fs::fgetxattr(file, name, value),
        }
    }

    fn value(self, name: &OsStr) -> io::Result<Vec<u8>> {
        with_room(|value| self.get(name, value)).map_err(io::Error::from)
    }
}

impl<'a> XattrNames<'a> {
    /// Asks for them; none where the file system has none.
    pub(crate) fn of(place: Place<'a>) -> io::Result<Self> {
        match with_room(|list| place.list(list)) {
            Ok(names) => Ok(Self { place, names }),
            Err(Errno::OPNOTSUPP) => Ok(Self { place, names: Vec::new() }),
            Err(error) => Err(error.into()),
        }
    }

    /// The names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.names.split(|b| *b == 0).filter(|name| !name.is_empty())
    }

    /// Whether one of them is `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.iter().any(|found| found == name.as_bytes())
    }

    /// The image's attributes, sorted by name.
    ///
    /// Capabilities bound to a user namespace (version 3) are written as version 2: the namespace ends with the build.
    pub(crate) fn of_image(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for name in self.iter().filter(|name| is_image_xattr(name)) {
            let mut value = self.place.value(OsStr::from_bytes(name))?;
            if name == b"security.capability" {
                value = without_root_id(value);
            }
            found.push((name.to_vec(), value));
        }
        found.sort();
        Ok(found)
    }
}

/// The image's extended attributes of the file at `path`, sorted by name. A symbolic link is not followed.
pub(crate) fn image_xattrs(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    XattrNames::of(Place::Path(path))?.of_image()
}

/// What `ask` puts into a buffer, which grows until it is large enough. Most files have no attributes: one question is all.
fn with_room(ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut small = [0_u8; 512];
    match ask(&mut small) {
        Ok(length) => return Ok(small.get(..length).unwrap_or_default().to_vec()),
        Err(Errno::RANGE) => {}
        Err(error) => return Err(error),
    }
    // The most that Linux keeps for one file, names or value.
    let mut large = vec![0_u8; 64 << 10];
    let length = ask(&mut large)?;
    large.truncate(length);
    Ok(large)
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
            "user.fuseoverlayfs.opaque",
            "user.containers.override_stat",
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
