//! Paths inside a repository: what a location in its metadata, or a request, may look like.

/// Whether `location` is a plain relative path that stays inside: no `..`, no scheme, no control characters.
pub fn is_inside(location: &str) -> bool {
    !location.is_empty()
        && location.len() <= 2048
        && !location.starts_with('/')
        && !location.contains("://")
        && !location.bytes().any(|b| b < b' ' || b == 0x7f || b == b'\\')
        && location.split('/').all(|part| !matches!(part, ".." | "." | ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_stay_inside() {
        for good in ["a.rpm", "Packages/g/gcc-c++-1-1.x86_64.rpm", "toplink/packages/a/1/1/x86_64/a-1-1.x86_64.rpm", "a..b"] {
            assert!(is_inside(good), "{good}");
        }
        for bad in ["", "/a", "../a", "a/..", "a/../b", "./a", "a//b", "https://h/a", "a\0", "a\nb", "..\\a"] {
            assert!(!is_inside(bad), "{bad}");
        }
    }
}
