//! The files a package owns, as its header lists them (rpm's docs/manual/tags.md, "File entries").
//!
//! Read by [`crate::rpmdb::read_view_with_files`] for installed packages and by [`crate::package_file`] for the gate's.

use std::collections::HashMap;

use build_model::{Nvra, unhex};

use crate::RpmIdent;
use crate::header::{Header, HeaderError, tag};

const CONFIG: u64 = 1;
const MISSING_OK: u64 = 1 << 3;
const GHOST: u64 = 1 << 6;
/// FILESTATES: another package's file lies there, as both packages wanted it.
const STATE_REPLACED: u64 = 1;
/// FILEVERIFYFLAGS: the content is compared by `rpm -V`.
const VERIFY_DIGEST: u64 = 1;
const KIND: u32 = 0o170_000;

/// What a path is, by its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl Kind {
    pub fn of(mode: u32) -> Self {
        match mode & KIND {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Link,
            _ => Kind::Other,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Link => "link",
            Kind::Other => "device or socket",
        }
    }
}

/// One path of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFile {
    /// Index of its directory in [`PackageFiles::dirs`].
    pub(crate) dir: usize,
    pub(crate) name: Box<[u8]>,
    pub(crate) size: u64,
    /// Type and permissions, as in `st_mode`.
    pub(crate) mode: u32,
    /// Of regular files, with [`PackageFiles::digest_algorithm`]; empty otherwise.
    pub(crate) digest: Box<[u8]>,
    /// Target of symbolic links.
    pub(crate) link: Box<[u8]>,
    /// File capabilities in text form; empty for none.
    pub(crate) capabilities: Box<[u8]>,
    /// Indexes of its owner's and group's name in [`PackageFiles::names`]; `None` where the header has none.
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    flags: u64,
    verify: u64,
    state: u64,
}

impl PackageFile {
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.mode)
    }
    /// A configuration file, or one whose content rpm itself does not expect to stay the same.
    pub(crate) fn may_change(&self) -> bool {
        self.flags & CONFIG != 0 || self.verify & VERIFY_DIGEST == 0
    }
    /// The package owns the path, but brings no content for it.
    pub(crate) fn is_ghost(&self) -> bool {
        self.flags & GHOST != 0
    }
    /// Whether rpm has put it there: not a ghost, not left out as documentation or language.
    ///
    /// The state is written when the package is installed and covered by no digest. rpm leaves out documentation and
    /// languages, but no programs, so a state that says so of a program counts for nothing; replaced by another
    /// package's file it may be.
    pub(crate) fn is_expected(&self) -> bool {
        let left_out = self.state == STATE_REPLACED || (self.state != 0 && !self.is_code());
        self.flags & (GHOST | MISSING_OK) == 0 && !left_out
    }
    /// A program whose place another package's file is said to have taken.
    pub(crate) fn is_replaced_program(&self) -> bool {
        self.flags & (GHOST | MISSING_OK) == 0 && self.state == STATE_REPLACED && self.is_code()
    }
    /// A program or shared object, as far as the header tells.
    pub(crate) fn is_code(&self) -> bool {
        let by_name = || super::code::is_shared_object_name(&self.name) || super::code::of_name(&self.name).is_some();
        self.kind() == Kind::File && (self.mode & 0o111 != 0 || by_name())
    }
}

/// The files of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFiles {
    /// The package.
    pub nvra: Nvra,
    /// SHA-256 of its header as it was built, recomputed.
    pub sha256header: String,
    /// rpm's number of the digest (`PGPHASHALGO`): 1 is MD5, 8 is SHA-256.
    pub(crate) digest_algorithm: u64,
    pub(crate) dirs: Vec<Box<[u8]>>,
    /// Names of the users and groups that own its files, each once.
    pub(crate) names: Vec<Box<[u8]>>,
    pub(crate) files: Vec<PackageFile>,
}

impl PackageFiles {
    /// Reads the lists of a header. All must be as long as the list of names.
    pub(crate) fn read(header: &Header, ident: &RpmIdent) -> Result<Self, HeaderError> {
        Self::read_lists(header, ident.nvra.clone(), ident.computed.sha256.clone())
    }

    fn read_lists(header: &Header, nvra: Nvra, sha256header: String) -> Result<Self, HeaderError> {
        let (dirs, names) = names(header)?;
        let count = names.len();
        let sizes = match header.numbers(tag::LONGFILESIZES)? {
            long if !long.is_empty() => long,
            _ => header.numbers(tag::FILESIZES)?,
        };
        let modes = header.numbers(tag::FILEMODES)?;
        let digests = header.strings(tag::FILEDIGESTS)?;
        let links = header.strings(tag::FILELINKTOS)?;
        let capabilities = header.strings(tag::FILECAPS)?;
        let (flags, verify) = (header.numbers(tag::FILEFLAGS)?, header.numbers(tag::FILEVERIFYFLAGS)?);
        let states = header.numbers(tag::FILESTATES)?;
        let (users, groups) = (header.strings(tag::FILEUSERNAME)?, header.strings(tag::FILEGROUPNAME)?);
        let lengths = [
            ("sizes", sizes.len(), true),
            ("modes", modes.len(), true),
            ("digests", digests.len(), true),
            ("links", links.len(), true),
            ("flags", flags.len(), true),
            ("verify flags", verify.len(), false),
            ("capabilities", capabilities.len(), false),
            ("states", states.len(), false),
            ("owners", users.len(), false),
            ("groups", groups.len(), false),
        ];
        for (what, length, required) in lengths {
            if length != count && (required || length != 0) {
                return Err(HeaderError::damaged(format!("{length} {what} for {count} files")));
            }
        }
        let text = |list: &[&[u8]], i: usize| -> Box<[u8]> { list.get(i).copied().unwrap_or_default().into() };
        let mut files = Vec::with_capacity(count);
        let mut accounts = Accounts::default();
        for (i, (dir, name)) in names.into_iter().enumerate() {
            let digest = digests.get(i).copied().unwrap_or_default();
            files.push(PackageFile {
                dir,
                name: name.into(),
                size: sizes.get(i).copied().unwrap_or_default(),
                mode: modes.get(i).copied().unwrap_or_default() as u32 & 0xffff,
                digest: unhex(digest).ok_or_else(|| HeaderError::damaged("a file digest is not hex"))?,
                link: text(&links, i),
                capabilities: text(&capabilities, i),
                user: users.get(i).map(|name| accounts.number(name)),
                group: groups.get(i).map(|name| accounts.number(name)),
                flags: flags.get(i).copied().unwrap_or_default(),
                verify: verify.get(i).copied().unwrap_or(u64::MAX),
                state: states.get(i).copied().unwrap_or_default(),
            });
        }
        let digest_algorithm = header.numbers(tag::FILEDIGESTALGO)?.first().copied().unwrap_or(1);
        Ok(Self { nvra, sha256header, digest_algorithm, dirs, names: accounts.names, files })
    }

