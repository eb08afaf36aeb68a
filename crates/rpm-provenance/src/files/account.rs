//! The account of one image: walks the new layers, judges every path on a few threads, and compares packages with files.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use build_model::Nvra;
use image_layers::MergedView;

use super::aliases::Aliases;
use super::authselect::Authselect;
use super::classify::Known;
use super::commands::Commands;
use super::commit::Commit;
use super::file_list::{Kind, PackageFiles};
use super::links::{self, RunLink};
use super::loader;
use super::named::{Absent, ConfigText, Named};
use super::owners::{Owned, Owners};
use super::rights::{self, Numbers};
use super::tree::{Cleared, Entry, Tree, join, split};
use super::trust::Trust;
use super::{Class, Code, CommitContents, FileAccount, FilesError, LayerDigests, PackageFinding, Record, shown};
use crate::rpmdb::known_directories;

/// What an instruction could put into its layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// Anything: RUN, or ADD of a URL.
    Any,
    /// Only what is in the dist-git commit: COPY, ADD of local files.
    Commit,
    /// The same by the image's own word: what the commit does not have nobody explains.
    ClaimedCommit(Arc<CommitContents>),
    /// The builder itself, which records what the image is made of.
    Builder,
    /// Only what is in this stage or image: `COPY --from`.
    Stage(String),
}

/// One layer of this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The instruction that made it, as it stands in the Dockerfile.
    pub instruction: String,
    /// What it could contain.
    pub source: LayerSource,
}

/// What an account is made of.
pub struct Accounting<'a> {
    /// All layer directories of the image in overlay form, top first.
    pub layers: Vec<PathBuf>,
    /// This build's layers, top first: the first ones of `layers`.
    pub new_layers: &'a [NewLayer],
    /// What was hashed when the layers were packed or unpacked, top first; may be of the topmost ones alone, or empty.
    pub digests: &'a [LayerDigests],
    /// The packages of the image's rpmdb.
    pub packages: &'a [PackageFiles],
    /// The packages of the base image's rpmdb.
    pub parent: &'a [PackageFiles],
    /// Packages that content may have been copied from, with the name of the image or stage.
    pub elsewhere: &'a [(String, Vec<PackageFiles>)],
    /// The checkout that COPY and ADD read from.
    pub commit: Option<&'a Path>,
    /// Commands and variables of the image's configuration.
    pub config: &'a [ConfigText],
    /// The working directory of the image's configuration.
    pub working_dir: &'a str,
}

/// What the judging threads find besides records.
#[derive(Default)]
struct Loose {
    /// Links to be judged by what they lead to.
    links: Vec<RunLink>,
    /// Files that are rpmdbs.
    databases: Vec<Vec<u8>>,
}

/// Entries handed to a judging thread at once.
const PIECE: usize = 128;
/// Pieces on their way to the judging threads.
const QUEUE: usize = 8;
const THREADS_MAX: usize = 8;

/// Accounts for every path of the new layers.
///
/// # Errors
/// Only when a file cannot be read. What is wrong with the image is in the [`FileAccount`].
pub fn account(what: &Accounting<'_>) -> Result<FileAccount, FilesError> {
    let mut tree = Tree::new(what.layers.clone(), what.new_layers.len());
    let mut known = Known {
        owners: Owners::index(what.packages, &mut tree)?,
        elsewhere: what.elsewhere.iter().map(|(name, packages)| (name.as_str(), Owners::of_content(packages))).collect(),
        commit: what.commit.map(Commit::list).transpose()?.unwrap_or_default(),
        layers: what.new_layers.iter().collect(),
        digests: what.digests,
        named: Named::gather(what.config, what.working_dir, &mut tree)?,
        aliases: Aliases::gather(&mut tree)?,
        astray: loader::astray(&mut tree)?,
        numbers: Numbers::read(&mut tree)?,
        trust: Trust::default(),
        authselect: Authselect::default(),
        commands: Commands::default(),
    };
    known.trust = Trust::gather(&mut tree, &known)?;
    known.authselect = Authselect::gather(&mut tree, &known)?;
    known.commands = Commands::gather(ConfigText::search_path(what.config), &known.owners, &mut tree)?;
    let (mut account, loose, cleared) = judge_new_layers(&tree, &known)?;
    links::judge(loose.links, &mut tree, &known)?.into_iter().for_each(|record| account.add(record));
    find_other_databases(&mut tree, loose.databases, &mut account)?;
    let mut below = Tree::new(what.layers.iter().skip(what.new_layers.len()).cloned().collect(), 0);
    account.privileges.extend(rights::of_accounts(&mut tree, &mut below)?);
    known.named.absent.iter().for_each(|absent| account.add(not_there(absent)));
    account.hidden = cleared.hidden;
    cleared.out_of_reach.iter().for_each(|(path, layer)| account.add(out_of_reach(path, *layer)));
    account.layers = what.new_layers.iter().map(|layer| layer.instruction.clone()).collect();
    let inherited: HashSet<(&Nvra, &str)> = what.parent.iter().map(identity).collect();
    find_deleted(&mut tree, &known, &cleared, &inherited, &mut account)?;
    find_not_installed(&mut tree, &known, what.packages, &inherited, &mut account)?;
    find_still_there(&mut tree, &known, what, &mut account)?;
    account.sort();
    Ok(account)
}

