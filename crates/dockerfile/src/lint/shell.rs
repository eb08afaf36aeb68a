//! The simple commands of a shell script, as far as a linter needs them: words without quotes, files written to.
//!
//! No shell: variables stay as they are, and what a word becomes is not known. Command substitutions and `sh -c` are
//! looked into.

/// Scripts inside scripts: deeper ones are not looked at.
const MAX_DEPTH: u32 = 8;

/// One command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ShellCommand {
    /// Program and arguments; assignments, `sudo`, `exec` and the like before them are left out.
    pub words: Vec<String>,
    /// Targets of `>` and `>>`.
    pub writes: Vec<String>,
    /// Its standard input is a pipe.
    pub piped: bool,
}

impl ShellCommand {
    /// The program's name without its directory.
    pub fn program(&self) -> &str {
        let first = self.words.first().map_or("", String::as_str);
        first.rsplit('/').next().unwrap_or(first)
    }

    /// What follows the program.
    pub fn args(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The arguments that are not options.
    pub fn operands(&self) -> impl Iterator<Item = &str> {
        self.args().iter().map(String::as_str).filter(|a| !a.starts_with('-'))
    }

    /// Whether one of these options is given, alone or with `=value`.
    pub fn has_option(&self, names: &[&str]) -> bool {
        self.args().iter().any(|arg| names.contains(&arg.split('=').next().unwrap_or(arg)))
    }
}

/// The commands of a script, in order; those of an inner script after the one that holds it.
pub(super) fn commands(script: &str) -> Vec<ShellCommand> {
    let mut found = Vec::new();
    read_script(script, 0, &mut found);
    found
}

fn read_script(script: &str, depth: u32, found: &mut Vec<ShellCommand>) {
    if depth > MAX_DEPTH {
        return;
    }
    let mut reader = Reader { rest: script, ..Reader::default() };
    reader.run();
    for command in reader.commands {
        let inner = inner_script(&command).map(str::to_owned);
        found.push(command);
        if let Some(inner) = inner {
            read_script(&inner, depth + 1, found);
        }
    }
    for inner in reader.inner {
        read_script(inner, depth + 1, found);
    }
}

/// The script of `sh -c SCRIPT`.
fn inner_script(command: &ShellCommand) -> Option<&str> {
    if !matches!(command.program(), "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh") {
        return None;
    }
    let flag = command.args().iter().position(|a| a.starts_with('-') && !a.starts_with("--") && a.contains('c'))?;
    command.args().get(flag + 1).map(String::as_str)
}

/// What the next word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Expected {
    #[default]
    Word,
    Written,
    Read,
}

#[derive(Default)]
struct Reader<'s> {
    rest: &'s str,
    commands: Vec<ShellCommand>,
    inner: Vec<&'s str>,
    command: ShellCommand,
    word: Option<String>,
    expected: Expected,
}

