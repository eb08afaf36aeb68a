//! Path patterns: `*` and `?` stay within one component, `**` does not.

/// Whether the whole path matches.
pub(super) fn matches(pattern: &[u8], path: &[u8]) -> bool {
    // Almost every question is answered by the plain beginning and end of the pattern.
    let is_wild = |b: &u8| matches!(b, b'*' | b'?');
    let begins = pattern.split(is_wild).next().unwrap_or_default();
    let ends = pattern.rsplit(is_wild).next().unwrap_or_default();
    if begins.len() == pattern.len() {
        return pattern == path;
    }
    if !path.starts_with(begins) || !path.ends_with(ends) {
        return false;
    }
    // One row of the usual table: which beginnings of the path the pattern so far can stand for.
    let mut reach = vec![false; path.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    let mut rest = pattern;
    while let Some((&symbol, after)) = rest.split_first() {
        let deep = symbol == b'*' && after.first() == Some(&b'*');
        rest = if deep { after.get(1..).unwrap_or_default() } else { after };
        let mut next = vec![false; reach.len()];
        for at in 0..next.len() {
            let get = |row: &[bool], i: Option<usize>| i.and_then(|i| row.get(i)).copied().unwrap_or(false);
            let before = at.checked_sub(1);
            let byte = before.and_then(|b| path.get(b)).copied();
            let possible = match symbol {
                b'*' => get(&reach, Some(at)) || (get(&next, before) && (deep || byte != Some(b'/'))),
                b'?' => get(&reach, before) && byte != Some(b'/'),
                _ => get(&reach, before) && byte == Some(symbol),
            };
            if let Some(slot) = next.get_mut(at) {
                *slot = possible;
            }
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stays_within_its_directory_and_two_do_not() {
        let cases = [
            ("/etc/*.conf", "/etc/a.conf", true),
            ("/etc/*.conf", "/etc/d/a.conf", false),
            ("/etc/**", "/etc/d/a.conf", true),
            ("/etc/**/x", "/etc/a/b/x", true),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", false),
            ("/a", "/ab", false),
            ("", "", true),
            ("/*/b", "/a/b", true),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }
}
