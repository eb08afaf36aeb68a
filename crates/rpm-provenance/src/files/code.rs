//! What can be run: told from the first bytes, the mode, the name and the place of a file.

use super::{links, places, tree::split};

/// Whether a file can be run, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Data.
    None,
    /// For an interpreter, executable by its mode alone, or obeyed because of where it lies.
    Script,
    /// Machine code, byte code, or an archive of either: nobody can review it.
    Binary,
}

/// Bytes needed to tell.
pub(super) const HEAD: usize = 8;

/// First bytes of machine code, byte code, and of archives that are run or installed as they are.
const MAGIC: [&[u8]; 12] = [
    b"\x7fELF",
    b"MZ",
    b"\0asm",
    b"\xca\xfe\xba\xbe", // Java class
    b"!<arch>\n",        // static library, Debian package
    b"\xcf\xfa\xed\xfe", // Mach-O
    b"BC\xc0\xde",       // LLVM
    b"\xed\xab\xee\xdb", // RPM
    b"PK\x03\x04",       // zip: jar, wheel; Python and Java run one whatever its name
    b"\x1bLua",          // Lua byte code
    b"FOR1",             // Erlang byte code
    b"Caml1999",         // OCaml byte code
];

const MODULE: &str = "its interpreter runs it by its name";
const BYTE_CODE: &str = "byte code, which runs in place of its source";

/// Endings of names by which something is run. JavaScript is not among them: most of it is for browsers, and the rest lies
/// in [`MODULES`].
const ENDINGS: [(&str, Code, &str); 44] = [
    (".pyc", Code::Binary, BYTE_CODE),
    (".pyo", Code::Binary, BYTE_CODE),
    (".elc", Code::Binary, BYTE_CODE),
    (".luac", Code::Binary, BYTE_CODE),
    (".phar", Code::Binary, BYTE_CODE),
    (".beam", Code::Binary, BYTE_CODE),
    (".zwc", Code::Binary, BYTE_CODE),
    (".ko", Code::Binary, "a kernel module"),
    (".ko.gz", Code::Binary, "a kernel module"),
    (".ko.xz", Code::Binary, "a kernel module"),
    (".ko.zst", Code::Binary, "a kernel module"),
    (".sh", Code::Script, MODULE),
    (".bash", Code::Script, MODULE),
    (".zsh", Code::Script, MODULE),
    (".ksh", Code::Script, MODULE),
    (".csh", Code::Script, MODULE),
    (".py", Code::Script, MODULE),
    (".pth", Code::Script, "Python runs its lines when it starts"),
    (".pl", Code::Script, MODULE),
    (".pm", Code::Script, MODULE),
    (".rb", Code::Script, MODULE),
    (".lua", Code::Script, MODULE),
    (".tcl", Code::Script, MODULE),
    (".php", Code::Script, MODULE),
    (".el", Code::Script, MODULE),
    (".mjs", Code::Script, MODULE),
    (".cjs", Code::Script, MODULE),
    (".awk", Code::Script, MODULE),
    (".fish", Code::Script, MODULE),
    (".pyw", Code::Script, MODULE),
    (".phtml", Code::Script, MODULE),
    (".jsp", Code::Script, MODULE),
    (".cgi", Code::Script, MODULE),
    (".vim", Code::Script, MODULE),
    (".R", Code::Script, MODULE),
    (".groovy", Code::Script, MODULE),
    (".ps1", Code::Script, MODULE),
    (".tm", Code::Script, MODULE),
    (".ex", Code::Script, MODULE),
    (".exs", Code::Script, MODULE),
    (".erl", Code::Script, MODULE),
    (".rake", Code::Script, MODULE),
    (".gemspec", Code::Script, MODULE),
    (".jl", Code::Script, MODULE),
];

/// Directories of modules for Node, and the endings of what it runs there.
const MODULES: (&[u8], [&[u8]; 2], &str) = (b"/node_modules/", [b".js", b"/package.json"], "Node runs it, or what it names");
/// Names by which an interpreter that lies beside a file obeys it.
const OBEYED: [(&[u8], &str); 1] = [(b"pyvenv.cfg", "Python loads its modules from where it says")];

/// What a file is, and who runs it where neither its first bytes nor its mode say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub code: Code,
    pub runs: Option<&'static str>,
}

