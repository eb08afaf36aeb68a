//! `help.md` as a manual page (man(7) macros): what the earlier service put into images as `/help.1`, made with go-md2man.
//!
//! The part of Markdown that such files use: a title block (`% NAME(1) …`), headings, paragraphs, lists, code, emphasis, links.
//! Anything else comes out as text. The result holds no macro that the author did not mean: text is escaped.

/// Converts the text of a help.md. `name` stands in the title when there is no title block.
pub fn man_page(markdown: &str, name: &str) -> String {
    let mut lines = markdown.lines().peekable();
    let mut block = Vec::new();
    while let Some(line) = lines.next_if(|line| line.starts_with('%')) {
        block.push(line.trim_start_matches('%').trim());
    }
    let mut page = Page { out: title(&block, name), ..Page::default() };
    for line in lines {
        page.line(line);
    }
    page.end_paragraph();
    page.end_code();
    page.out
}

/// The `.TH` line: name and section of the first line, date of the third.
fn title(block: &[&str], fallback: &str) -> String {
    let first = block.first().copied().unwrap_or_default();
    let (name, rest) = first.split_once('(').unwrap_or((first, ""));
    let (section, source) = rest.split_once(')').unwrap_or(("1", rest));
    let name = if name.trim().is_empty() { fallback } else { name.trim() };
    let section = if section.trim().is_empty() { "1" } else { section.trim() };
    let quoted = |text: &str| format!("\"{}\"", escape(&text.replace('"', "'")));
    let date = block.get(2).copied().unwrap_or_default();
    format!(".TH {} {} {} {} \"\"\n", quoted(name), quoted(section), quoted(date), quoted(source.trim()))
}

#[derive(Default)]
struct Page {
    out: String,
    paragraph: String,
    /// Inside of ``` or of an indented block.
    code: Code,
    /// Inside of a list.
    item: bool,
    /// The paragraph begins an item, which has its macro already.
    fresh_item: bool,
    after_blank: bool,
}

#[derive(Default, PartialEq, Clone, Copy)]
enum Code {
    #[default]
    No,
    Fenced,
    Indented,
}

impl Page {
    fn line(&mut self, line: &str) {
        let blank = line.trim().is_empty();
        if self.code == Code::Fenced {
            if line.trim_start().starts_with("```") {
                self.end_code();
            } else {
                self.code_line(line);
            }
        } else if line.trim_start().starts_with("```") {
            self.end_code();
            self.begin_code(Code::Fenced);
        } else if line.starts_with("    ") && !blank && (self.code == Code::Indented || self.starts_block()) {
            self.begin_code(Code::Indented);
            self.code_line(line.get(4..).unwrap_or_default());
        } else if blank {
            self.end_paragraph();
        } else {
            self.end_code();
            self.text(line);
        }
        self.after_blank = blank;
    }

    /// Whether the line before was blank and no list is open: then four blanks mean code.
    fn starts_block(&self) -> bool {
        self.after_blank && self.paragraph.is_empty() && !self.item
    }

    fn text(&mut self, line: &str) {
        let trimmed = line.trim();
        let hashes = trimmed.bytes().take_while(|b| *b == b'#').count();
        if (1..=6).contains(&hashes) && trimmed.as_bytes().get(hashes) == Some(&b' ') {
            self.end_paragraph();
            self.item = false;
            let heading = inline(trimmed.trim_matches('#').trim());
            self.out.push_str(&format!("{} {heading}\n", if hashes == 1 { ".SH" } else { ".SS" }));
        } else if let Some((mark, rest)) = list_item(trimmed) {
            self.end_paragraph();
            (self.item, self.fresh_item) = (true, true);
            self.out.push_str(&format!(".IP {mark} 4\n"));
            self.paragraph = rest.to_owned();
        } else {
            if self.after_blank && !line.starts_with(' ') {
                self.item = false;
            }
            if !self.paragraph.is_empty() {
                self.paragraph.push(' ');
            }
            self.paragraph.push_str(trimmed);
        }
    }

    fn end_paragraph(&mut self) {
        if self.paragraph.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.paragraph);
        if !std::mem::take(&mut self.fresh_item) {
            self.out.push_str(".PP\n");
        }
        self.out.push_str(&protected(&inline(&text)));
        self.out.push('\n');
    }

    fn begin_code(&mut self, kind: Code) {
        if self.code == Code::No {
            self.end_paragraph();
            self.out.push_str(".PP\n.nf\n");
            self.code = kind;
        }
    }

    fn code_line(&mut self, line: &str) {
        self.out.push_str(&protected(&escape(line)));
        self.out.push('\n');
    }

    fn end_code(&mut self) {
        if self.code != Code::No {
            self.out.push_str(".fi\n");
            self.code = Code::No;
        }
    }
}

