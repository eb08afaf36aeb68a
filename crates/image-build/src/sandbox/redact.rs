//! Keeps secrets out of what is logged: every line of a command's output goes through here before anybody sees it.

/// Shorter pieces are no secrets, and would turn a log into asterisks.
const SHORTEST: usize = 4;

/// What must not be shown, with what is shown instead.
#[derive(Default)]
pub(crate) struct Redaction(Vec<(String, String)>);

impl Redaction {
    /// Adds the secret `id`. Output comes in lines, so each line of the secret is one piece.
    pub(crate) fn add(&mut self, id: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        for line in text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST) {
            self.0.push((line.to_owned(), format!("[secret {id}]")));
        }
        // The longest first: a secret may be part of another.
        self.0.sort_by_key(|(piece, _)| std::cmp::Reverse(piece.len()));
    }

    /// The line without secrets.
    pub(crate) fn apply(&self, line: String) -> String {
        self.0.iter().fold(line, |line, (piece, instead)| if line.contains(piece) { line.replace(piece, instead) } else { line })
    }
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redaction of {} pieces", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_secret_is_hidden_wherever_it_stands() {
        let mut redaction = Redaction::default();
        redaction.add("token", b"hunter2hunter2\n");
        redaction.add("key", b"-----BEGIN-----\nabcdef\n}\n");
        let shown = |line: &str| redaction.apply(line.to_owned());
        assert_eq!(shown("x hunter2hunter2, hunter2hunter2"), "x [secret token], [secret token]");
        assert_eq!(shown("  abcdef"), "  [secret key]");
        assert_eq!((shown("}"), shown("hunter2")), ("}".to_owned(), "hunter2".to_owned()));
        assert!(!format!("{redaction:?}").contains("hunter2"));
    }

    #[test]
    fn of_secrets_in_each_other_the_longer_wins() {
        let mut redaction = Redaction::default();
        redaction.add("short", b"pass");
        redaction.add("long", b"password");
        assert_eq!(redaction.apply("password pass".to_owned()), "[secret long] [secret short]");
    }
}
