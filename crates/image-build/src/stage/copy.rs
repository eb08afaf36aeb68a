//! COPY and ADD: words expanded, sources found, the work given to [`crate::copy`].

use std::path::{Path, PathBuf};

use dockerfile::{Add, Copy, CopySource, FromRef, ModeChange, expand, expand_heredoc};

use super::StageState;
use crate::build::{Builder, Made};
use crate::copy::{
    CopyError, CopyJob, FoundSource, Item, Rewrite, Selection, Unpack, digest_sources, find, find_with_parents, place,
};
use crate::error::StepError;
use crate::layers::CacheKey;
use crate::progress::StepInfo;
use crate::remote::{Fetched, Remote, RemoteError};
use crate::rootfs::{RootDir, Users, components};
use crate::snapshot::{FrozenUpper, SnapshotError};

/// The words of a COPY or ADD after expansion.
struct Expanded {
    sources: Vec<CopySource>,
    dest: PathBuf,
    dest_is_dir: bool,
    chown: Option<String>,
    chmod: Option<String>,
    checksum: Option<String>,
}

/// What a word of a COPY or ADD stands for.
enum Wanted {
    /// Found in the context, a stage or an image, or written in the Dockerfile.
    Here(Vec<Item>),
    /// To be fetched.
    Remote(Remote),
}