/// Judges a regular file that is not empty.
pub(super) fn judge(head: &[u8], mode: u32, path: &[u8]) -> Judged {
    let name = split(path).1;
    if MAGIC.iter().any(|magic| head.starts_with(magic)) || is_shared_object_name(name) {
        return Judged { code: Code::Binary, runs: None };
    }
    let named = of_name(name);
    if let Some(found) = named.filter(|found| found.code == Code::Binary) {
        return found;
    }
    if head.starts_with(b"#!") || mode & 0o111 != 0 {
        return Judged { code: Code::Script, runs: None };
    }
    at_place(path).or(named).or_else(|| of_neighbours(path)).unwrap_or(Judged { code: Code::None, runs: None })
}

/// What the name says together with what lies above or beside it.
fn of_neighbours(path: &[u8]) -> Option<Judged> {
    let (directory, endings, runs) = MODULES;
    let is_module = || endings.iter().any(|ending| path.ends_with(ending)) && memchr::memmem::find(path, directory).is_some();
    let obeyed = OBEYED.iter().find(|(name, _)| *name == split(path).1).map(|(_, runs)| *runs);
    let runs = obeyed.or_else(|| is_module().then_some(runs))?;
    Some(Judged { code: Code::Script, runs: Some(runs) })
}

/// Who runs an empty file.
pub(super) fn of_empty(mode: u32, path: &[u8]) -> Option<&'static str> {
    let is_run = mode & 0o111 != 0 && links::is_command(path);
    is_run.then_some("a shell runs an empty program and says that all is well")
}

/// What a name alone says.
pub(super) fn of_name(name: &[u8]) -> Option<Judged> {
    let ends = |ending: &str| name.len() > ending.len() && name.ends_with(ending.as_bytes());
    ENDINGS.iter().find(|(ending, _, _)| ends(ending)).map(|(_, code, runs)| Judged { code: *code, runs: Some(runs) })
}

/// What the place alone says.
pub(super) fn at_place(path: &[u8]) -> Option<Judged> {
    places::runs(path).map(|runs| Judged { code: Code::Script, runs: Some(runs) })
}

/// `libx.so`, `libx.so.1.2`; not `x.sock` or `ld.so.conf`.
pub(crate) fn is_shared_object_name(name: &[u8]) -> bool {
    let Some(at) = name.windows(3).rposition(|w| w == b".so") else { return false };
    let rest = name.get(at + 3..).unwrap_or_default();
    at > 0 && (rest.is_empty() || (rest.starts_with(b".") && rest.iter().all(|b| b.is_ascii_digit() || *b == b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(head: &[u8], mode: u32, path: &str) -> Code {
        judge(head, mode, path.as_bytes()).code
    }

    #[test]
    fn programs_are_told_from_data() {
        assert_eq!(code(b"\x7fELF\x02", 0o644, "/srv/data.txt"), Code::Binary);
        assert_eq!(code(b"\xed\xab\xee\xdb\x03", 0o644, "/srv/data"), Code::Binary);
        assert_eq!(code(b"text", 0o644, "/opt/libx.so.1.2"), Code::Binary);
        assert_eq!(code(b"#!/bin/s", 0o644, "/x"), Code::Script);
        assert_eq!(code(b"text", 0o755, "/x"), Code::Script);
        for name in ["ld.so.conf", "ld.so.cache", "x.sock", ".so", "note.soap", ".py", "page.js", "a.shtml"] {
            assert_eq!(code(b"text", 0o644, &format!("/srv/{name}")), Code::None, "{name}");
        }
    }

    #[test]
    fn what_is_run_by_its_name_or_place_says_by_whom() {
        let found = judge(b"import o", 0o644, b"/usr/lib/python3/site-packages/sitecustomize.py");
        assert_eq!(found, Judged { code: Code::Script, runs: Some(MODULE) });
        let cached = judge(b"\xa7\r\r\n", 0o644, b"/opt/__pycache__/x.cpython-311.pyc");
        assert_eq!(cached, Judged { code: Code::Binary, runs: Some(BYTE_CODE) });
        // What its first bytes say already needs no other reason.
        assert_eq!(judge(b"#!/bin/s", 0o644, b"/etc/profile.d/x.sh").runs, None);
        assert!(judge(b"export A", 0o644, b"/etc/profile.d/x.sh").runs.is_some_and(|runs| runs.contains("shells")));
    }
}
