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
const VENDOR_USERS: &[u8] = b"/usr/lib/passwd";
const VENDOR_GROUPS: &[u8] = b"/usr/lib/group";
const GROUP_SECRETS: &[u8] = b"/etc/gshadow";
/// Largest account file that is read. Real ones have some kilobytes.
const MAX_ACCOUNTS: u64 = 4 << 20;

/// The image's users and groups: what the names in RPM headers mean here.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Numbers {
    /// Reads `/etc/passwd` and `/etc/group` of the image, and their likes of images made for ostree.
    pub fn read(tree: &mut Tree) -> Result<Self, (std::path::PathBuf, io::Error)> {
        let mut numbers_in = |paths: [&[u8]; 2]| {
            let mut found = HashMap::new();
            for path in paths {
                let text = read(tree, path)?.unwrap_or_default();
                numbers(&text).into_iter().for_each(|(name, number)| _ = found.entry(name).or_insert(number));
            }
            Ok(found)
        };
        Ok(Self { users: numbers_in([USERS, VENDOR_USERS])?, groups: numbers_in([GROUPS, VENDOR_GROUPS])? })
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

/// The home directories of the image's users.
pub(super) fn homes(tree: &mut Tree) -> Result<Vec<Vec<u8>>, (std::path::PathBuf, io::Error)> {
    let text = read(tree, USERS)?.unwrap_or_default();
    let mut homes: Vec<Vec<u8>> = vec![b"/root".to_vec()];
    homes.extend(text.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b':').nth(5)).map(<[u8]>::to_vec));
    homes.retain(|home| home.starts_with(b"/") && home.len() > 1);
    homes.sort();
    homes.dedup();
    Ok(homes)
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
    let mut gained = match kind {
        Kind::File => of_program(entry, with_capabilities, owned, numbers)?,
        Kind::Other if !owned.iter().any(|o| o.file.mode & KIND == entry.meta.mode() & KIND) => of_device(entry),
        _ => Vec::new(),
    };
    if kind == Kind::File && is_anybody_s(entry, owned) {
        gained.push("anybody may write it".to_owned());
    }
    let of_nobody = gained.is_empty();
    let of_file = || Privilege { path: super::shown(&entry.path), gained, owner: owned.first().map(Owned::name) };
    Ok((!of_nobody).then(of_file))
}

