//! One path of a new layer: what it is compared with, in which order, and what comes of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::code::{self, Code};
use super::commit::Commit;
use super::file_list::Kind;
use super::hash::{digest_of, sha256_of};
use super::owners::{Owned, Owners, SHA256};
use super::rights::{self, Numbers};
use super::tree::{Entry, split};
use super::{Class, LayerSource, NewLayer, PackedDigests, Privilege, Record, links, patterns};
use crate::rpmdb::is_database;

/// What a path is compared with.
pub(super) struct Known<'a> {
    /// The packages in the image's rpmdb.
    pub owners: Owners<'a>,
    /// Packages of other images and stages, by a name for each set.
    pub elsewhere: Vec<(&'a str, Owners<'a>)>,
    pub commit: Commit,
    /// The new layers, top first.
    pub layers: Vec<&'a NewLayer>,
    /// What was hashed when they were packed.
    pub digests: &'a [PackedDigests],
    /// Files that the image's configuration runs, and what in it does.
    pub named: HashMap<Vec<u8>, String>,
    /// What the owners' names in RPM headers mean in this image.
    pub numbers: Numbers,
}

/// A judged path, and the privilege it has without a package saying so.
pub(super) struct Judged {
    pub record: Record,
    pub privilege: Option<Privilege>,
    /// The path of a link from which something is run: what it leads to has to be looked at.
    pub link: Option<Vec<u8>>,
    /// The path of a file that no package brought and that is a rpmdb by its name and content.
    pub database: Option<Vec<u8>>,
}

impl Known<'_> {
    /// Judges one entry.
    pub fn judge(&self, entry: &Entry) -> io::Result<Judged> {
        let kind = Kind::of(entry.meta.mode());
        let mut content = Content { entry, head: Vec::new(), sha256: self.packed(entry) };
        let mut found = match kind {
            Kind::File if entry.meta.len() > 0 => content.code()?,
            _ => code::Judged { code: Code::None, runs: None },
        };
        let named = self.named.get(&entry.path).filter(|_| found.code == Code::None && kind == Kind::File);
        if named.is_some() {
            found.code = Code::Script;
        }
        let owned = self.owners.of(&entry.path);
        let (class, owner, differs, source) = if owned.is_empty() {
            self.unowned(kind, found.code, &mut content)?
        } else {
            self.owned(owned, kind, found.code, &mut content)?
        };
        // A program that was replaced by text, or by something that is no file at all, is a replaced program.
        let was_program = owned.iter().any(|o| o.file.is_code()) || (kind != Kind::Link && code::at_place(&entry.path).is_some());
        if class == Class::Altered && was_program {
            found.code = found.code.max(Code::Script);
        }
        let may_lead_astray = matches!(class, Class::Link | Class::Altered | Class::Generated);
        let link = (kind == Kind::Link && found.code == Code::None && may_lead_astray)
            .then(|| links::runs(&entry.path, class == Class::Altered).map(|_| entry.path.clone()))
            .flatten();
        let database = (kind == Kind::File && owned.is_empty() && is_database(split(&entry.path).1, content.head()?))
            .then(|| entry.path.clone());
        let privilege = rights::of_file(entry, kind, owned, &self.numbers)?;
        let told = matches!(class, Class::Unexplained | Class::Altered);
        let sha256 = if told && kind == Kind::File { Some(crate::header::hex(&content.sha256()?)) } else { None };
        let record = Record {
            path: super::shown(&entry.path),
            class,
            code: found.code,
            runs: named.map(|what| Cow::Owned(what.clone())).or(found.runs.map(Cow::Borrowed)),
            size: if kind == Kind::File { entry.meta.len() } else { 0 },
            kind: kind.name().into(),
            layer: Some(entry.layer),
            owner,
            differs: differs.into_iter().map(Into::into).collect(),
            source,
            sha256,
        };
        Ok(Judged { record, privilege, link, database })
    }

    /// The digest the packer took, for files of new layers.
    fn packed(&self, entry: &Entry) -> Option<[u8; 32]> {
        self.digests.get(entry.layer)?.get(&entry.path, entry.meta.len())
    }

    fn owned(&self, owned: &[Owned<'_>], kind: Kind, code: Code, content: &mut Content<'_>) -> io::Result<Outcome> {
        let mut best: Option<(Owned<'_>, Vec<&'static str>)> = None;
        for candidate in owned.iter().filter(|o| !o.file.is_ghost()) {
            let differs = differences(candidate, kind, content, &self.numbers)?;
            if best.as_ref().is_none_or(|(_, least)| differs.len() < least.len()) {
                best = Some((*candidate, differs));
            }
        }
        let Some((owner, differs)) = best else {
            let Some(ghost) = owned.first() else { return self.unowned(kind, code, content) };
            if code != Code::None {
                return self.unowned(kind, code, content);
            }
            return Ok((Class::Generated, Some(ghost.name()), Vec::new(), Some("the package expects it to be made".into())));
        };
        let name = Some(owner.name());
        if differs.is_empty() {
            return Ok((Class::Rpm, name, differs, None));
        }
        let source = if kind == Kind::File { self.commit_path(content)? } else { None };
        let only_content = differs.iter().all(|d| *d == "content" || *d == "size");
        // What is run is no mere setting: a changed one must come from the commit.
        let is_setting = owner.file.may_change() && (code == Code::None || (code == Code::Script && source.is_some()));
        let class = if only_content && is_setting {
            Class::Configured
        } else if differs.iter().all(|d| matches!(*d, "mode" | "owner" | "group" | "attributes")) {
            Class::ModeChanged
        } else {
            Class::Altered
        };
        Ok((class, name, differs, source))
    }

    fn unowned(&self, kind: Kind, code: Code, content: &mut Content<'_>) -> io::Result<Outcome> {
        let plain = |class, source: Option<String>| Ok((class, None, Vec::new(), source));
        let entry = content.entry;
        let path = &entry.path;
        match kind {
            Kind::Directory => return plain(Class::Directory, None),
            Kind::Link => return plain(Class::Link, None),
            Kind::Other => return plain(Class::Unexplained, None),
            Kind::File if content.entry.meta.len() == 0 => return plain(Class::Empty, None),
            Kind::File => {}
        }
        if code == Code::None
            && let Some(reason) = patterns::reason(path, content.head()?)
        {
            return plain(Class::Generated, Some(reason.to_owned()));
        }
        let size = content.entry.meta.len();
        if self.owners.has_size(size)
            && let Some(owned) = self.owners.with_content(&content.sha256()?)
        {
            return plain(Class::Copy, Some(owned.name()));
        }
        if let Some(path) = self.commit_path(content)? {
            return plain(Class::Commit, Some(path));
        }
        for (place, owners) in &self.elsewhere {
            if owners.has_size(size)
                && let Some(owned) = owners.with_content(&content.sha256()?)
            {
                return plain(Class::Elsewhere, Some(format!("{} of {place}", owned.name())));
            }
        }
        match self.layers.get(content.entry.layer).map(|l| &l.source) {
            // Such a layer is made by the engine from the commit alone: an unpacked archive, or a file in the Dockerfile.
            Some(LayerSource::Commit) => plain(Class::Commit, None),
            Some(LayerSource::Stage(stage)) if code == Code::None => plain(Class::Stage, Some(stage.clone())),
            _ => plain(Class::Unexplained, None),
        }
    }

    fn commit_path(&self, content: &mut Content<'_>) -> io::Result<Option<String>> {
        let size = content.entry.meta.len();
        if !self.commit.has_size(size) {
            return Ok(None);
        }
        Ok(self.commit.with_content(size, &content.sha256()?))
    }
}

