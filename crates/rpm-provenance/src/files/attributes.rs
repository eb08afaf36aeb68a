//! Extended attributes of a file in a layer: which of those that mean something it has, told by one system call.

use std::io;
use std::path::Path;

/// What the names of a file's extended attributes say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Attributes that layers carry and no package sets: access lists, and anybody's notes.
    pub foreign: bool,
    /// `security.capability`: rights, judged by what they are.
    pub capabilities: bool,
}

impl Attributes {
    /// Of the file itself, when it is a link.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut names = [0_u8; 4096];
        match rustix::fs::llistxattr(path, &mut names) {
            Ok(length) => Ok(Self::of_names(names.get(..length).unwrap_or_default())),
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(Self::default()),
            // No honest file has so many.
            Err(rustix::io::Errno::RANGE) => Ok(Self { foreign: true, capabilities: true }),
            Err(error) => Err(error.into()),
        }
    }

    fn of_names(names: &[u8]) -> Self {
        let mut found = Self::default();
        for name in names.split(|b| *b == 0) {
            found.capabilities |= name == b"security.capability";
            let of_layers = name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_");
            found.foreign |= of_layers && !name.starts_with(b"user.overlay.");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_overlay_and_labels_are_nobody_s_notes() {
        let of = |names: &[u8]| Attributes::of_names(names);
        assert_eq!(of(b""), Attributes::default());
        assert_eq!(of(b"security.selinux\0user.overlay.opaque\0trusted.overlay.opaque\0"), Attributes::default());
        assert_eq!(of(b"security.capability\0"), Attributes { foreign: false, capabilities: true });
        assert_eq!(of(b"user.note\0security.capability\0"), Attributes { foreign: true, capabilities: true });
        assert_eq!(of(b"system.posix_acl_access\0"), Attributes { foreign: true, capabilities: false });
    }
}
