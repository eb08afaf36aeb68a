//! COPY and ADD: words expanded, sources found, the work given to [`crate::copy`].

use std::path::{Path, PathBuf};

use dockerfile::{Copy, CopySource, FromRef, ModeChange, RemoteSource, expand, expand_heredoc};

use super::StageState;
use crate::build::{Builder, Made};
use crate::copy::{
    CopyError, CopyJob, FoundSource, Item, Rewrite, Selection, Unpack, digest_sources, find, find_with_parents, place,
};
use crate::error::StepError;
use crate::layers::CacheKey;
use crate::progress::StepInfo;
use crate::rootfs::{RootDir, Users, components};
use crate::snapshot::FrozenUpper;

/// The words of a COPY or ADD after expansion.
struct Expanded {
    sources: Vec<CopySource>,
    dest: PathBuf,
    dest_is_dir: bool,
    chown: Option<String>,
    chmod: Option<String>,
}

impl Builder<'_> {
    /// Does a COPY or an ADD.
    pub(crate) fn copy(
        &mut self,
        state: &mut StageState,
        copy: &Copy,
        unpack: Unpack,
        step: &StepInfo,
    ) -> Result<Made, StepError> {
        let expanded = self.expand_copy(state, copy)?;
        if unpack != Unpack::Never {
            refuse_remote(&expanded.sources)?;
        }
        let from = copy.from.as_deref().map(|from| self.plan.resolve_from(state.index, from));
        let source = self.source(from.as_ref())?;
        let ignore = if from.is_none() { self.request.ignore.as_ref() } else { None };
        let selection = Selection::new(ignore, &copy.exclude)?;
        let items = self.find_items(source.root(), &expanded, copy.parents, &selection, from.as_ref())?;

        let digest = self.digest(source.root(), &items, &selection, from.as_ref())?;
        let key = copy_key(state, copy, &expanded, unpack, &items, &digest);
        if let Some(made) = self.take_cached(state, &key, step)? {
            return Ok(made);
        }

        let owner = self.owner(state, expanded.chown.as_deref())?;
        let mode = expanded.chmod.as_deref().map(ModeChange::parse).transpose().map_err(CopyError::from)?;
        let archive_rewrite = Rewrite { owner, mode, devices: from.is_some() };
        // What comes from the build context belongs to root; what comes from an image keeps its owner.
        let context_owner = if from.is_none() { Some((0, 0)) } else { None };
        let rewrite = Rewrite { owner: owner.or(context_owner), ..archive_rewrite.clone() };
        let dest_is_dir = expanded.dest_is_dir || copy.parents || items.len() > 1 || expanded.sources.len() > 1;
        let (progress, cancel) = (self.request.progress, self.request.cancel);
        let note = |text: String| progress.event(crate::ProgressEvent::Note { text });
        let copy_to = |image: &RootDir| {
            place(&CopyJob {
                root: source.root(),
                items: &items,
                image,
                dest: &expanded.dest,
                dest_is_dir,
                rewrite: &rewrite,
                archive_rewrite: &archive_rewrite,
                selection: &selection,
                unpack,
                cancel,
                note: &note,
            })
        };
        let upper = if copy.link {
            // Written into an empty directory: nothing below is looked at, no symlink of the image followed.
            let upper = FrozenUpper::create(self.lowers(state).first(), self.request.store, self.request.source_date_epoch)?;
            copy_to(&RootDir::open(&upper.path()).map_err(StepError::path("open the new layer of", &expanded.dest))?)?;
            upper
        } else {
            let snapshot = self.snapshot(state)?;
            copy_to(snapshot.root())?;
            snapshot.freeze()?
        };
        self.made(state, key, upper, step)
    }

    fn expand_copy(&self, state: &StageState, copy: &Copy) -> Result<Expanded, StepError> {
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
        if dest.is_empty() {
            return Err(StepError::Invalid("the destination is empty after expansion".to_owned()));
        }
        let dest_is_dir = dest.ends_with('/') || Path::new(&dest).file_name().is_none() || dest.ends_with("/.") || dest == ".";
        // Before any symlink is looked at: `/link/..` is `/`, wherever the link leads.
        let dest = Path::new("/").join(components(Path::new(&state.absolute(&dest))).iter().collect::<PathBuf>());
        Ok(Expanded { sources, dest, dest_is_dir, chown: optional(&copy.chown)?, chmod: optional(&copy.chmod)? })
    }

    fn find_items(
        &self,
        root: &RootDir,
        expanded: &Expanded,
        parents: bool,
        selection: &Selection,
        from: Option<&FromRef>,
    ) -> Result<Vec<Item>, StepError> {
        let mut items = Vec::new();
        for source in &expanded.sources {
            match source {
                CopySource::Heredoc(heredoc) => {
                    items.push(Item::Text { name: heredoc.name.clone(), content: heredoc.body.clone() })
                }
                CopySource::Path(path) => {
                    let place = self.place_name(from);
                    let found = match parents {
                        true => find_with_parents(root, path, selection, &place)?,
                        false => find(root, path, selection, &place)?,
                    };
                    if found.is_empty() {
                        self.note(format!("`{path}` matches nothing in {place}"));
                    }
                    items.extend(found.into_iter().map(Item::Found));
                }
            }
        }
        Ok(items)
    }

    /// What the sources contain, as far as the cache needs to know: nothing when it is off, the stage's own name for files
    /// of a stage (its layers are content-addressed already).
    fn digest(
        &self,
        root: &RootDir,
        items: &[Item],
        selection: &Selection,
        from: Option<&FromRef>,
    ) -> Result<Vec<u8>, StepError> {
        if !self.caches() {
            return Ok(Vec::new());
        }
        if let Some(key) = from.and_then(|from| self.source_key(from)) {
            return Ok(key);
        }
        let sources: Vec<&FoundSource> =
            items.iter().filter_map(|i| if let Item::Found(source) = i { Some(source) } else { None }).collect();
        Ok(digest_sources(root, &sources, selection, self.request.cancel)?.to_vec())
    }

    /// `--chown`, looked up in the image as it is before this step.
    fn owner(&mut self, state: &StageState, chown: Option<&str>) -> Result<Option<(u32, u32)>, StepError> {
        let Some(chown) = chown else { return Ok(None) };
        let view = self.view(&state.layers, state.base.as_ref())?;
        Ok(Some(Users::read(view.root())?.owner(chown)?))
    }
}

fn refuse_remote(sources: &[CopySource]) -> Result<(), CopyError> {
    for source in sources {
        if let CopySource::Path(path) = source
            && RemoteSource::of(path).is_some()
        {
            return Err(CopyError::Remote { url: path.clone() });
        }
    }
    Ok(())
}

fn copy_key(state: &StageState, copy: &Copy, expanded: &Expanded, unpack: Unpack, items: &[Item], digest: &[u8]) -> CacheKey {
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
    let mut fields: Vec<&[u8]> = vec![flags.as_bytes(), expanded.dest.as_os_str().as_encoded_bytes(), digest];
    for item in items {
        match item {
            Item::Text { name, content } => fields.extend([b"text".as_slice(), name.as_bytes(), content.as_bytes()]),
            Item::Found(source) => {
                let include = source.include.as_ref().map(|i| i.pattern().as_bytes()).unwrap_or_default();
                fields.extend([b"file".as_slice(), source.named.as_os_str().as_encoded_bytes(), include]);
            }
        }
    }
    state.key.step("COPY", fields)
}