/// First bytes of a file that are looked at.
const HEAD: usize = if code::HEAD > patterns::HEAD { code::HEAD } else { patterns::HEAD };

/// Class, owner, what differs, and where it is from.
type Outcome = (Class, Option<String>, Vec<&'static str>, Option<String>);

/// How a path differs from what the package put there.
fn differences(owned: &Owned<'_>, kind: Kind, content: &mut Content<'_>, numbers: &Numbers) -> io::Result<Vec<&'static str>> {
    let (file, meta) = (owned.file, &content.entry.meta);
    if file.kind() != kind {
        // A package may own a directory that is a link in this image (merged /usr, ostree): it is not the package's then.
        return Ok(vec!["type"]);
    }
    let mut differs = Vec::new();
    match kind {
        Kind::Link => {
            let target = std::fs::read_link(&content.entry.host)?;
            if target.as_os_str().as_bytes() != &*file.link {
                differs.push("target");
            }
        }
        Kind::File if meta.len() != file.size => differs.push("size"),
        Kind::File if file.size == 0 => {}
        Kind::File => {
            let found = content.digest(owned.package.digest_algorithm)?;
            if found.is_none_or(|found| found != *file.digest) {
                differs.push("content");
            }
        }
        Kind::Directory | Kind::Other => {}
    }
    if kind != Kind::Link && (meta.mode() ^ file.mode) & 0o7777 != 0 {
        differs.push("mode");
    }
    if kind != Kind::Link {
        let (user, group) = numbers.expected(owned);
        if has_attributes(&content.entry.host)? {
            differs.push("attributes");
        }
        for (expected, found, what) in [(user, meta.uid(), "owner"), (group, meta.gid(), "group")] {
            if expected.is_some_and(|expected| expected != found) {
                differs.push(what);
            }
        }
    }
    Ok(differs)
}

/// Extended attributes that layers carry and no package sets: access lists, and anybody's notes. Capabilities are rights.
fn has_attributes(path: &Path) -> io::Result<bool> {
    let mut names = [0_u8; 4096];
    match rustix::fs::llistxattr(path, &mut names) {
        Ok(length) => {
            let names = names.get(..length).unwrap_or_default().split(|b| *b == 0);
            let mut of_layers = names.filter(|name| name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_"));
            Ok(of_layers.any(|name| !name.starts_with(b"user.overlay.")))
        }
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(rustix::io::Errno::RANGE) => Ok(true), // no honest file has so many
        Err(error) => Err(error.into()),
    }
}

/// The content of an entry, read only when it is asked for.
struct Content<'a> {
    entry: &'a Entry,
    head: Vec<u8>,
    sha256: Option<[u8; 32]>,
}

impl Content<'_> {
    /// The first bytes.
    fn head(&mut self) -> io::Result<&[u8]> {
        if self.head.is_empty() {
            File::open(&self.entry.host)?.take(HEAD as u64).read_to_end(&mut self.head)?;
        }
        Ok(&self.head)
    }

    fn code(&mut self) -> io::Result<code::Judged> {
        let (mode, path) = (self.entry.meta.mode(), &self.entry.path);
        let head = self.head()?;
        Ok(code::judge(head, mode, path))
    }

    fn sha256(&mut self) -> io::Result<[u8; 32]> {
        match self.sha256 {
            Some(sum) => Ok(sum),
            None => Ok(*self.sha256.insert(sha256_of(&self.entry.host)?)),
        }
    }

    fn digest(&mut self, algorithm: u64) -> io::Result<Option<Vec<u8>>> {
        if algorithm == SHA256 { Ok(Some(self.sha256()?.to_vec())) } else { digest_of(&self.entry.host, algorithm) }
    }
}
