//! Rights that no package gives: setuid, setgid and capabilities of a file, device nodes, and accounts that let
//! somebody in or are root under another name.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::Privilege;
use super::capabilities::Capabilities;
use super::file_list::Kind;
use super::owners::Owned;
use super::tree::{Entry, Tree};

const USERS: &[u8] = b"/etc/passwd";
const GROUPS: &[u8] = b"/etc/group";
const PASSWORDS: &[u8] = b"/etc/shadow";
/// Largest account file that is read. Real ones have some kilobytes.
const MAX_ACCOUNTS: u64 = 4 << 20;

/// The image's users and groups: what the names in RPM headers mean here.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Numbers {
    /// Reads `/etc/passwd` and `/etc/group` of the image.
    pub fn read(tree: &mut Tree) -> Result<Self, (std::path::PathBuf, io::Error)> {
        let users = read(tree, USERS)?.map(|text| numbers(&text)).unwrap_or_default();
        let groups = read(tree, GROUPS)?.map(|text| numbers(&text)).unwrap_or_default();
        Ok(Self { users, groups })
    }

    /// The ids a package's file should have; `None` where the image does not know the name, so that nothing can be said.
    pub fn expected(&self, owned: &Owned<'_>) -> (Option<u32>, Option<u32>) {
        let find = |name: Option<u32>, known: &HashMap<Vec<u8>, u32>| {
            let name = owned.package.names.get(usize::try_from(name?).ok()?)?;
            // rpm itself does not look root up.
            if **name == *b"root" { Some(0) } else { known.get(&**name).copied() }
        };
        (find(owned.file.user, &self.users), find(owned.file.group, &self.groups))
    }
}

/// Name and number of every line; the first of a name counts, as for getpwnam(3).
fn numbers(text: &[u8]) -> HashMap<Vec<u8>, u32> {
    let mut found = HashMap::new();
    for line in text.split(|b| *b == b'\n') {
        let mut fields = line.split(|b| *b == b':');
        let (name, id) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        if let Some(id) = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()) {
            found.entry(name.to_vec()).or_insert(id);
        }
    }
    found
}

