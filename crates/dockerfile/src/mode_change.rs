//! `--chmod`, after expansion: octal, or symbolic as chmod(1) has it (`u=rwX,go=rX`). Checked when the file is parsed as far
//! as it holds no variable; image-build applies it to every file and directory.

/// How permission bits change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModeChange {
    /// All twelve bits.
    Octal(u32),
    /// One after another.
    Symbolic(Vec<ModeClause>),
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a mode: it is octal, like 0755, or symbolic, like u=rwX,go=rX")]
pub struct ModeError {
    /// The text given.
    pub text: String,
}

/// `[ugoa…][+-=][rwxXst…]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeClause {
    /// Bit mask of the classes: 0o700, 0o070, 0o007.
    who: u32,
    operator: char,
    /// Bits for all three classes (0o111 for x).
    bits: u32,
    /// `X`: execute, but only for directories and what is executable for someone.
    conditional_x: bool,
    setuid_or_gid: bool,
    sticky: bool,
}

impl ModeChange {
    /// Reads the value of `--chmod`.
    ///
    /// # Errors
    /// Anything that is neither; an octal number above 07777.
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        let bad = || ModeError { text: text.to_owned() };
        if text.bytes().next().is_some_and(|b| b.is_ascii_digit()) {
            let digits = text.strip_prefix("0o").unwrap_or(text);
            return match u32::from_str_radix(digits, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(ModeChange::Octal(mode)),
                _ => Err(bad()),
            };
        }
        let clauses = text.split(',').map(|c| parse_clauses(c).ok_or_else(bad)).collect::<Result<Vec<_>, _>>()?;
        Ok(ModeChange::Symbolic(clauses.concat()))
    }

    /// The permission bits of directories that are made for what is copied.
    pub fn of_new_directories(&self) -> u32 {
        match self {
            ModeChange::Octal(mode) => mode & 0o777,
            ModeChange::Symbolic(_) => 0o755,
        }
    }

    /// The new permission bits of something that has `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            ModeChange::Octal(new) => *new,
            ModeChange::Symbolic(clauses) => clauses.iter().fold(mode & 0o7777, |mode, c| c.apply(mode, is_dir)),
        }
    }
}

/// One comma-separated part: classes, then one or more operators with permissions (`u+x-w`).
fn parse_clauses(text: &str) -> Option<Vec<ModeClause>> {
    let start = text.find(['+', '-', '='])?;
    let (classes, mut rest) = text.split_at(start);
    let mut who = 0;
    for class in classes.chars() {
        who |= match class {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    if who == 0 {
        who = 0o777;
    }
    let mut clauses = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let after = rest.get(1..)?;
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (permissions, next) = after.split_at(end);
        let mut clause = ModeClause { who, operator, bits: 0, conditional_x: false, setuid_or_gid: false, sticky: false };
        for permission in permissions.chars() {
            match permission {
                'r' => clause.bits |= 0o444,
                'w' => clause.bits |= 0o222,
                'x' => clause.bits |= 0o111,
                'X' => clause.conditional_x = true,
                's' => clause.setuid_or_gid = true,
                't' => clause.sticky = true,
                _ => return None,
            }
        }
        clauses.push(clause);
        rest = next;
    }
    Some(clauses)
}

impl ModeClause {
    fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        let mut bits = self.bits;
        if self.conditional_x && (is_dir || mode & 0o111 != 0) {
            bits |= 0o111;
        }
        bits &= self.who;
        let mut special = 0;
        if self.setuid_or_gid {
            special |= if self.who & 0o700 != 0 { 0o4000 } else { 0 };
            special |= if self.who & 0o070 != 0 { 0o2000 } else { 0 };
        }
        if self.sticky {
            special |= 0o1000;
        }
        match self.operator {
            '+' => mode | bits | special,
            '-' => mode & !(bits | special),
            _ => {
                // Setuid and setgid of a directory stay unless named, as with GNU chmod.
                let owned = if is_dir { 0 } else { special_of(self.who) };
                (mode & !self.who & !owned) | bits | special
            }
        }
    }
}

fn special_of(who: u32) -> u32 {
    (if who & 0o700 != 0 { 0o4000 } else { 0 }) | (if who & 0o070 != 0 { 0o2000 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(text: &str, mode: u32, is_dir: bool) -> u32 {
        ModeChange::parse(text).expect(text).apply(mode, is_dir)
    }

    #[test]
    fn octal_replaces_everything() {
        assert_eq!(apply("0755", 0o600, false), 0o755);
        assert_eq!(apply("4711", 0o777, false), 0o4711);
        assert_eq!(apply("0", 0o777, true), 0);
    }

    #[test]
    fn symbolic_changes_are_those_of_chmod() {
        assert_eq!(apply("u=rwX,go=rX", 0o644, false), 0o644);
        assert_eq!(apply("u=rwX,go=rX", 0o700, false), 0o755);
        assert_eq!(apply("u=rwX,go=rX", 0o600, true), 0o755);
        assert_eq!(apply("a+x", 0o644, false), 0o755);
        assert_eq!(apply("+x", 0o644, false), 0o755);
        assert_eq!(apply("go-rwx", 0o777, true), 0o700);
        assert_eq!(apply("u+s,g+s", 0o755, false), 0o6755);
        assert_eq!(apply("u=rw", 0o4755, false), 0o655);
        assert_eq!(apply("u+x-w", 0o644, false), 0o544);
        assert_eq!(apply("+t", 0o777, true), 0o1777);
        assert_eq!(apply("go=", 0o777, false), 0o700);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "8", "0o", "77777", "u", "u+q", "z=r", "u=rw;g=r", "755x"] {
            assert!(ModeChange::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_mode_or_an_error_and_modes_stay_in_range(text in ".{0,12}", mode in 0u32..0o10000, is_dir: bool) {
            if let Ok(change) = ModeChange::parse(&text) {
                proptest::prop_assert!(change.apply(mode, is_dir) <= 0o7777);
            }
        }
    }
}
