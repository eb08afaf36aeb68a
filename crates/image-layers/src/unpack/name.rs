//! Names in layers: strangers' bytes become components of a relative path, or are refused.

use super::UnpackLimits;
use super::error::EntryProblem;

/// Longest single component Linux allows.
const COMPONENT_BYTES: usize = 255;
/// Deepest path. Deleting a tree takes a file descriptor per level; real images stay below 60.
pub(super) const DEPTH_MAX: usize = 256;

/// The components of `path`; empty for the root (`./`). `what` names it in errors: `name` or `link target`.
pub(super) fn components<'a>(path: &'a [u8], what: &'static str, limits: &UnpackLimits) -> Result<Vec<&'a [u8]>, EntryProblem> {
    if path.is_empty() {
        return Err(EntryProblem::NoName);
    }
    if path.contains(&0) {
        return Err(EntryProblem::Nul { what });
    }
    if path.starts_with(b"/") {
        return Err(EntryProblem::Absolute { what });
    }
    let too_long = || EntryProblem::TooLong { what, bytes: limits.path_bytes, depth: DEPTH_MAX };
    if path.len() > limits.path_bytes {
        return Err(too_long());
    }
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&b"..".as_slice()) {
        return Err(EntryProblem::ParentPart { what });
    }
    if parts.len() > DEPTH_MAX || parts.iter().any(|part| part.len() > COMPONENT_BYTES) {
        return Err(too_long());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(path: &[u8]) -> Result<Vec<&[u8]>, EntryProblem> {
        components(path, "name", &UnpackLimits::default())
    }

    #[test]
    fn redundant_parts_mean_nothing() {
        assert_eq!(parts(b"./usr//bin/./sh").expect("a path"), [b"usr".as_slice(), b"bin", b"sh"]);
        assert_eq!(parts(b"usr/").expect("a path"), [b"usr".as_slice()]);
        assert!(parts(b"./").expect("the root").is_empty());
        assert_eq!(parts(b"...").expect("a path"), [b"...".as_slice()]);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        assert!(matches!(parts(b""), Err(EntryProblem::NoName)));
        assert!(matches!(parts(b"/etc/passwd"), Err(EntryProblem::Absolute { .. })));
        for bad in [&b".."[..], b"../x", b"a/../../x", b"a/.."] {
            assert!(matches!(parts(bad), Err(EntryProblem::ParentPart { .. })), "{bad:?}");
        }
        assert!(matches!(parts(b"a\0b"), Err(EntryProblem::Nul { .. })));
        assert!(matches!(parts(&[b'a'; 256]), Err(EntryProblem::TooLong { .. })));
        assert!(matches!(parts(&b"a/".repeat(300)), Err(EntryProblem::TooLong { .. })));
        assert!(matches!(parts(&b"abcdefghi/".repeat(410)), Err(EntryProblem::TooLong { .. })));
    }
}