/// setuid, setgid or capabilities that no owner declares, and device nodes that no owner brings.
pub(super) fn of_file(
    entry: &Entry,
    kind: Kind,
    with_capabilities: bool,
    owned: &[Owned<'_>],
    numbers: &Numbers,
) -> io::Result<Option<Privilege>> {
    let gained = match kind {
        Kind::File => of_program(entry, with_capabilities, owned, numbers)?,
        Kind::Other if !owned.iter().any(|o| o.file.mode & KIND == entry.meta.mode() & KIND) => of_device(entry),
        _ => Vec::new(),
    };
    let of_nobody = gained.is_empty();
    let of_file = || Privilege { path: super::shown(&entry.path), gained, owner: owned.first().map(Owned::name) };
    Ok((!of_nobody).then(of_file))
}

const KIND: u32 = 0o170_000;
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;

fn of_device(entry: &Entry) -> Vec<String> {
    let what = match entry.meta.mode() & KIND {
        CHARACTER => "character device",
        BLOCK => "block device",
        _ => return Vec::new(),
    };
    let number = entry.meta.rdev();
    vec![format!("{what} {}:{}", rustix::fs::major(number), rustix::fs::minor(number))]
}

fn of_program(entry: &Entry, with_capabilities: bool, owned: &[Owned<'_>], numbers: &Numbers) -> io::Result<Vec<String>> {
    let declared = || owned.iter().filter(|o| o.file.kind() == Kind::File);
    let special = entry.meta.mode() & 0o6000;
    let (uid, gid) = (entry.meta.uid(), entry.meta.gid());
    let mut gained = Vec::new();
    for (bit, name, id) in [(0o4000, "setuid", uid), (0o2000, "setgid", gid)] {
        if special & bit == 0 {
            continue;
        }
        let mut owners = declared().filter(|o| o.file.mode & bit != 0).peekable();
        if owners.peek().is_none() {
            gained.push(name.to_owned());
        } else if !owners.any(|o| {
            let (user, group) = numbers.expected(o);
            (if bit == 0o4000 { user } else { group }).is_none_or(|expected| expected == id)
        }) {
            // The bit is the package's, but it now gives the rights of somebody else.
            gained.push(format!("{name} as {id}"));
        }
    }
    if !with_capabilities {
        return Ok(gained);
    }
    let mut value = [0_u8; 64];
    match rustix::fs::lgetxattr(&entry.host, "security.capability", &mut value) {
        Ok(length) => {
            let found = Capabilities::of_attribute(value.get(..length).unwrap_or_default());
            let says = |o: &Owned<'_>| !o.file.capabilities.is_empty() && Capabilities::of_text(&o.file.capabilities) == found;
            if found.is_none() || !declared().any(says) {
                let names = found.map(Capabilities::describe).unwrap_or_default();
                gained.push(format!("capabilities {names}").trim_end().to_owned());
            }
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(gained)
}

/// Accounts this build made that are root under another name, that a password (or none) opens, or that belong to a group
/// which is as good as root.
///
/// `below` are the layers of the base image; what its accounts already were is its own affair.
pub(super) fn of_accounts(tree: &mut Tree, below: &mut Tree) -> Result<Vec<Privilege>, (std::path::PathBuf, io::Error)> {
    let mut found = Vec::new();
    for (path, judge) in [(USERS, user as fn(&[u8]) -> Option<String>), (PASSWORDS, password), (GROUPS, group)] {
        let Some(now) = read(tree, path)? else { continue };
        let before = read(below, path)?.unwrap_or_default();
        let before: HashSet<&[u8]> = before.split(|b| *b == b'\n').collect();
        let gained: Vec<String> =
            now.split(|b| *b == b'\n').filter(|line| !line.is_empty() && !before.contains(line)).filter_map(judge).collect();
        if !gained.is_empty() {
            found.push(Privilege { path: super::shown(path), gained, owner: None });
        }
    }
    Ok(found)
}

/// What a file of the image says, links followed; `None` when there is none. What is too large counts as one endless line.
fn read(tree: &mut Tree, path: &[u8]) -> Result<Option<Vec<u8>>, (std::path::PathBuf, io::Error)> {
    let place = tree.canonical_dir(path)?;
    let Some(entry) = tree.entry(&place)? else { return Ok(None) };
    if Kind::of(entry.meta.mode()) != Kind::File {
        return Ok(None);
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(&entry.host).map_err(|e| (entry.host.clone(), e))?;
    io::Read::read_to_end(&mut io::Read::take(file, MAX_ACCOUNTS), &mut text).map_err(|e| (entry.host.clone(), e))?;
    Ok(Some(text))
}

/// passwd(5): `name:password:uid:…`
fn user(line: &[u8]) -> Option<String> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
    let name = super::shown(fields.first()?);
    let uid = String::from_utf8_lossy(fields.get(2)?).into_owned();
    // C libraries take blanks and signs before a number, and musl the lower 32 bits of a large one.
    let number = uid.trim().trim_start_matches(['+', '-']);
    let is_root = number.is_empty() || number.parse::<u128>().is_ok_and(|number| number & 0xffff_ffff == 0);
    if is_root && name != "root" {
        return Some(format!("the user {name} is root (uid {})", uid.escape_debug()));
    }
    opened_by(&name, fields.get(1)?)
}

/// shadow(5): `name:password:…`
fn password(line: &[u8]) -> Option<String> {
    let mut fields = line.split(|b| *b == b':');
    let name = super::shown(fields.next()?);
    opened_by(&name, fields.next()?)
}

/// Groups whose members become root by the usual rules of sudo, or by what the group may open.
const POWERFUL: [&str; 8] = ["wheel", "sudo", "admin", "shadow", "disk", "kmem", "docker", "lxd"];

/// group(5): `name:password:gid:members`
fn group(line: &[u8]) -> Option<String> {
    let mut fields = line.split(|b| *b == b':');
    let name = super::shown(fields.next()?);
    let members = super::shown(fields.nth(2)?);
    (POWERFUL.contains(&name.as_str()) && !members.is_empty()).then(|| format!("the group {name} has the members {members}"))
}

fn opened_by(name: &str, password: &[u8]) -> Option<String> {
    match password.first() {
        None => Some(format!("the user {name} needs no password")),
        // `x` sends on to shadow; `*` and `!` are no password's digest.
        Some(b'*' | b'!') => None,
        Some(b'x') if password.len() == 1 => None,
        Some(_) => Some(format!("the user {name} has a password")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_that_let_somebody_in_are_told_from_ordinary_ones() {
        for line in ["root:x:0:0:root:/root:/bin/bash", "app:x:1001:0::/srv:/sbin/nologin", "app:!:1001:0::/:/bin/sh"] {
            assert_eq!(user(line.as_bytes()), None, "{line}");
        }
        for (line, what) in [
            ("toor:x:0:0::/root:/bin/sh", "the user toor is root (uid 0)"),
            ("toor:x:+00:0::/root:/bin/sh", "the user toor is root (uid +00)"),
            ("toor:x:4294967296:0::/root:/bin/sh", "the user toor is root (uid 4294967296)"),
            ("guest::1002:1002::/:/bin/sh", "the user guest needs no password"),
            ("guest:$6$x$y:1002:1002::/:/bin/sh", "the user guest has a password"),
        ] {
            assert_eq!(user(line.as_bytes()).as_deref(), Some(what), "{line}");
        }
        for line in ["root:*:19000:0:99999:7:::", "app:!!:19000::::::", "app:!*:::::::"] {
            assert_eq!(password(line.as_bytes()), None, "{line}");
        }
        assert_eq!(password(b"root:$y$j9T$x:1::::::").as_deref(), Some("the user root has a password"));
        assert_eq!(password(b"root::1::::::").as_deref(), Some("the user root needs no password"));
        assert_eq!((user(b"no fields"), password(b"")), (None, None));
        assert_eq!(group(b"wheel:x:10:app,web").as_deref(), Some("the group wheel has the members app,web"));
        assert_eq!((group(b"wheel:x:10:"), group(b"users:x:100:app"), group(b"wheel")), (None, None, None));
    }

    #[test]
    fn the_first_line_of_a_name_gives_its_number() {
        let found = numbers(b"web:x:33:33::/:/bin/sh\nweb:x:34:33::/:/bin/sh\nbroken:x:many:1\n\n");
        assert_eq!(found, HashMap::from([(b"web".to_vec(), 33)]));
    }
}
