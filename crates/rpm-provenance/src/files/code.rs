//! What can be run: told from the first bytes, the mode and the name of a file.

/// Whether a file can be run, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Data.
    None,
    /// For an interpreter, or executable by its mode alone.
    Script,
    /// Machine code or byte code: nobody can review it.
    Binary,
}

/// Bytes needed to tell.
pub(super) const HEAD: usize = 8;

/// First bytes of machine code and byte code.
const MAGIC: [&[u8]; 7] = [
    b"\x7fELF",
    b"MZ",
    b"\0asm",
    b"\xca\xfe\xba\xbe", // Java class
    b"!<arch>\n",        // static library
    b"\xcf\xfa\xed\xfe", // Mach-O
    b"BC\xc0\xde",       // LLVM
];

/// Judges a regular file that is not empty.
pub(super) fn judge(head: &[u8], mode: u32, name: &[u8]) -> Code {
    if MAGIC.iter().any(|magic| head.starts_with(magic)) || is_shared_object_name(name) {
        Code::Binary
    } else if head.starts_with(b"#!") || mode & 0o111 != 0 {
        Code::Script
    } else {
        Code::None
    }
}

/// `libx.so`, `libx.so.1.2`; not `x.sock` or `ld.so.conf`.
pub(crate) fn is_shared_object_name(name: &[u8]) -> bool {
    let Some(at) = name.windows(3).rposition(|w| w == b".so") else { return false };
    let rest = name.get(at + 3..).unwrap_or_default();
    at > 0 && (rest.is_empty() || (rest.starts_with(b".") && rest.iter().all(|b| b.is_ascii_digit() || *b == b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_data() {
        assert_eq!(judge(b"\x7fELF\x02", 0o644, b"data.txt"), Code::Binary);
        assert_eq!(judge(b"text", 0o644, b"libx.so.1.2"), Code::Binary);
        assert_eq!(judge(b"#!/bin/s", 0o644, b"x"), Code::Script);
        assert_eq!(judge(b"text", 0o755, b"x"), Code::Script);
        for name in ["ld.so.conf", "ld.so.cache", "x.sock", ".so", "note.soap"] {
            assert_eq!(judge(b"text", 0o644, name.as_bytes()), Code::None, "{name}");
        }
    }
}
