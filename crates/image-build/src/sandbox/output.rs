//! Output of containers, cut into lines. What a build prints is arbitrary bytes of arbitrary length; what is logged is
//! text in lines of bounded length, and the last of them are kept for the error message.

use std::collections::VecDeque;

/// Longer lines are cut; the rest is dropped up to the line's end.
const LINE_BYTES: usize = 16 * 1024;
/// How many lines an error shows.
const TAIL_LINES: usize = 20;
/// How much of each.
const TAIL_CHARS: usize = 400;

/// Puts lines together from the pieces that reads return.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    line: Vec<u8>,
    dropped: usize,
}

impl LineSplitter {
    /// Takes bytes in; calls `emit` for every line that is now complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(String)) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = LINE_BYTES.saturating_sub(self.line.len()).min(text.len());
            let (kept, dropped) = text.split_at(room);
            self.line.extend_from_slice(kept);
            self.dropped += dropped.len();
            if ends {
                self.end_line(emit);
            }
        }
    }

    /// The input is over; a last line without an end counts.
    pub(crate) fn finish(&mut self, emit: &mut dyn FnMut(String)) {
        if !self.line.is_empty() {
            self.end_line(emit);
        }
    }

    fn end_line(&mut self, emit: &mut dyn FnMut(String)) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        // A terminal would show only what comes after the last carriage return (progress bars).
        let shown = line.rsplit(|b| *b == b'\r').next().unwrap_or(line);
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!(" [and {} bytes more]", self.dropped));
        }
        self.line.clear();
        self.dropped = 0;
        emit(text);
    }
}

/// The last lines of an output.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<String>);

impl Tail {
    pub(crate) fn push(&mut self, line: &str) {
        if self.0.len() == TAIL_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.chars().take(TAIL_CHARS).collect());
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, &mut |line| lines.push(line));
        }
        splitter.finish(&mut |line| lines.push(line));
        lines
    }

    #[test]
    fn lines_survive_being_read_in_pieces() {
        assert_eq!(lines(&[b"a", b"b\nc", b"\n\nlast"]), ["ab", "c", "", "last"]);
        assert_eq!(lines(&["dos\r\nhal".as_bytes(), &[0xc3], &[0xa9, b'\n', 0xff]]), ["dos", "hal\u{e9}", "\u{fffd}"]);
    }

    #[test]
    fn progress_bars_show_their_last_state() {
        assert_eq!(lines(&[b" 10%\r 50%\r100%\n"]), ["100%"]);
    }

    #[test]
    fn endless_lines_are_cut() {
        let long = vec![b'x'; LINE_BYTES + 7];
        let got = lines(&[&long, b"y\nnext\n"]);
        assert_eq!(got.len(), 2);
        assert!(got[0].ends_with("x [and 8 bytes more]") && got[1] == "next");
    }

    #[test]
    fn the_tail_is_short() {
        let mut tail = Tail::default();
        (0..100).for_each(|n| tail.push(&format!("{n}{}", "x".repeat(1000))));
        let lines = tail.into_lines();
        assert!(lines.len() == TAIL_LINES && lines[0].starts_with("80") && lines.iter().all(|l| l.len() <= TAIL_CHARS));
    }

    proptest::proptest! {
        #[test]
        fn how_the_bytes_arrive_does_not_matter(bytes: Vec<u8>, at: proptest::sample::Index) {
            let (a, b) = bytes.split_at(at.index(bytes.len() + 1));
            proptest::prop_assert_eq!(lines(&[&bytes]), lines(&[a, b]));
        }
    }
}