/// Whether anybody may write what decides for everybody: the accounts, and of a package's files those that are run or obeyed.
/// Nobody's own scripts are left out: they are no more than a container's own affair.
fn is_anybody_s(entry: &Entry, owned: &[Owned<'_>]) -> bool {
    let is_accounts = || [USERS, PASSWORDS, GROUPS, GROUP_SECRETS].contains(&entry.path.as_slice());
    let is_run = || owned.iter().any(|o| o.file.is_code()) || super::code::at_place(&entry.path).is_some();
    entry.meta.mode() & 0o002 != 0
        && !owned.iter().any(|o| o.file.kind() == Kind::File && o.file.mode & 0o002 != 0)
        && (is_accounts() || (!owned.is_empty() && is_run()))
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
            let (name, expected) = if bit == 0o4000 { (o.file.user, user) } else { (o.file.group, group) };
            // rpm takes the bit from a file whose owner the image does not know.
            name.is_none() || expected == Some(id)
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

/// What a line of a file of accounts gives.
type Line<'a> = &'a dyn Fn(&[u8]) -> Option<String>;

/// Accounts this build made that are root under another name, that a password (or none) opens, or that belong to a group
/// which is as good as root.
///
/// `below` are the layers of the base image; what its accounts already were is its own affair.
pub(super) fn of_accounts(tree: &mut Tree, below: &mut Tree) -> Result<Vec<Privilege>, (std::path::PathBuf, io::Error)> {
    let mut found = Vec::new();
    let groups = PowerfulGroups::of(&read(tree, GROUPS)?.unwrap_or_default());
    let (users, members) = (|line: &[u8]| groups.user(line), |line: &[u8]| groups.group(line));
    let files: [(&[u8], Line<'_>); 4] =
        [(USERS, &users), (PASSWORDS, &password), (GROUPS, &members), (GROUP_SECRETS, &group_secret)];
    for (path, judge) in files {
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

/// Their numbers in an image, and root's.
#[derive(Debug, Default)]
pub(super) struct PowerfulGroups(HashMap<u32, &'static str>);

impl PowerfulGroups {
    fn of(groups: &[u8]) -> Self {
        let numbers = numbers(groups);
        let of = |name: &&'static str| Some((*numbers.get(name.as_bytes())?, *name));
        Self(POWERFUL.iter().filter_map(of).chain([(0, "root")]).collect())
    }

    /// group(5): `name:password:gid:members`
    fn group(&self, line: &[u8]) -> Option<String> {
        let mut fields = line.split(|b| *b == b':');
        let name = super::shown(fields.next()?);
        let password = fields.next()?;
        let number = std::str::from_utf8(fields.next()?).ok()?.trim().parse().ok();
        let members = super::shown(fields.next()?);
        let is_powerful = POWERFUL.contains(&name.as_str());
        if is_powerful && !members.is_empty() {
            return Some(format!("the group {name} has the members {members}"));
        }
        if let Some(other) = number.and_then(|number| self.0.get(&number)).filter(|other| **other != name) {
            return Some(format!("the group {name} is {other} (gid {})", number.unwrap_or_default()));
        }
        group_password(&name, password)
    }

    /// passwd(5): `name:password:uid:gid:…`. Primary group root gives nothing that others have not, and is usual where any user
    /// may run the image.
    fn user(&self, line: &[u8]) -> Option<String> {
        user(line).or_else(|| {
            let mut fields = line.split(|b| *b == b':');
            let name = super::shown(fields.next()?);
            let number: u32 = std::str::from_utf8(fields.nth(2)?).ok()?.trim().parse().ok()?;
            let group = self.0.get(&number).filter(|group| number != 0 && **group != name)?;
            Some(format!("the user {name} belongs to the group {group} (gid {number})"))
        })
    }
}

/// gshadow(5): `name:password:administrators:members`
fn group_secret(line: &[u8]) -> Option<String> {
    let mut fields = line.split(|b| *b == b':');
    let name = super::shown(fields.next()?);
    group_password(&name, fields.next()?)
}

/// Whoever knows it becomes a member by newgrp(1). Without one nobody does.
fn group_password(name: &str, password: &[u8]) -> Option<String> {
    let is_none = password.is_empty() || matches!(password.first(), Some(b'*' | b'!')) || password == b"x";
    (!is_none).then(|| format!("the group {name} has a password"))
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
    }

    #[test]
    fn groups_that_are_as_good_as_root_are_told_by_name_and_by_number() {
        let groups = PowerfulGroups::of(b"root:x:0:\nwheel:x:10:\nusers:x:100:\n");
        for (line, what) in [
            ("wheel:x:10:app,web", "the group wheel has the members app,web"),
            ("ops:x:0:", "the group ops is root (gid 0)"),
            ("ops:x:10:app", "the group ops is wheel (gid 10)"),
            ("users:secret:100:", "the group users has a password"),
        ] {
            assert_eq!(groups.group(line.as_bytes()).as_deref(), Some(what), "{line}");
        }
        for line in ["wheel:x:10:", "users:x:100:app", "users:!:100:", "root:x:0:", "wheel"] {
            assert_eq!(groups.group(line.as_bytes()), None, "{line}");
        }
        let of_wheel = groups.user(b"app:x:1001:10::/:/bin/sh");
        assert_eq!(of_wheel.as_deref(), Some("the user app belongs to the group wheel (gid 10)"));
        assert_eq!(groups.user(b"app:x:1001:0::/:/bin/sh"), None);
        assert_eq!(group_secret(b"wheel:$6$x:: ").as_deref(), Some("the group wheel has a password"));
        assert_eq!((group_secret(b"wheel:!::"), group_secret(b"wheel:::"), group_secret(b"")), (None, None, None));
    }

    #[test]
    fn the_first_line_of_a_name_gives_its_number() {
        let found = numbers(b"web:x:33:33::/:/bin/sh\nweb:x:34:33::/:/bin/sh\nbroken:x:many:1\n\n");
        assert_eq!(found, HashMap::from([(b"web".to_vec(), 33)]));
    }
}
