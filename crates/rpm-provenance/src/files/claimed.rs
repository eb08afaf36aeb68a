//! What COPY and ADD of a Dockerfile can have put into a layer besides files of the commit as they are: members of archives,
//! and texts in the Dockerfile. For `verify`, which has nothing but an image's own history for which instruction made which
//! layer: a history may lie, so that the content decides.

use std::collections::HashSet;

/// Longest file that is compared with a text.
const TEXT_MAX: u64 = 1 << 20;

/// A text as it stands, or with gaps where variables stood.
type Pieces = Vec<String>;

/// Contents that a commit explains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitContents {
    files: HashSet<(u64, [u8; 32])>,
    texts: Vec<Pieces>,
}

impl CommitContents {
    /// Adds a member of an archive, by its size and SHA-256.
    pub fn add_file(&mut self, size: u64, sha256: [u8; 32]) {
        self.files.insert((size, sha256));
    }

    /// Adds a text of the Dockerfile; `expand`: the builder puts values in the place of its variables.
    pub fn add_text(&mut self, body: &str, expand: bool) {
        self.texts.push(if expand { pieces(body) } else { vec![body.to_owned()] });
    }

    /// Whether a file of this size is worth a look, by its digest and as a text.
    pub(super) fn may_hold(&self, size: u64) -> (bool, bool) {
        (self.files.iter().any(|(other, _)| *other == size), size <= TEXT_MAX && !self.texts.is_empty())
    }

    /// Whether it is the content of a member.
    pub(super) fn has_file(&self, size: u64, sha256: &[u8; 32]) -> bool {
        self.files.contains(&(size, *sha256))
    }

    /// Whether it is one of the texts.
    pub(super) fn has_text(&self, content: &[u8]) -> bool {
        std::str::from_utf8(content).is_ok_and(|content| self.texts.iter().any(|text| fits(text, content)))
    }
}

/// The text between variables (`$NAME`, `${…}`), escapes taken out.
fn pieces(body: &str) -> Pieces {
    let (mut found, mut rest) = (vec![String::new()], body);
    while let Some(at) = rest.find(['$', '\\']) {
        let (before, after) = rest.split_at(at);
        let escaped = after.starts_with('\\');
        let after = after.get(1..).unwrap_or_default();
        let last = found.last_mut();
        last.into_iter().for_each(|piece| piece.push_str(before));
        if escaped {
            // `\$` is a dollar, `\\` a backslash; before anything else it stays.
            let kept = if after.starts_with(['$', '\\']) { "" } else { "\\" };
            let next = after.chars().next().map_or(0, char::len_utf8);
            found
                .last_mut()
                .into_iter()
                .for_each(|piece| piece.push_str(&format!("{kept}{}", after.get(..next).unwrap_or_default())));
            rest = after.get(next..).unwrap_or_default();
            continue;
        }
        let end = match after.strip_prefix('{') {
            Some(inner) => inner.find('}').map_or(after.len(), |end| end + 2),
            None => after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len()),
        };
        if end == 0 {
            found.last_mut().into_iter().for_each(|piece| piece.push('$'));
        } else {
            found.push(String::new());
        }
        rest = after.get(end..).unwrap_or_default();
    }
    found.last_mut().into_iter().for_each(|piece| piece.push_str(rest));
    found
}

/// Whether `content` is the pieces with values between them. A value is a word or a path: with the characters that mean
/// something to a shell it could be anything.
fn fits(pieces: &[String], content: &str) -> bool {
    let Some((first, others)) = pieces.split_first() else { return content.is_empty() };
    let Some(mut rest) = content.strip_prefix(first.as_str()) else { return false };
    let is_value = |value: &str| value.chars().all(|c| c.is_alphanumeric() || "-_.,:+@%/=~ ".contains(c));
    let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
    for piece in middle {
        let Some((value, after)) = rest.split_once(piece.as_str()) else { return false };
        if !is_value(value) {
            return false;
        }
        rest = after;
    }
    rest.strip_suffix(last.as_str()).is_some_and(is_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(body: &str, expand: bool, content: &str) -> bool {
        let mut contents = CommitContents::default();
        contents.add_text(body, expand);
        contents.has_text(content.as_bytes())
    }

    #[test]
    fn a_text_is_itself_but_for_the_values_of_its_variables() {
        assert!(holds("#!/bin/sh\nexec $APP --v ${V:-1}\n", true, "#!/bin/sh\nexec /srv/app --v 2.5\n"));
        assert!(holds("cost \\$5 of \\\\ and \\n, $\n", true, "cost $5 of \\ and \\n, $\n"));
        assert!(holds("exec $APP\n", false, "exec $APP\n"));
        for content in ["exec /srv/app; rm -rf /\n", "exec a\nexec b\n", "exec `b`\n", "exec /srv/app\nmore\n", "other\n"] {
            assert!(!holds("exec $APP\n", true, content), "{content}");
        }
        assert!(!holds("exec $APP\n", false, "exec /srv/app\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(body in "([$\\\\{}aä\\n]|\\$\\{A:-b\\}){0,30}", content in "[aä$\\n]{0,20}") {
            let _ = holds(&body, true, &content);
        }
    }
}