impl Builder<'_> {
    /// Does a COPY, or the ADD that it is part of.
    pub(crate) fn copy(
        &mut self,
        state: &mut StageState,
        copy: &Copy,
        add: Option<&Add>,
        step: &StepInfo,
    ) -> Result<Made, StepError> {
        let unpack = match add.map(|add| add.unpack) {
            None | Some(Some(false)) => Unpack::Never,
            Some(None) => Unpack::Detect,
            Some(Some(true)) => Unpack::Always,
        };
        let expanded = self.expand_copy(state, copy, add)?;
        let from = copy.from.as_deref().map(|from| self.plan.resolve_from(state.index, from));
        let source = self.source(from.as_ref())?;
        let ignore = if from.is_none() { self.request.ignore.as_ref() } else { None };
        let selection = Selection::new(ignore, &copy.exclude)?;
        let wanted = self.find_wanted(source.root(), &expanded, copy, add, &selection, from.as_ref())?;

        let digest = self.digest(source.root(), &wanted, &selection, from.as_ref())?;
        let key = |identities: &[String]| copy_key(state, copy, &expanded, unpack, &wanted, identities, &digest);
        let known: Option<Vec<String>> = remotes(&wanted).map(Remote::known_identity).collect();
        let known = known.map(|identities| key(&identities));
        if let Some(known) = &known
            && let Some(made) = self.take_cached(state, known, step)?
        {
            return Ok(made);
        }
        let fetched = self.fetch(&wanted)?;
        let identities: Vec<String> = fetched.iter().map(|f| f.identity.clone()).collect();
        let key = copy_key(state, copy, &expanded, unpack, &wanted, &identities, &digest);
        if known.as_ref() != Some(&key)
            && let Some(made) = self.take_cached(state, &key, step)?
        {
            return Ok(made);
        }
        let items = items(wanted, fetched);

        let owner = self.owner(state, expanded.chown.as_deref())?;
        let mode = expanded.chmod.as_deref().map(ModeChange::parse).transpose().map_err(CopyError::from)?;
        let archive_rewrite = Rewrite { owner, mode, devices: from.is_some() };
        // What comes from the build context belongs to root; what comes from an image keeps its owner.
        let context_owner = if from.is_none() { Some((0, 0)) } else { None };
        let rewrite = Rewrite { owner: owner.or(context_owner), ..archive_rewrite.clone() };
        let dest_is_dir = expanded.dest_is_dir || copy.parents || items.len() > 1 || expanded.sources.len() > 1;
        let fetched_selection = Selection::new(None, &copy.exclude)?;
        let (progress, cancel) = (self.request.progress, self.request.cancel);
        let note = |text: String| progress.event(crate::ProgressEvent::Note { text });
        let copy_to = |image: &RootDir, behind: Option<&RootDir>| {
            place(&CopyJob {
                root: source.root(),
                items: &items,
                image,
                behind,
                dest: &expanded.dest,
                dest_is_dir,
                rewrite: &rewrite,
                archive_rewrite: &archive_rewrite,
                selection: &selection,
                fetched_selection: &fetched_selection,
                unpack,
                cancel,
                note: &note,
            })
        };
        let new_layer =
            |upper: &FrozenUpper| RootDir::open(&upper.path()).map_err(StepError::path("open the new layer of", &expanded.dest));
        let upper = if copy.link {
            // Written into an empty directory: nothing below is looked at, no symlink of the image followed.
            let upper = FrozenUpper::create(self.lowers(state).first(), self.request.store, self.request.source_date_epoch)?;
            copy_to(&new_layer(&upper)?, None)?;
            upper
        } else {
            let snapshot = self.snapshot(state)?;
            copy_to(snapshot.root(), Some(&new_layer(snapshot.upper())?))?;
            snapshot.freeze()?
        };
        self.made(state, key, upper, step)
    }

    fn expand_copy(&self, state: &StageState, copy: &Copy, add: Option<&Add>) -> Result<Expanded, StepError> {
        let lookup = |name: &str| state.lookup(name);
        let word = |text: &str| expand(text, self.plan.escape, &lookup);
        let optional = |text: &Option<String>| text.as_deref().map(word).transpose().map(|t| t.filter(|t| !t.is_empty()));
        let mut sources = Vec::with_capacity(copy.sources.len());
        for source in &copy.sources {
            sources.push(match source {
                CopySource::Path(path) => CopySource::Path(word(path)?),
                CopySource::Heredoc(heredoc) if heredoc.expand => {
                    let body = expand_heredoc(&heredoc.body, &lookup)?;
                    CopySource::Heredoc(dockerfile::Heredoc { body, ..heredoc.clone() })
                }
                CopySource::Heredoc(heredoc) => CopySource::Heredoc(heredoc.clone()),
            });
        }
        let dest = word(&copy.dest)?;
        // As in BuildKit, nothing is the working directory.
        let dest_is_dir = dest.is_empty() || dest.ends_with('/') || dest.ends_with("/.") || dest == ".";
        // Before any symlink is looked at: `/link/..` is `/`, wherever the link leads.
        let dest = Path::new("/").join(components(Path::new(&state.absolute(&dest))).iter().collect::<PathBuf>());
        let checksum = optional(&add.and_then(|add| add.checksum.clone()))?;
        let (chown, chmod) = (optional(&copy.chown)?, optional(&copy.chmod)?);
        Ok(Expanded { sources, dest, dest_is_dir, chown, chmod, checksum })
    }

    fn find_wanted(
        &self,
        root: &RootDir,
        expanded: &Expanded,
        copy: &Copy,
        add: Option<&Add>,
        selection: &Selection,
        from: Option<&FromRef>,
    ) -> Result<Vec<Wanted>, StepError> {
        let mut wanted = Vec::new();
        let into_dir = expanded.dest_is_dir || expanded.sources.len() > 1;
        for source in &expanded.sources {
            let path = match source {
                CopySource::Heredoc(heredoc) => {
                    let item = Item::Text { name: heredoc.name.clone(), content: heredoc.body.clone() };
                    wanted.push(Wanted::Here(vec![item]));
                    continue;
                }
                CopySource::Path(path) => path,
            };
            // In an image or a stage a name may look like anything.
            let remote = if from.is_some() { None } else { Remote::of(path, add, expanded.checksum.as_deref(), into_dir)? };
            if let Some(remote) = remote {
                wanted.push(Wanted::Remote(remote));
                continue;
            }
            if expanded.checksum.is_some() {
                return Err(RemoteError::ChecksumOfPath { path: path.clone() }.into());
            }
            let place = self.place_name(from);
            let found = match copy.parents {
                true => find_with_parents(root, path, selection, &place)?,
                false => find(root, path, selection, &place)?,
            };
            if found.is_empty() {
                self.note(format!("`{path}` matches nothing in {place}"));
            }
            wanted.push(Wanted::Here(found.into_iter().map(Item::Found).collect()));
        }
        Ok(wanted)
    }

    /// What the sources contain, as far as the cache needs to know: nothing when it is off, the stage's own name for files
    /// of a stage (its layers are content-addressed already).
    fn digest(
        &self,
        root: &RootDir,
        wanted: &[Wanted],
        selection: &Selection,
        from: Option<&FromRef>,
    ) -> Result<Vec<u8>, StepError> {
        if !self.caches() {
            return Ok(Vec::new());
        }
        if let Some(key) = from.and_then(|from| self.source_key(from)) {
            return Ok(key);
        }
        let here = wanted.iter().filter_map(|w| if let Wanted::Here(items) = w { Some(items) } else { None }).flatten();
        let sources: Vec<&FoundSource> =
            here.filter_map(|item| if let Item::Found(source) = item { Some(source) } else { None }).collect();
        Ok(digest_sources(root, &sources, selection, self.request.cancel)?.to_vec())
    }

    /// Everything that is to be fetched, in order.
    fn fetch(&self, wanted: &[Wanted]) -> Result<Vec<Fetched>, StepError> {
        let mut fetched = Vec::new();
        for remote in remotes(wanted) {
            let refused = || RemoteError::Refused { text: remote.text().to_owned() };
            let fetcher = self.request.remote.ok_or_else(refused)?;
            if self.request.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            let result = remote.fetch(fetcher, self.request.store.temp_dir().map_err(SnapshotError::from)?);
            // Whatever a fetch that was broken off says.
            if result.is_err() && self.request.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            fetched.push(result?);
        }
        Ok(fetched)
    }

    /// `--chown`, looked up in the image as it is before this step.
    fn owner(&mut self, state: &StageState, chown: Option<&str>) -> Result<Option<(u32, u32)>, StepError> {
        let Some(chown) = chown else { return Ok(None) };
        let view = self.view(&state.layers, state.base.as_ref())?;
        Ok(Some(Users::read(view.root())?.owner(chown)?))
    }
}