    /// How many paths it owns.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether it owns nothing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The paths as the package spells them.
    pub fn paths(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.files.iter().map(|f| [self.dirs.get(f.dir).map(AsRef::as_ref).unwrap_or_default(), &f.name].concat())
    }
}

/// The few names that own the many files of a package.
#[derive(Default)]
struct Accounts<'a> {
    names: Vec<Box<[u8]>>,
    numbers: HashMap<&'a [u8], u32>,
}

impl<'a> Accounts<'a> {
    fn number(&mut self, name: &'a [u8]) -> u32 {
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name.into());
            u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

type Names<'a> = (Vec<Box<[u8]>>, Vec<(usize, &'a [u8])>);

/// Directories and, for every file, its directory and name.
fn names(header: &Header) -> Result<Names<'_>, HeaderError> {
    let bases = header.strings(tag::BASENAMES)?;
    if bases.is_empty() {
        // rpm 3: whole paths
        let mut dirs: Vec<Box<[u8]>> = Vec::new();
        let mut names = Vec::new();
        for path in header.strings(tag::OLDFILENAMES)? {
            let cut = path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
            let (dir, name) = path.split_at(cut);
            if dirs.last().is_none_or(|last| **last != *dir) {
                dirs.push(dir.into());
            }
            names.push((dirs.len() - 1, name));
        }
        return Ok((dirs, names));
    }
    let dirs: Vec<Box<[u8]>> = header.strings(tag::DIRNAMES)?.into_iter().map(Into::into).collect();
    let indexes = header.numbers(tag::DIRINDEXES)?;
    if indexes.len() != bases.len() {
        return Err(HeaderError::damaged(format!("{} directory indexes for {} files", indexes.len(), bases.len())));
    }
    let mut names = Vec::with_capacity(bases.len());
    for (index, base) in indexes.into_iter().zip(bases) {
        let index = usize::try_from(index).ok().filter(|i| *i < dirs.len());
        names.push((index.ok_or_else(|| HeaderError::damaged("a file lies in a directory that is not listed"))?, base));
    }
    Ok((dirs, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of the given entries (tag, type, offset, count) without a region.
    fn header(entries: &[(u32, u32, u32, u32)], data: &[u8]) -> Result<Header, HeaderError> {
        let mut blob = (entries.len() as u32).to_be_bytes().to_vec();
        blob.extend((data.len() as u32).to_be_bytes());
        for (tag, kind, offset, count) in entries {
            [tag, kind, offset, count].iter().for_each(|n| blob.extend(n.to_be_bytes()));
        }
        blob.extend(data);
        Header::parse(blob, tag::HEADER_IMMUTABLE)
    }

    fn read(entries: &[(u32, u32, u32, u32)], data: &[u8]) -> Result<PackageFiles, HeaderError> {
        PackageFiles::read_lists(&header(entries, data)?, "a-1-1.noarch".parse().expect("an NVRA"), String::new())
    }

    #[test]
    fn lists_of_different_lengths_are_damage() {
        let data = b"/d/\0f\0g\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let names = [(tag::DIRNAMES, 8, 0, 1), (tag::BASENAMES, 8, 4, 2), (tag::DIRINDEXES, 4, 8, 2)];
        let error = read(&names, data).expect_err("no sizes").to_string();
        assert!(error.contains("0 sizes for 2 files"), "{error}");
        let outside = [(tag::DIRNAMES, 8, 0, 1), (tag::BASENAMES, 8, 4, 1), (tag::DIRINDEXES, 2, 1, 1)];
        assert!(read(&outside, data).expect_err("no such directory").to_string().contains("not listed"));
        assert!(read(&[], data).expect("no files").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(
            entries in proptest::collection::vec(
                (proptest::sample::select(vec![1027u32, 1028, 1029, 1030, 1035, 1036, 1037, 1039, 1040, 1045, 1116, 1117, 1118, 5008, 5010, 5011]),
                 0u32..11, 0u32..64, 0u32..12), 0..16),
            data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..96),
        ) {
            if let Ok(files) = read(&entries, &data) {
                proptest::prop_assert_eq!(files.paths().count(), files.len());
            }
        }
    }
}
