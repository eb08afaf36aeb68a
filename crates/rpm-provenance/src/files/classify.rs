//! One path of a new layer: what it is compared with, in which order, and what comes of it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use super::capabilities::Capabilities;
use super::code::{self, Code};
use super::commit::Commit;
use super::file_list::Kind;
use super::hash::{digest_of, sha256_of};
use super::owners::{Owned, Owners, SHA256};
use super::tree::{Entry, split};
use super::{Class, LayerSource, NewLayer, Privilege, Record, patterns};

/// What a path is compared with.
pub(super) struct Known<'a> {
    /// The packages in the image's rpmdb.
    pub owners: Owners<'a>,
    /// Packages of other images and stages, by a name for each set.
    pub elsewhere: Vec<(&'a str, Owners<'a>)>,
    pub commit: Commit,
    /// The new layers, top first.
    pub layers: Vec<&'a NewLayer>,
}

/// A judged path, and the privilege it has without a package saying so.
pub(super) struct Judged {
    pub record: Record,
    pub privilege: Option<Privilege>,
}

impl Known<'_> {
    /// Judges one entry.
    pub fn judge(&self, entry: &Entry) -> io::Result<Judged> {
        let kind = Kind::of(entry.meta.mode());
        let mut content = Content { entry, sha256: None };
        let code = match kind {
            Kind::File if entry.meta.len() > 0 => content.code()?,
            _ => Code::None,
        };
        let owned = self.owners.of(&entry.path);
        let (class, owner, differs, source) =
            if owned.is_empty() { self.unowned(kind, code, &mut content)? } else { self.owned(owned, kind, code, &mut content)? };
        // A program that was replaced by a link or by text is a replaced program.
        let was_program = class == Class::Altered && owned.iter().any(|o| o.file.is_code());
        let code = if was_program { code.max(Code::Script) } else { code };
        let privilege = if kind == Kind::File { privilege(entry, owned)? } else { None };
        let told = matches!(class, Class::Unexplained | Class::Altered);
        let sha256 = if told && kind == Kind::File { Some(crate::header::hex(&content.sha256()?)) } else { None };
        let record = Record {
            path: super::shown(&entry.path),
            class,
            code,
            size: if kind == Kind::File { entry.meta.len() } else { 0 },
            kind: kind.name().into(),
            layer: Some(entry.layer),
            owner,
            differs: differs.into_iter().map(Into::into).collect(),
            source,
            sha256,
        };
        Ok(Judged { record, privilege })
    }

    fn owned(&self, owned: &[Owned<'_>], kind: Kind, code: Code, content: &mut Content<'_>) -> io::Result<Outcome> {
        let mut best: Option<(Owned<'_>, Vec<&'static str>)> = None;
        for candidate in owned.iter().filter(|o| !o.file.is_ghost()) {
            let differs = differences(candidate, kind, content)?;
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
        let only_content = differs.iter().all(|d| *d == "content" || *d == "size");
        let class = if only_content && owner.file.may_change() && code != Code::Binary {
            Class::Configured
        } else if differs == ["mode"] {
            Class::ModeChanged
        } else {
            Class::Altered
        };
        let source = if kind == Kind::File { self.commit_path(content)? } else { None };
        Ok((class, name, differs, source))
    }

    fn unowned(&self, kind: Kind, code: Code, content: &mut Content<'_>) -> io::Result<Outcome> {
        let plain = |class, source: Option<String>| Ok((class, None, Vec::new(), source));
        let path = &content.entry.path;
        match kind {
            Kind::Directory => return plain(Class::Directory, None),
            Kind::Link => return plain(Class::Link, None),
            Kind::Other => return plain(Class::Unexplained, None),
            Kind::File if content.entry.meta.len() == 0 => return plain(Class::Empty, None),
            Kind::File => {}
        }
        if code == Code::None
            && let Some(reason) = patterns::reason(path)
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

/// Class, owner, what differs, and where it is from.
type Outcome = (Class, Option<String>, Vec<&'static str>, Option<String>);

/// How a path differs from what the package put there.
fn differences(owned: &Owned<'_>, kind: Kind, content: &mut Content<'_>) -> io::Result<Vec<&'static str>> {
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
    Ok(differs)
}

/// setuid, setgid or capabilities that no owner declares.
fn privilege(entry: &Entry, owned: &[Owned<'_>]) -> io::Result<Option<Privilege>> {
    let files = || owned.iter().map(|o| o.file).filter(|f| f.kind() == Kind::File);
    let special = entry.meta.mode() & 0o6000;
    let mut gained = Vec::new();
    for (bit, name) in [(0o4000, "setuid"), (0o2000, "setgid")] {
        if special & bit != 0 && !files().any(|f| f.mode & bit != 0) {
            gained.push(name.to_owned());
        }
    }
    let mut value = [0_u8; 64];
    match rustix::fs::lgetxattr(&entry.host, "security.capability", &mut value) {
        Ok(length) => {
            let found = Capabilities::of_attribute(value.get(..length).unwrap_or_default());
            let declared = files().any(|f| !f.capabilities.is_empty() && Capabilities::of_text(&f.capabilities) == found);
            if !declared || found.is_none() {
                let names = found.map(Capabilities::describe).unwrap_or_default();
                gained.push(format!("capabilities {names}").trim_end().to_owned());
            }
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    let owner = owned.first().map(Owned::name);
    Ok((!gained.is_empty()).then(|| Privilege { path: super::shown(&entry.path), gained, owner }))
}

/// The content of an entry, read only when it is asked for.
struct Content<'a> {
    entry: &'a Entry,
    sha256: Option<[u8; 32]>,
}

impl Content<'_> {
    fn code(&self) -> io::Result<Code> {
        let mut head = Vec::with_capacity(code::HEAD);
        File::open(&self.entry.host)?.take(code::HEAD as u64).read_to_end(&mut head)?;
        Ok(code::judge(&head, self.entry.meta.mode(), split(&self.entry.path).1))
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