/// Whatever it is, nobody can say; it may be a program.
fn out_of_reach(path: &[u8], layer: usize) -> Record {
    let runs = "its path is too long to look at it".into();
    Record { layer: Some(layer), ..not_seen(path, Code::Binary, runs) }
}

/// A volume or another layer could bring what the image's configuration has programs obey.
fn not_there(absent: &Absent) -> Record {
    not_seen(&absent.path, if absent.is_anybody_s { Code::Script } else { Code::None }, absent.runs.clone().into())
}

/// A file of which nothing is known but why it counts.
fn not_seen(path: &[u8], code: Code, runs: Cow<'static, str>) -> Record {
    Record {
        path: shown(path),
        class: Class::Unexplained,
        code,
        runs: Some(runs),
        size: 0,
        kind: "file".into(),
        layer: None,
        owner: None,
        differs: Vec::new(),
        source: None,
        sha256: None,
    }
}

fn identity(package: &PackageFiles) -> (&Nvra, &str) {
    (&package.nvra, package.sha256header.as_str())
}

fn judge_new_layers(tree: &Tree, known: &Known<'_>) -> Result<(FileAccount, Loose, Cleared), FilesError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let (send, receive) = sync_channel::<Vec<Entry>>(QUEUE);
    let receive = Mutex::new(receive);
    std::thread::scope(|scope| {
        let judges: Vec<_> = (0..threads).map(|_| scope.spawn(|| judge_all(&receive, known))).collect();
        // A judge that failed no longer listens; its error is found below.
        let mut piece = Vec::with_capacity(PIECE);
        let walked = tree.walk(&mut |entry| {
            piece.push(entry);
            if piece.len() == PIECE {
                drop(send.send(std::mem::replace(&mut piece, Vec::with_capacity(PIECE))));
            }
        });
        drop(send.send(piece));
        drop(send);
        let (mut account, mut loose) = (FileAccount::default(), Loose::default());
        let mut failed = None;
        for judge in judges {
            match judge.join() {
                Ok(Ok((part, found))) => {
                    account.merge(part);
                    loose.links.extend(found.links);
                    loose.databases.extend(found.databases);
                }
                Ok(Err(error)) => failed = Some(error),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok((account, loose, walked?)),
        }
    })
}

fn judge_all(receive: &Mutex<Receiver<Vec<Entry>>>, known: &Known<'_>) -> Result<(FileAccount, Loose), FilesError> {
    let (mut part, mut loose) = (FileAccount::default(), Loose::default());
    let mut failed = None;
    loop {
        let next = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(piece) = next else { break };
        for entry in piece {
            if failed.is_some() {
                break; // the walk must not wait for a reader
            }
            match known.judge_new(&entry) {
                Ok(judged) => {
                    part.privileges.extend(judged.privilege);
                    loose.databases.extend(judged.database);
                    match judged.link {
                        Some(path) => loose.links.push(RunLink { path, record: judged.record }),
                        None => part.add(judged.record),
                    }
                }
                Err(source) => failed = Some(FilesError { path: entry.host, source }),
            }
        }
    }
    failed.map_or(Ok((part, loose)), Err)
}

/// Databases that are not where `rpm` of any distribution, or of this image, looks; those that are, the proof has read or
/// refused.
fn find_other_databases(tree: &mut Tree, databases: Vec<Vec<u8>>, account: &mut FileAccount) -> Result<(), FilesError> {
    if databases.is_empty() {
        return Ok(());
    }
    let mut read = HashSet::new();
    for dir in known_directories(&MergedView::new(tree.layers().to_vec())) {
        read.insert(tree.canonical_dir(dir.as_bytes())?);
    }
    for path in databases.iter().filter(|path| !read.contains(split(path).0)) {
        account.packages.push(PackageFinding::OtherDatabase { path: shown(path) });
    }
    Ok(())
}

/// Files of inherited packages that a new layer hides.
fn find_deleted(
    tree: &mut Tree,
    known: &Known<'_>,
    cleared: &Cleared,
    inherited: &HashSet<(&Nvra, &str)>,
    account: &mut FileAccount,
) -> Result<(), FilesError> {
    if cleared.paths.is_empty() {
        return Ok(());
    }
    let is_cleared = |path: &[u8]| {
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).chain([path.len()]);
        ends.filter(|end| *end > 0).any(|end| path.get(..end).is_some_and(|p| cleared.paths.contains(p)))
    };
    for (path, owned) in known.owners.paths() {
        let mine = owned.iter().find(|o| inherited.contains(&identity(o.package)) && o.file.is_expected());
        if let Some(owned) = mine
            && is_cleared(path)
            && tree.entry(path)?.is_none()
        {
            account.add(gone(path, owned));
        }
    }
    Ok(())
}

