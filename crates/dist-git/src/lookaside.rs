//! The file `sources` of dist-git: large files that are kept in a lookaside cache, each with its checksum, and where the
//! cache has them (pyrpkg's sources.py and lookaside.py). Reading text only; nothing is fetched here.
//!
//! Two forms of a line, which may be mixed: `SHA512 (file.tar.xz) = <hex>` and the older `<md5>  file.tar.xz`.

use std::collections::BTreeMap;

use build_model::{Blame, Diagnose, ScmUrl, nearest};

/// Name of the file.
pub const SOURCES: &str = "sources";
/// Files of one repository; far beyond any.
const MAX_FILES: usize = 1000;
/// The parts a cache's address is made of.
const PARTS: [&str; 5] = ["namespace", "name", "file", "hashtype", "hash"];

/// A kind of checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashType {
    /// MD5: old repositories have it. It tells damage, not malice.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HashType {
    const ALL: [HashType; 3] = [HashType::Md5, HashType::Sha256, HashType::Sha512];

    /// As it stands in addresses.
    pub fn name(self) -> &'static str {
        match self {
            HashType::Md5 => "md5",
            HashType::Sha256 => "sha256",
            HashType::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            HashType::Md5 => 32,
            HashType::Sha256 => 64,
            HashType::Sha512 => 128,
        }
    }
}

/// One file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookasideFile {
    /// Line in `sources`.
    pub line: usize,
    /// File name, without directories.
    pub name: String,
    /// Kind of the checksum.
    pub hash_type: HashType,
    /// The checksum, lower-case hex.
    pub hash: String,
}

/// What is wrong with a `sources` file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{SOURCES}:{line}: {problem}")]
pub struct SourcesError {
    /// The line.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl Diagnose for SourcesError {
    fn blame(&self) -> Blame {
        Blame::Packager
    }
    fn kind(&self) -> &'static str {
        "sources-file"
    }
    fn hint(&self) -> Option<String> {
        Some("let `fedpkg new-sources FILE…` (or your site's command) write the file".to_owned())
    }
}

/// Reads a `sources` file: its files in their order, each once.
///
/// # Errors
/// The first line that is neither of the two forms, names a file with directories, or repeats one with another checksum.
pub fn parse_sources(text: &str) -> Result<Vec<LookasideFile>, SourcesError> {
    let mut files: BTreeMap<String, LookasideFile> = BTreeMap::new();
    let mut order = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let bad = |problem: String| SourcesError { line: number, problem };
        if line.trim().is_empty() {
            continue;
        }
        let (hash_type, name, hash) = parse_line(line.trim_end()).map_err(bad)?;
        if !is_file_name(&name) {
            return Err(bad(format!("`{}` cannot be the name of a file in the lookaside cache", shown(&name))));
        }
        let hash = hash.to_ascii_lowercase();
        if hash.len() != hash_type.digits() || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            let (kind, digits) = (hash_type.name(), hash_type.digits());
            return Err(bad(format!("the {kind} of {name} is not {digits} hexadecimal digits")));
        }
        match files.get(&name) {
            Some(known) if (known.hash_type, &known.hash) != (hash_type, &hash) => {
                return Err(bad(format!("{name} stands in line {} already, with another checksum", known.line)));
            }
            Some(_) => {}
            None => {
                order.push(name.clone());
                files.insert(name.clone(), LookasideFile { line: number, name, hash_type, hash });
            }
        }
        if order.len() > MAX_FILES {
            return Err(bad(format!("there are more than {MAX_FILES} files")));
        }
    }
    Ok(order.iter().filter_map(|name| files.remove(name)).collect())
}

/// Kind, name and checksum of a line, not checked yet.
fn parse_line(line: &str) -> Result<(HashType, String, String), String> {
    if let Some((head, hash)) = line.rsplit_once(") = ") {
        let (kind, name) = head.split_once(" (").ok_or("the form is `SHA512 (FILE) = HEX`")?;
        let known = HashType::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(kind));
        let hash_type = known.ok_or_else(|| {
            let near = nearest(kind, HashType::ALL.map(HashType::name));
            let near = near.map(|name| format!("; did you mean {}?", name.to_uppercase())).unwrap_or_default();
            format!("`{}` is no checksum that is known here{near}", shown(kind))
        })?;
        return Ok((hash_type, name.to_owned(), hash.trim().to_owned()));
    }
    match line.split_once("  ").or_else(|| line.split_once(" *")) {
        Some((hash, name)) => Ok((HashType::Md5, name.to_owned(), hash.to_owned())),
        None => Err("neither `SHA512 (FILE) = HEX` nor `MD5  FILE`".to_owned()),
    }
}

/// One path component that a URL and a directory can take as it is.
fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+~^@,=:!".contains(c);
    !name.is_empty() && name.len() <= 255 && !name.starts_with(['.', '-']) && name.chars().all(plain)
}

fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Where a site's lookaside cache has its files: an address with the parts `{namespace}`, `{name}`, `{file}`, `{hashtype}`
/// and `{hash}`. rpkg's is `https://HOST/repo/pkgs/{namespace}/{name}/{file}/{hashtype}/{hash}/{file}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookasideUrl {
    pattern: String,
}

impl LookasideUrl {
    /// Checks a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of its key.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        if !pattern.starts_with("https://") && !pattern.starts_with("http://") {
            return Err("must begin with https:// or http://".to_owned());
        }
        let mut rest = pattern;
        while let Some((_, from)) = rest.split_once('{') {
            let (part, after) = from.split_once('}').ok_or("has a `{` without `}`")?;
            if !PARTS.contains(&part) {
                return Err(format!("has an unknown part {{{part}}}; known are {{{}}}", PARTS.join("}, {")));
            }
            rest = after;
        }
        for needed in ["file", "hash"] {
            if !pattern.contains(&format!("{{{needed}}}")) {
                return Err(format!("needs the part {{{needed}}}, or all files would have one address"));
            }
        }
        Ok(Self { pattern: pattern.to_owned() })
    }

    /// The pattern, as it was written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The address of a file of a repository. The last two components of the repository's path are namespace and name; a
    /// repository without namespace has no `{namespace}/` in the address.
    pub fn of(&self, repository: &ScmUrl, file: &LookasideFile) -> String {
        let (namespace, name) = (repository.namespace(), repository.name());
        let pattern = if namespace.is_empty() { self.pattern.replace("{namespace}/", "") } else { self.pattern.clone() };
        pattern
            .replace("{namespace}", namespace)
            .replace("{name}", name)
            .replace("{hashtype}", file.hash_type.name())
            .replace("{hash}", &file.hash)
            .replace("{file}", &file.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse_sources(text).expect_err(text).to_string()
    }

    #[test]
    fn both_forms_are_read() {
        let (md5, sha512) = ("0".repeat(32), "A".repeat(128));
        let files = parse_sources(&format!("{md5}  a-1.tar.gz\n\nSHA512 (b 1.txt) = {sha512}\n"));
        assert!(files.is_err(), "a blank is no part of a name");
        let files = parse_sources(&format!("{md5}  a-1.tar.gz\r\n\nSHA512 (b-1+2~rc.txt) = {sha512}\nMD5 (c) = {md5}\n"));
        let files = files.expect("read");
        let found: Vec<_> = files.iter().map(|f| (f.line, f.name.as_str(), f.hash_type)).collect();
        assert_eq!(found, [(1, "a-1.tar.gz", HashType::Md5), (3, "b-1+2~rc.txt", HashType::Sha512), (4, "c", HashType::Md5)]);
        assert_eq!(files[1].hash, "a".repeat(128));
        assert_eq!(parse_sources("\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_fetched_safely_is_refused_with_its_line() {
        let md5 = "0".repeat(32);
        assert_eq!(problem("nonsense"), "sources:1: neither `SHA512 (FILE) = HEX` nor `MD5  FILE`");
        for name in ["../etc/passwd", "a/b", ".hidden", "-x", "a?b", "a#b", "a%2fb", ""] {
            assert!(problem(&format!("\nMD5 ({name}) = {md5}")).starts_with("sources:2: `"), "{name}");
        }
        assert!(problem("MD5 (a) = 12").contains("32 hexadecimal digits"));
        assert!(problem(&format!("SHA51 (a) = {md5}")).contains("did you mean SHA512?"));
        let other = "1".repeat(32);
        assert_eq!(
            problem(&format!("{md5}  a\n{md5}  a\n{other}  a")),
            "sources:3: a stands in line 1 already, with another checksum"
        );
    }

    #[test]
    fn addresses_are_rpkgs() {
        let url = LookasideUrl::parse("https://src.example.org/repo/pkgs/{namespace}/{name}/{file}/{hashtype}/{hash}/{file}");
        let url = url.expect("a pattern");
        let file = &parse_sources(&format!("{}  a.gz", "0".repeat(32))).expect("read")[0];
        let at = |scm: &str| url.of(&scm.parse().expect("an SCM URL"), file);
        let tail = format!("a.gz/md5/{}/a.gz", "0".repeat(32));
        assert_eq!(
            at("git+https://h/git/container/web.git#1"),
            format!("https://src.example.org/repo/pkgs/container/web/{tail}")
        );
        assert_eq!(at("git://h/web#1"), format!("https://src.example.org/repo/pkgs/web/{tail}"));
    }

    #[test]
    fn patterns_that_cannot_work_are_refused() {
        let problem = |text: &str| LookasideUrl::parse(text).expect_err(text);
        assert!(problem("ftp://h/{file}/{hash}").contains("must begin"));
        assert!(problem("https://h/{file}").contains("{hash}"));
        assert!(problem("https://h/{file}/{hash}/{pkg}").contains("unknown part {pkg}"));
        assert!(problem("https://h/{file}/{hash").contains("without"));
    }
}
