//! Shell patterns as Python's fnmatch.fnmatchcase reads them: `*` and `?` match slashes too, `[…]`, `[!…]`.
//! kojid matches allowed_scms with it, and a site's list must mean the same to both.

/// Whether `text` matches `pattern` as a whole. Takes at most |pattern| × |text| steps.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = parse(pattern);
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // where to go on when the last star has to take one character more
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), text.get(t)) {
            (Some(Item::Star), _) => {
                back = Some((p + 1, t));
                p += 1;
            }
            (Some(item), Some(c)) if item.takes(*c) => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((after_star, from)) => {
                    back = Some((after_star, from + 1));
                    (p, t) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|item| matches!(item, Item::Star))
}

enum Item {
    Star,
    Any,
    One(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Item {
    fn takes(&self, c: char) -> bool {
        match self {
            Item::Star => false,
            Item::Any => true,
            Item::One(own) => *own == c,
            Item::Set { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

fn parse(pattern: &str) -> Vec<Item> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut items = Vec::new();
    let mut at = 0;
    while let Some(c) = chars.get(at) {
        at += 1;
        items.push(match c {
            '*' => Item::Star,
            '?' => Item::Any,
            '[' => match set_end(&chars, at) {
                Some(end) => {
                    let inner = chars.get(at..end).unwrap_or_default();
                    at = end + 1;
                    set(inner)
                }
                None => Item::One('['), // never closed: an ordinary character
            },
            c => Item::One(*c),
        });
    }
    items
}

/// Index of the `]` that closes a set beginning at `start`; a `]` in first place belongs to the set.
fn set_end(chars: &[char], start: usize) -> Option<usize> {
    let mut from = start;
    if chars.get(from) == Some(&'!') {
        from += 1;
    }
    if chars.get(from) == Some(&']') {
        from += 1;
    }
    (from..chars.len()).find(|i| chars.get(*i) == Some(&']'))
}

fn set(inner: &[char]) -> Item {
    let (negated, members) = match inner.split_first() {
        Some(('!', rest)) => (true, rest),
        _ => (false, inner),
    };
    let mut ranges = Vec::new();
    let mut rest = members;
    while let Some((low, more)) = rest.split_first() {
        match more {
            // a dash in last place stands for itself; a range that runs backwards holds nothing
            ['-', high, tail @ ..] => {
                ranges.push((*low, *high));
                rest = tail;
            }
            _ => {
                ranges.push((*low, *low));
                rest = more;
            }
        }
    }
    Item::Set { negated, ranges }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_kojid() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("src.example.org", "src.example.org", true),
            ("src.example.org", "src.example.org.evil.com", false),
            ("*.example.org", "a.b.example.org", true),
            ("/container/*", "/container/a/b.git", true),
            ("/container/?.git", "/container/a.git", true),
            ("/[a-c]*", "/b", true),
            ("/[!a-c]*", "/b", false),
            ("[]]", "]", true),
            ("[", "[", true),
            ("a[", "a[", true),
            ("[z-a]", "m", false),
            ("[!z-a]", "m", true),
            ("[a-]", "-", true),
            ("A", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn thousands_of_random_patterns_agree_with_pythons_fnmatch() {
        let alphabet: Vec<char> = "ab/*?[]!-".chars().collect();
        let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut word = |length: usize, letters: usize| -> String {
            (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    alphabet[usize::try_from(seed >> 33).expect("31 bits") % letters]
                })
                .collect()
        };
        let pairs: Vec<(String, String)> = (0..6000).map(|i| (word(1 + i % 7, 9), word(i % 4, 3))).collect();
        let input: String = pairs.iter().map(|(p, t)| format!("{p}\t{t}\n")).collect();
        let script = "import sys, fnmatch\nfor line in sys.stdin:\n    p, t = line[:-1].split('\\t')\n    print(int(fnmatch.fnmatchcase(t, p)))";
        let mut child = std::process::Command::new("/usr/bin/python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut stdin = child.stdin.take().expect("stdin");
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("written"));
        let answers = String::from_utf8(child.wait_with_output().expect("ends").stdout).expect("text");
        writer.join().expect("writer");
        let answers: Vec<bool> = answers.lines().map(|l| l == "1").collect();
        assert_eq!(answers.len(), pairs.len());
        for ((pattern, text), expected) in pairs.iter().zip(answers) {
            assert_eq!(matches(pattern, text), expected, "pattern `{pattern}` text `{text}`");
        }
    }
}