fn remotes(wanted: &[Wanted]) -> impl Iterator<Item = &Remote> {
    wanted.iter().filter_map(|w| if let Wanted::Remote(remote) = w { Some(remote) } else { None })
}

/// Everything to be copied, in order: `fetched` are the remote ones.
fn items(wanted: Vec<Wanted>, fetched: Vec<Fetched>) -> Vec<Item> {
    let mut fetched = fetched.into_iter().map(|fetched| Item::Fetched(Box::new(fetched)));
    let items = wanted.into_iter().flat_map(|wanted| match wanted {
        Wanted::Here(items) => items,
        Wanted::Remote(_) => fetched.next().into_iter().collect(),
    });
    items.collect()
}

/// `identities` are the contents of the remote sources.
fn copy_key(
    state: &StageState,
    copy: &Copy,
    expanded: &Expanded,
    unpack: Unpack,
    wanted: &[Wanted],
    identities: &[String],
    digest: &[u8],
) -> CacheKey {
    let flags = format!(
        "link={} parents={} unpack={unpack:?} dir={} chown={:?} chmod={:?} exclude={:?} from={:?} user={}",
        copy.link,
        copy.parents,
        expanded.dest_is_dir,
        expanded.chown,
        expanded.chmod,
        copy.exclude,
        copy.from.is_some(),
        state.config.user
    );
    let mut fields: Vec<Vec<u8>> = vec![flags.into(), expanded.dest.as_os_str().as_encoded_bytes().into(), digest.into()];
    let mut identities = identities.iter();
    for wanted in wanted {
        let items = match wanted {
            Wanted::Remote(remote) => {
                let identity = identities.next().cloned().unwrap_or_default();
                fields.extend([b"remote".to_vec(), remote.shape().into_bytes(), identity.into_bytes()]);
                continue;
            }
            Wanted::Here(items) => items,
        };
        for item in items {
            match item {
                Item::Text { name, content } => fields.extend([b"text".to_vec(), name.clone().into(), content.clone().into()]),
                Item::Found(source) => {
                    let include = source.include.as_ref().map(|i| i.pattern().into()).unwrap_or_default();
                    fields.extend([b"file".to_vec(), source.named.as_os_str().as_encoded_bytes().into(), include]);
                }
                // Only made from what is remote here.
                Item::Fetched(_) => {}
            }
        }
    }
    state.key.step("COPY", fields.iter().map(Vec::as_slice))
}