impl<'s> Reader<'s> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn push(&mut self, c: char) {
        self.word.get_or_insert_default().push(c);
    }

    fn run(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => self.push(c),
                },
                '\'' => {
                    self.word.get_or_insert_default();
                    while let Some(c) = self.next().filter(|c| *c != '\'') {
                        self.push(c);
                    }
                }
                '"' => self.double_quoted(),
                '$' => self.dollar(),
                '`' => self.backticks(),
                '#' if self.word.is_none() => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = self.rest.get(end..).unwrap_or_default();
                }
                '&' if self.rest.starts_with('>') => {}
                '>' | '<' => self.redirection(c),
                '\n' | ';' | '&' | '(' | ')' => self.end_command(false),
                '|' if self.rest.starts_with('|') => {
                    self.next();
                    self.end_command(false);
                }
                '|' => self.end_command(true),
                c if c.is_whitespace() => self.end_word(),
                c => self.push(c),
            }
        }
        self.end_command(false);
    }

    fn double_quoted(&mut self) {
        self.word.get_or_insert_default();
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '$' => self.dollar(),
                '`' => self.backticks(),
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '$' | '`' | '\\')) => self.push(c),
                    Some(c) => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                c => self.push(c),
            }
        }
    }

    /// After `$`: a command substitution is noted and leaves `$()` in the word.
    fn dollar(&mut self) {
        self.push('$');
        if !self.rest.starts_with('(') {
            return;
        }
        if self.rest.starts_with("((") {
            let end = self.rest.find("))").map_or(self.rest.len(), |i| i + 2);
            self.rest = self.rest.get(end..).unwrap_or_default();
            return;
        }
        let end = closing(self.rest);
        let inside = self.rest.get(1..end).unwrap_or_default();
        self.inner.push(inside);
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.push('(');
        self.push(')');
    }

    fn backticks(&mut self) {
        let end = self.rest.find('`').unwrap_or(self.rest.len());
        self.inner.push(self.rest.get(..end).unwrap_or_default());
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.word.get_or_insert_default().push_str("$()");
    }

    /// After `>` or `<`. A word of digits before it is a file descriptor.
    fn redirection(&mut self, sign: char) {
        if self.word.as_ref().is_some_and(|w| w.bytes().all(|b| b.is_ascii_digit())) {
            self.word = None;
        }
        self.end_word();
        self.rest = self.rest.trim_start_matches(['>', '<', '|', '&', '-']);
        self.expected = if sign == '>' { Expected::Written } else { Expected::Read };
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        match std::mem::take(&mut self.expected) {
            Expected::Word if self.command.words.is_empty() && is_prefix(&word) => {}
            Expected::Word => self.command.words.push(word),
            Expected::Written => self.command.writes.push(word),
            Expected::Read => {}
        }
    }

    fn end_command(&mut self, pipe: bool) {
        self.end_word();
        self.expected = Expected::Word;
        let command = std::mem::take(&mut self.command);
        self.command.piped = pipe;
        if !command.words.is_empty() || !command.writes.is_empty() {
            self.commands.push(command);
        }
    }
}

/// The byte of the `)` that belongs to the `(` at the beginning; the end of the text if there is none.
fn closing(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => {
                chars.next();
            }
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth <= 1 => return i,
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// A word that can stand before a command without being one.
fn is_prefix(word: &str) -> bool {
    const WORDS: [&str; 16] =
        ["if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "exec", "command", "sudo", "env", "nohup"];
    let assignment = word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    });
    assignment || WORDS.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<String> {
        commands(script).into_iter().map(|c| c.words.join(" ")).collect()
    }

    #[test]
    fn commands_are_told_apart_and_prefixes_dropped() {
        assert_eq!(
            words("set -e; A=1 sudo dnf -y install x && echo 'a;b' || exit 1"),
            ["set -e", "dnf -y install x", "echo a;b", "exit 1"]
        );
        assert_eq!(words("if ! test -f x; then\n  curl y # not; this\nfi"), ["test -f x", "curl y", "fi"]);
        assert_eq!(words("a \\\n b"), ["a b"]);
        assert_eq!(words("(cd /x && make)"), ["cd /x", "make"]);
    }

    #[test]
    fn substitutions_and_inner_scripts_are_looked_into() {
        assert_eq!(words("V=$(curl -s u) \"`wget v`\""), ["$()", "curl -s u", "wget v"]);
        assert_eq!(words("bash -ec 'pip install x' && a $((1 + 2))").first().map(String::as_str), Some("bash -ec pip install x"));
        assert!(words("bash -ec 'pip install x'").contains(&"pip install x".to_owned()));
        assert_eq!(words("a \"$(b \"$(c ')')\")\""), ["a $()", "b $()", "c )"]);
    }

    #[test]
    fn redirections_and_pipes_are_noted() {
        let all = commands("yes | dnf install x 2>&1 > /log; echo a >>/etc/b <in &> /c");
        assert!(all[1].piped && !all[0].piped && !all[2].piped);
        assert_eq!(all[1].words, ["dnf", "install", "x"]);
        assert_eq!(all[1].writes, ["1", "/log"]);
        assert_eq!((all[2].words.len(), all[2].writes.clone()), (2, vec!["/etc/b".to_owned(), "/c".to_owned()]));
    }

    #[test]
    fn broken_scripts_end() {
        for script in
            ["'", "\"", "$(", "`", "a \\", "$($(", ")))", ">", "a <", "\"$(\"", &"$(".repeat(50_000), &"`\"".repeat(50_000)]
        {
            let _ = commands(script);
        }
    }
}
