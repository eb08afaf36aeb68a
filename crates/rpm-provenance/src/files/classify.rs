//! One path of a new layer: what it is compared with, in which order, and what comes of it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use super::aliases::Aliases;
use super::attributes::Attributes;
use super::authselect::Authselect;
use super::code::{self, Code};
use super::commands::Commands;
use super::commit::Commit;
use super::file_list::Kind;
use super::hash::{digest_of, sha256_of};
use super::loader::Astray;
use super::named::Named;
use super::owners::{Owned, Owners, SHA256};
use super::rights::{self, Numbers};
use super::tree::{Entry, split};
use super::trust::{self, Trust};
use super::{Class, CommitContents, LayerDigests, LayerSource, NewLayer, Privilege, Record, links, patterns};
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
    /// What was hashed when the topmost layers were packed or unpacked.
    pub digests: &'a [LayerDigests],
    /// Files that the image's configuration runs, and what in it does.
    pub named: Named,
    /// Directories that something is obeyed in by another name.
    pub aliases: Aliases,
    /// The loader's cache, when it leads out of the image.
    pub astray: Option<Astray>,
    /// What the owners' names in RPM headers mean in this image.
    pub numbers: Numbers,
    /// The certificates that results of `update-ca-trust` may hold.
    pub trust: Trust,
    /// What authselect made of its profiles.
    pub authselect: Authselect,
    /// The commands of packages by their names.
    pub commands: Commands,
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
        self.judge_owned(entry, self.owners.of(&entry.path))
    }

    /// Judges one entry that the walk over the new layers has come to, and notes for its owners that it is there.
    pub fn judge_new(&self, entry: &Entry) -> io::Result<Judged> {
        self.judge_owned(entry, self.owners.of_new(&entry.path))
    }

    fn judge_owned<'o>(&'o self, entry: &Entry, owned: &'o [Owned<'o>]) -> io::Result<Judged> {
        let kind = Kind::of(entry.meta.mode());
        let mut content = Content {
            entry,
            head: Vec::new(),
            sha256: self.digests.get(entry.layer).and_then(|layer| layer.of(entry)),
            attributes: None,
        };
        let best = self.best_owner(owned, kind, &mut content)?;
        let unchanged = best.as_ref().is_some_and(|(_, differs)| differs.is_empty());
        let mut found = match kind {
            // Whoever owns an unchanged file has proven its content: it need not be opened to count it among the programs.
            Kind::File if entry.meta.len() > 0 && unchanged => code::judge(&[], entry.meta.mode(), &entry.path),
            Kind::File if entry.meta.len() > 0 => content.code()?,
            _ => code::Judged { code: Code::None, runs: None },
        };
        let obeyed = if kind == Kind::File && found.code == Code::None { self.obeyed(entry) } else { None };
        if obeyed.is_some() {
            found.code = Code::Script;
        }
        let objection = self.objection(kind, owned, &content)?;
        let (class, owner, differs, source) = if let Some(None) = objection {
            (Class::Generated, None, Vec::new(), Some(trust::REASON.to_owned()))
        } else if let Some(reason) = self.authselect.reason(&entry.path) {
            (Class::Generated, owned.first().copied(), Vec::new(), Some(reason.clone()))
        } else if owned.is_empty() {
            self.unowned(kind, found.code, &mut content)?
        } else {
            self.owned(owned, best, kind, found.code, &mut content)?
        };
        // A bundle of certificates that nothing accounts for; the commit's own is the commit's.
        let stranger = objection.flatten().filter(|_| class == Class::Unexplained);
        if stranger.is_some() {
            found.code = found.code.max(Code::Script);
        }
        // A program that was replaced by text, or by something that is no file at all, is a replaced program.
        let was_program = || {
            let was_run = code::at_place(&entry.path).is_some() || trust::is_bundle(&entry.path);
            let is_root = links::is_root_of_programs(&entry.path);
            owned.iter().any(|o| o.file.is_code()) || (kind != Kind::Link && was_run) || is_root
        };
        if class == Class::Altered && was_program() {
            found.code = found.code.max(Code::Script);
        }
        let may_lead_astray = matches!(class, Class::Link | Class::Altered | Class::Generated);
        let leads_to_code = || links::runs(&entry.path).is_some() || self.commands.looks_in(&entry.path);
        let is_judged = kind == Kind::Link && found.code == Code::None && may_lead_astray && leads_to_code();
        let link = is_judged.then(|| entry.path.clone());
        let database = (kind == Kind::File && owned.is_empty() && is_database(split(&entry.path).1, content.head()?))
            .then(|| entry.path.clone());
        let with_capabilities = kind == Kind::File && content.attributes()?.capabilities;
        let privilege = rights::of_file(entry, kind, with_capabilities, owned, &self.numbers)?;
        let told = matches!(class, Class::Unexplained | Class::Altered);
        let sha256 = if told && kind == Kind::File { Some(build_model::hex(&content.sha256()?)) } else { None };
        // Of most paths only the number is told: their names are not copied.
        let is_told = class.is_listed() || link.is_some();
        let record = Record {
            path: if is_told { super::shown(&entry.path) } else { String::new() },
            class,
            code: found.code,
            runs: obeyed.or(stranger).map(Cow::Owned).or(found.runs.map(Cow::Borrowed)),
            size: if kind == Kind::File { entry.meta.len() } else { 0 },
            kind: kind.name().into(),
            layer: Some(entry.layer),
            owner: owner.filter(|_| is_told).map(|owned| owned.name()),
            differs: differs.into_iter().map(Into::into).collect(),
            source,
            sha256,
        };
        Ok(Judged { record, privilege, link, database })
    }

    /// Who runs or obeys a file that is no program by itself.
    fn obeyed(&self, entry: &Entry) -> Option<String> {
        if entry.meta.len() == 0 {
            return code::of_empty(entry.meta.mode(), &entry.path).map(str::to_owned);
        }
        let of_loader = || self.astray.as_ref().filter(|astray| astray.path == entry.path).map(|astray| astray.runs.clone());
        self.named.runs(&entry.path).cloned().or_else(|| self.aliases.runs(&entry.path)).or_else(of_loader)
    }

    /// Of a result of `update-ca-trust`: what speaks against it, or `None` within. `None` for every other path.
    fn objection(&self, kind: Kind, owned: &[Owned<'_>], content: &Content<'_>) -> io::Result<Option<Option<String>>> {
        let (path, size) = (&content.entry.path, content.entry.meta.len());
        if kind != Kind::File || size == 0 || !owned.is_empty() || !(trust::is_extracted(path) || trust::is_bundle(path)) {
            return Ok(None);
        }
        self.trust.objection_to(&content.entry.host, size).map(Some)
    }

    /// The owner that a path differs least from, and how it differs. Ghosts have nothing to compare with.
    fn best_owner<'o>(&self, owned: &[Owned<'o>], kind: Kind, content: &mut Content<'_>) -> io::Result<Option<Compared<'o>>> {
        let mut best: Option<Compared<'o>> = None;
        for candidate in owned.iter().filter(|o| !o.file.is_ghost()) {
            let differs = differences(candidate, kind, content, &self.numbers)?;
            if best.as_ref().is_none_or(|(_, least)| differs.len() < least.len()) {
                best = Some((*candidate, differs));
            }
        }
        Ok(best)
    }

    fn owned<'o>(
        &'o self,
        owned: &[Owned<'o>],
        best: Option<Compared<'o>>,
        kind: Kind,
        code: Code,
        content: &mut Content<'_>,
    ) -> io::Result<Outcome<'o>> {
        let Some((owner, differs)) = best else {
            let Some(ghost) = owned.first() else { return self.unowned(kind, code, content) };
            if code != Code::None {
                return self.unowned(kind, code, content);
            }
            return Ok((Class::Generated, Some(*ghost), Vec::new(), Some("the package expects it to be made".into())));
        };
        let name = Some(owner);
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

    fn unowned(&self, kind: Kind, code: Code, content: &mut Content<'_>) -> io::Result<Outcome<'_>> {
        let plain = |class, source: Option<String>| Ok((class, None, Vec::new(), source));
        let entry = content.entry;
        let path = &entry.path;
        match kind {
            Kind::Directory => return plain(Class::Directory, None),
            Kind::Link => return plain(Class::Link, None),
            Kind::Other => return plain(Class::Unexplained, None),
            Kind::File if content.entry.meta.len() == 0 && code == Code::None => return plain(Class::Empty, None),
            Kind::File => {}
        }
        let source = self.layers.get(content.entry.layer).map(|l| &l.source);
        if code == Code::None
            && let Some(reason) = patterns::reason(path, content.head()?, source == Some(&LayerSource::Builder))
        {
            return plain(Class::Generated, Some(reason.to_owned()));
        }
        let size = content.entry.meta.len();
        if self.owners.has_size(size)
            && let Some(owned) = self.owners.with_content(&content.sha256()?)
        {
            let is_run = code != Code::None;
            let objection = || self.commands.objection(path, path, content.sha256.as_ref().map(<[u8; 32]>::as_slice), &owned);
            return match is_run.then(objection).flatten() {
                Some(objection) => plain(Class::Unexplained, Some(format!("{}; {objection}", copy_of(&owned)))),
                None => plain(Class::Copy, Some(owned.name())),
            };
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
        match source {
            // Such a layer is made by the engine from the commit alone: an unpacked archive, or a file in the Dockerfile.
            Some(LayerSource::Commit) => plain(Class::Commit, None),
            Some(LayerSource::ClaimedCommit(contents)) if is_in(contents, content)? => plain(Class::Commit, None),
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

/// Whether a file's content is one that the commit explains.
fn is_in(contents: &CommitContents, content: &mut Content<'_>) -> io::Result<bool> {
    let size = content.entry.meta.len();
    let (as_file, as_text) = contents.may_hold(size);
    Ok((as_file && contents.has_file(size, &content.sha256()?))
        || (as_text && contents.has_text(&std::fs::read(&content.entry.host)?)))
}

/// What a file has the content of.
fn copy_of(original: &Owned<'_>) -> String {
    format!("a copy of {} of {}", super::shown(&original.path()), original.name())
}

/// First bytes of a file that are looked at.
const HEAD: usize = if code::HEAD > patterns::HEAD { code::HEAD } else { patterns::HEAD };

/// An owner, and how a path differs from what it brought.
type Compared<'a> = (Owned<'a>, Vec<&'static str>);

/// Class, owner, what differs, and where it is from.
type Outcome<'a> = (Class, Option<Owned<'a>>, Vec<&'static str>, Option<String>);

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
        if content.attributes()?.foreign {
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

/// The content of an entry, read only when it is asked for.
struct Content<'a> {
    entry: &'a Entry,
    head: Vec<u8>,
    sha256: Option<[u8; 32]>,
    attributes: Option<Attributes>,
}

impl Content<'_> {
    fn attributes(&mut self) -> io::Result<Attributes> {
        match self.attributes {
            Some(known) => Ok(known),
            None => Ok(*self.attributes.insert(Attributes::of(&self.entry.host)?)),
        }
    }

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