fn gone(path: &[u8], owned: &Owned<'_>) -> Record {
    Record {
        path: shown(path),
        class: Class::Deleted,
        code: if owned.file.is_code() { Code::Script } else { Code::None },
        runs: None,
        size: 0,
        kind: owned.file.kind().name().into(),
        layer: None,
        owner: Some(owned.name()),
        differs: Vec::new(),
        source: None,
        sha256: None,
    }
}

/// Packages that came with this build must have come with their files: `rpm --justdb` writes the database alone.
fn find_not_installed(
    tree: &mut Tree,
    known: &Known<'_>,
    packages: &[PackageFiles],
    inherited: &HashSet<(&Nvra, &str)>,
    account: &mut FileAccount,
) -> Result<(), FilesError> {
    for package in packages.iter().filter(|p| !inherited.contains(&identity(p))) {
        let (mut programs, mut files) = (Presence::default(), Presence::default());
        let dirs = package.dirs.iter().map(|dir| tree.canonical_dir(dir)).collect::<Result<Vec<_>, _>>()?;
        for file in package.files.iter().filter(|f| f.is_expected() || f.is_replaced_program()) {
            let path = join(dirs.get(file.dir).map(AsRef::as_ref).unwrap_or_default(), &file.name);
            // The state is anybody's claim; two owners are a fact.
            if !file.is_expected() && known.owners.of(&path).len() > 1 {
                continue;
            }
            // The walk over the new layers has been there, or a look into the layers tells.
            let is_new = known.owners.was_found_new(&path);
            let found = if is_new { None } else { tree.entry(&path)? };
            if file.kind() == Kind::File {
                files.note(&path, is_new || found.is_some());
                if file.is_code() {
                    programs.note(&path, is_new || found.is_some());
                }
            }
            match found {
                _ if is_new => {}
                // Its path, but from a lower layer: rpm need not write what is there already, so look at what is.
                Some(entry) if !tree.is_new(entry.layer) && file.kind() == Kind::File => {
                    let path = entry.host.clone();
                    let judged = known.judge(&entry).map_err(|source| FilesError { path, source })?;
                    if matches!(judged.record.class, Class::Altered) {
                        account.add(judged.record);
                    }
                }
                Some(_) => {}
                None => account.add(gone(&path, &Owned { package, file })),
            }
        }
        let judged = if programs.expected > 0 { programs } else { files };
        if let (true, 0, Some(example)) = (judged.expected > 0, judged.found, judged.example) {
            account.packages.push(PackageFinding::NotInstalled { package: package.nvra.to_string(), example });
        }
    }
    Ok(())
}

#[derive(Default)]
struct Presence {
    expected: usize,
    found: usize,
    example: Option<String>,
}

impl Presence {
    fn note(&mut self, path: &[u8], found: bool) {
        self.expected += 1;
        self.found += usize::from(found);
        if !found && self.example.is_none() {
            self.example = Some(shown(path));
        }
    }
}

/// Packages of the parent that the rpmdb no longer lists must have gone with their files.
fn find_still_there(
    tree: &mut Tree,
    known: &Known<'_>,
    what: &Accounting<'_>,
    account: &mut FileAccount,
) -> Result<(), FilesError> {
    let listed: HashSet<(&Nvra, &str)> = what.packages.iter().map(identity).collect();
    for package in what.parent.iter().filter(|p| !listed.contains(&identity(p))) {
        let (mut files, mut example) = (0, None);
        let dirs = package.dirs.iter().map(|dir| tree.canonical_dir(dir)).collect::<Result<Vec<_>, _>>()?;
        for file in package.files.iter().filter(|f| f.kind() == Kind::File && f.is_expected() && !f.may_change()) {
            let path = join(dirs.get(file.dir).map(AsRef::as_ref).unwrap_or_default(), &file.name);
            // In a new layer it is accounted for there.
            let stays = known.owners.of(&path).is_empty() && tree.entry(&path)?.is_some_and(|e| !tree.is_new(e.layer));
            if stays {
                files += 1;
                example.get_or_insert_with(|| shown(&path));
            }
        }
        if let Some(example) = example {
            account.packages.push(PackageFinding::StillThere { package: package.nvra.to_string(), files, example });
        }
    }
    Ok(())
}
