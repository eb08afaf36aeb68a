//! Splitting a line into words. Two ways, as in the reference: at blanks only (FROM, COPY, ADD, EXPOSE, VOLUME), or
//! with quotes and escapes respected but kept in the words (ENV, LABEL, ARG); [`crate::expand`] removes them later.

use super::statement::{Slice, is_blank};

/// Words between blanks; quotes mean nothing.
pub(super) fn split_blanks<'t>(slice: Slice<'t>) -> Vec<Slice<'t>> {
    let mut words = Vec::new();
    let mut start = None;
    for (i, c) in slice.text.char_indices().chain([(slice.text.len(), ' ')]) {
        match (is_blank(c), start) {
            (true, Some(from)) => {
                words.push(Slice { text: slice.text.get(from..i).unwrap_or_default(), offset: slice.offset + from });
                start = None;
            }
            (false, None) => start = Some(i),
            _ => {}
        }
    }
    words
}

/// Words between blanks outside quotes. Quotes and escapes stay in the words, which are slices of the line.
pub(super) fn split_quoted<'t>(slice: Slice<'t>, escape: char) -> Vec<Slice<'t>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote: Option<char> = None;
    let mut chars = slice.text.char_indices();
    while let Some((i, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                if let Some(from) = start.take() {
                    words.push(Slice { text: slice.text.get(from..i).unwrap_or_default(), offset: slice.offset + from });
                }
                continue;
            }
            None => {
                start.get_or_insert(i);
                if c == '\'' || c == '"' {
                    quote = Some(c);
                } else if c == escape {
                    chars.next();
                }
            }
            Some(q) if c == q => quote = None,
            Some('"') if c == escape => {
                chars.next();
            }
            Some(_) => {}
        }
    }
    if let Some(from) = start {
        words.push(slice.from(from));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> Vec<&str> {
        split_quoted(Slice { text, offset: 0 }, '\\').into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn quotes_and_escapes_hold_words_together_and_stay() {
        assert_eq!(quoted(r#"a="b c" d='e f' g=h\ i"#), [r#"a="b c""#, "d='e f'", r"g=h\ i"]);
        assert_eq!(quoted(r#"a="b \" c" d"#), [r#"a="b \" c""#, "d"]);
        assert_eq!(quoted(r"a='b \' c"), [r"a='b \'", "c"]);
        assert_eq!(quoted("a=\"open b"), ["a=\"open b"]);
        assert_eq!(quoted("a=\\"), ["a=\\"]);
    }

    #[test]
    fn blanks_alone_split_and_offsets_are_kept() {
        let words = split_blanks(Slice { text: " a\t\"b c\"", offset: 10 });
        assert_eq!(words.iter().map(|w| (w.text, w.offset)).collect::<Vec<_>>(), [("a", 11), ("\"b", 13), ("c\"", 16)]);
    }
}