/// Mark and text of a list item.
fn list_item(line: &str) -> Option<(String, &str)> {
    if let Some(rest) = ["* ", "- ", "+ "].iter().find_map(|mark| line.strip_prefix(mark)) {
        return Some(("\\(bu".to_owned(), rest.trim()));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = line.get(digits..)?.strip_prefix(". ")?;
    (digits > 0).then(|| (format!("{}.", line.get(..digits).unwrap_or_default()), rest.trim()))
}

/// Emphasis, code and links inside of a paragraph.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((inner, font, after)) = spanned(rest) {
            out.push_str(font);
            out.push_str(&if font == "\\fB" && rest.starts_with('`') { escape(inner) } else { inline(inner) });
            out.push_str("\\fP");
            rest = after;
        } else if let Some((label, url, after)) = link(rest) {
            out.push_str(&format!("{} ({})", inline(label), escape(url)));
            rest = after;
        } else {
            let (skip, taken) = match rest.strip_prefix('\\').and_then(|r| r.chars().next()).filter(char::is_ascii_punctuation) {
                Some(escaped) => (1 + escaped.len_utf8(), escaped),
                None => (first.len_utf8(), first),
            };
            out.push_str(&escape(taken.encode_utf8(&mut [0; 4])));
            rest = rest.get(skip..).unwrap_or_default();
        }
    }
    out
}

/// Text in a mark at the beginning, its font, and what follows.
fn spanned(text: &str) -> Option<(&str, &'static str, &str)> {
    for (mark, font) in [("**", "\\fB"), ("__", "\\fB"), ("`", "\\fB"), ("*", "\\fI"), ("_", "\\fI")] {
        if let Some((inner, after)) = text.strip_prefix(mark).and_then(|rest| rest.split_once(mark))
            && !inner.is_empty()
            && !inner.starts_with(' ')
            && !inner.ends_with(' ')
        {
            return Some((inner, font, after));
        }
    }
    None
}

/// `[label](url)` at the beginning.
fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (url, after) = rest.split_once(')')?;
    Some((label, url, after))
}

/// Text without anything that troff would act upon.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '\t' => out.push_str("    "),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A line that begins like a macro is told from one.
fn protected(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_help_file_becomes_a_manual_page() {
        let page = man_page(
            "% WEB(1) Container Image Pages\n% Packager\n% May 2024\n# NAME\nweb \\- a server\nwith **pages** and `--port`\n\n\
             ## Ports\n\n* 80, see [docs](https://h/x)\n* 443\n\n1. first\n\nText *here*.\n\n    indented code\n\n```\n.fenced\n```\n",
            "web",
        );
        let expected = ".TH \"WEB\" \"1\" \"May 2024\" \"Container Image Pages\" \"\"\n.SH NAME\n.PP\nweb \\- a server with \\fBpages\\fP and \
             \\fB\\-\\-port\\fP\n.SS Ports\n.IP \\(bu 4\n80, see docs (https://h/x)\n.IP \\(bu 4\n443\n.IP 1. 4\nfirst\n.PP\nText \\fIhere\\fP.\n\
             .PP\n.nf\nindented code\n.fi\n.PP\n.nf\n\\&.fenced\n.fi\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn text_is_never_a_macro() {
        let page = man_page(".so /etc/shadow\n\n'br\n\n\\*(DA\u{7}\n", "x");
        assert_eq!(page, ".TH \"x\" \"1\" \"\" \"\" \"\"\n.PP\n\\&.so /etc/shadow\n.PP\n\\&'br\n.PP\n*(DA\n");
        assert_eq!(man_page("", "a\"b"), ".TH \"a'b\" \"1\" \"\" \"\" \"\"\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_gives_a_page_whose_macros_are_ours(text in "(?s).{0,300}") {
            for line in man_page(&text, "x").lines().filter(|line| line.starts_with(['.', '\''])) {
                let known = [".TH ", ".SH", ".SS", ".PP", ".IP ", ".nf", ".fi"];
                proptest::prop_assert!(known.iter().any(|name| line.starts_with(name)), "{}", line);
            }
        }
    }
}
