//! What the stages of one build share: the layers so far, mounted views, the cache, the packer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use dockerfile::{BuildPlan, FromRef};
use image_layers::{Store, UnpackLimits};
use rustix::system::uname;
use tempfile::TempDir;

use crate::error::StepError;
use crate::layers::{CacheKey, Layers, PackJob, Packer, StepCache};
use crate::progress::{ProgressEvent, StepInfo};
use crate::request::{BuildRequest, PhaseTime};
use crate::rootfs::RootDir;
use crate::sandbox::{CgroupHost, EngineDir, IdShift, Removal, SandboxError, UserNamespace};
use crate::snapshot::{FrozenUpper, Snapshot, View};
use crate::stage::{BaseImage, StageState};

/// One build on its way.
pub(crate) struct Builder<'a> {
    pub(crate) request: &'a BuildRequest<'a>,
    /// The request's plan, grown by stages that only triggers of base images ask for.
    pub(crate) plan: BuildPlan,
    /// Finished stages.
    pub(super) stages: BTreeMap<usize, StageState>,
    /// The stage that failed, as far as it got.
    pub(super) unfinished: Option<StageState>,
    /// Images by reference.
    pub(super) images: BTreeMap<String, BaseImage>,
    pub(super) layers: Layers,
    pub(super) packer: Option<Packer<'a>>,
    pub(super) phases: Vec<PhaseTime>,
    /// Where cache mounts are, when no directory outside is given for them.
    pub(crate) own_caches: Option<TempDir>,
    /// What was said once already.
    notes: BTreeSet<String>,
    /// The container of the last RUN, on its way out.
    pub(crate) removal: Option<Removal>,
    // Before the engine's directory, which holds their mount points.
    sources: BTreeMap<String, Rc<Source>>,
    shown_sources: BTreeMap<String, Rc<View>>,
    /// The store as containers see it; `Some(None)` when they see it as it is.
    id_shift: Option<Option<Rc<IdShift>>>,
    pub(crate) cgroups: CgroupHost,
    pub(crate) engine: Rc<EngineDir>,
}

/// Where COPY and mounts read from.
pub(crate) enum Source {
    Context(RootDir),
    Layers(View),
}

impl Source {
    pub(crate) fn root(&self) -> &RootDir {
        match self {
            Source::Context(root) => root,
            Source::Layers(view) => view.root(),
        }
    }
}

/// What a step did to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    /// Index of its layer, if it has one.
    pub(crate) layer: Option<usize>,
    /// It was found in the cache.
    pub(crate) cached: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(request: &'a BuildRequest<'a>, engine: EngineDir, packer: Packer<'a>) -> Self {
        Self {
            request,
            plan: request.plan.clone(),
            stages: BTreeMap::new(),
            unfinished: None,
            images: BTreeMap::new(),
            layers: Layers::default(),
            packer: Some(packer),
            phases: Vec::new(),
            own_caches: None,
            notes: BTreeSet::new(),
            removal: None,
            sources: BTreeMap::new(),
            shown_sources: BTreeMap::new(),
            id_shift: None,
            cgroups: CgroupHost::detect(),
            engine: Rc::new(engine),
        }
    }

    /// Whether steps are looked up and remembered.
    pub(crate) fn caches(&self) -> bool {
        self.request.use_cache && !self.request.squash
    }

    pub(crate) fn note(&self, text: String) {
        self.request.progress.event(ProgressEvent::Note { text });
    }

    /// A note that is of interest once a build.
    pub(crate) fn note_once(&mut self, text: String) {
        if self.notes.insert(text.clone()) {
            self.note(text);
        }
    }

    /// Adds to the time of a phase.
    pub(super) fn spent(&mut self, name: &'static str, seconds: f64) {
        match self.phases.iter_mut().find(|p| p.name == name) {
            Some(phase) => phase.seconds += seconds,
            None => self.phases.push(PhaseTime { name, seconds }),
        }
    }

    /// The directories of a stack of layers, top first.
    fn stack(&self, layers: &[usize], base: Option<&BaseImage>) -> Vec<PathBuf> {
        let new = layers.iter().rev().filter_map(|index| self.layers.dir(*index));
        let below = base.map(|b| b.dirs.as_slice()).unwrap_or_default();
        new.chain(below.iter().rev().cloned()).collect()
    }

    /// What the next step of a stage lies on, top first.
    pub(crate) fn lowers(&self, state: &StageState) -> Vec<PathBuf> {
        self.stack(&state.layers, state.base.as_ref())
    }

    /// A stack of layers to look at.
    pub(crate) fn view(&self, layers: &[usize], base: Option<&BaseImage>) -> Result<View, StepError> {
        View::mount(&self.stack(layers, base), &self.engine, self.request.store).map_err(Into::into)
    }

    /// An empty upper directory for the next step of a stage.
    pub(crate) fn upper(&self, state: &StageState) -> Result<FrozenUpper, StepError> {
        let below = self.lowers(state);
        FrozenUpper::create(below.first(), self.request.store, self.request.source_date_epoch).map_err(Into::into)
    }

    /// A stage's files with a new upper directory, for the builder to write to.
    pub(crate) fn snapshot(&self, state: &StageState) -> Result<Snapshot, StepError> {
        Snapshot::mount(&self.lowers(state), self.upper(state)?, &self.engine).map_err(Into::into)
    }

    /// A stage's files with `upper`, as the root of a container.
    pub(crate) fn container_root(
        &mut self,
        state: &StageState,
        between: &[PathBuf],
        upper: FrozenUpper,
    ) -> Result<Snapshot, StepError> {
        let shift = self.id_shift()?;
        Snapshot::mount_for_container(&self.lowers(state), between, upper, &self.engine, shift.as_deref()).map_err(Into::into)
    }

    /// How containers see the store. Tried with the first RUN: where it cannot be, that is said once.
    pub(crate) fn id_shift(&mut self) -> Result<Option<Rc<IdShift>>, StepError> {
        if let Some(shift) = &self.id_shift {
            return Ok(shift.clone());
        }
        let sandbox = self.request.sandbox;
        let shift = match &sandbox.user_namespace {
            None => None,
            Some(namespace) => match usable_shift(namespace, self.request.store, &self.engine) {
                Ok(shift) => Some(Rc::new(shift)),
                Err(reason) if sandbox.require_user_namespace => {
                    return Err(SandboxError::UserNamespaceUnusable { reason }.into());
                }
                Err(reason) => {
                    let kernel = older_kernel(&uname().release().to_string_lossy()).unwrap_or_default();
                    self.note_once(format!("RUN steps have no user namespace of their own: {reason}{kernel}"));
                    None
                }
            },
        };
        self.id_shift = Some(shift.clone());
        Ok(shift)
    }

    /// Where COPY and mounts read from; `None` is the build context. Mounted once for all steps.
    pub(crate) fn source(&mut self, from: Option<&FromRef>) -> Result<Rc<Source>, StepError> {
        let name = self.place_name(from);
        if let Some(source) = self.sources.get(&name) {
            return Ok(Rc::clone(source));
        }
        let source = match from {
            None => {
                let context = self.request.context;
                // The runtime looks mounts up from another directory than ours.
                let opened = std::fs::canonicalize(context).and_then(|path| RootDir::open(&path));
                Source::Context(opened.map_err(SandboxError::path("open the build context", context))?)
            }
            Some(FromRef::Stage(index)) => {
                let stage = self.stages.get(index).ok_or(StepError::StageNotBuilt { index: *index })?;
                Source::Layers(self.view(&stage.layers, stage.base.as_ref())?)
            }
            Some(FromRef::Image(reference)) => {
                let image = self.image(reference, None)?;
                Source::Layers(self.view(&[], Some(&image))?)
            }
        };
        let source = Rc::new(source);
        self.sources.insert(name, Rc::clone(&source));
        Ok(source)
    }

    /// The files of a stage or image with owners as containers see them; `None` when that makes no difference.
    pub(crate) fn shown_source(&mut self, from: &FromRef) -> Result<Option<Rc<View>>, StepError> {
        let Some(shift) = self.id_shift()? else { return Ok(None) };
        let name = self.place_name(Some(from));
        if let Some(view) = self.shown_sources.get(&name) {
            return Ok(Some(Rc::clone(view)));
        }
        let dirs = match from {
            FromRef::Stage(index) => {
                let stage = self.stages.get(index).ok_or(StepError::StageNotBuilt { index: *index })?;
                self.stack(&stage.layers, stage.base.as_ref())
            }
            FromRef::Image(reference) => {
                let image = self.image(reference, None)?;
                self.stack(&[], Some(&image))
            }
        };
        let view = Rc::new(View::mount_for_containers(&dirs, &self.engine, self.request.store, Some(&shift))?);
        self.shown_sources.insert(name, Rc::clone(&view));
        Ok(Some(view))
    }

    /// What a source is called in messages.
    pub(crate) fn place_name(&self, from: Option<&FromRef>) -> String {
        match from {
            None => "the build context".to_owned(),
            Some(FromRef::Stage(index)) => match self.plan.stage(*index).and_then(|s| s.name.as_ref()) {
                Some(name) => format!("stage {index} ({name})"),
                None => format!("stage {index}"),
            },
            Some(FromRef::Image(reference)) => format!("the image {reference}"),
        }
    }

    /// What names the content of a stage or image in cache keys.
    pub(crate) fn source_key(&self, from: &FromRef) -> Option<Vec<u8>> {
        match from {
            FromRef::Stage(index) => self.stages.get(index).map(|s| s.key.as_bytes().to_vec()),
            FromRef::Image(reference) => self.images.get(reference).map(|i| i.image.manifest_digest.as_str().as_bytes().to_vec()),
        }
    }

    /// Takes a step's result from the cache when every layer below it is in the store too.
    pub(crate) fn take_cached(
        &mut self,
        state: &mut StageState,
        key: &CacheKey,
        step: &StepInfo,
    ) -> Result<Option<Made>, StepError> {
        let Some(parent) = state.chain.clone().filter(|_| self.caches()) else { return Ok(None) };
        let store = self.request.store;
        let Some(record) = StepCache::new(store).find(key) else { return Ok(None) };
        let layer = match record.layer() {
            None => None,
            Some(packed) => {
                let limits = UnpackLimits::default();
                match store.unpack_layer(&packed.descriptor, &packed.diff_id, parent.as_ref(), &limits) {
                    Ok(unpacked) => {
                        state.chain = Some(Some(unpacked.chain_id));
                        Some(self.layers.push_stored(step.clone(), key.clone(), unpacked.dir, packed))
                    }
                    Err(error) => {
                        tracing::warn!(%key, %error, "a cached layer cannot be used; the step runs");
                        return Ok(None);
                    }
                }
            }
        };
        state.key = key.clone();
        state.layers.extend(layer);
        Ok(Some(Made { layer, cached: true }))
    }

    /// The step changed no file.
    pub(crate) fn nothing_made(&self, state: &mut StageState, key: CacheKey) -> Made {
        if self.caches() {
            StepCache::new(self.request.store).remember(&key, &crate::layers::StepRecord::new(None));
        }
        state.key = key;
        Made { layer: None, cached: false }
    }

    /// The step's changes are in `upper`: a new layer, unless there are none.
    pub(crate) fn made(
        &mut self,
        state: &mut StageState,
        key: CacheKey,
        upper: FrozenUpper,
        step: &StepInfo,
    ) -> Result<Made, StepError> {
        if upper.is_untouched()? {
            return Ok(self.nothing_made(state, key));
        }
        let lowers = self.lowers(state);
        let path = upper.path();
        let layer = self.layers.push_upper(step.clone(), key.clone(), upper);
        let is_part_of_image = self.is_part_of_target(state.index);
        let wanted = !self.request.squash && (self.caches() || is_part_of_image);
        if let Some(packer) = self.packer.as_ref().filter(|_| wanted) {
            packer.pack(PackJob { layer, step: step.clone(), upper: path, lowers, is_part_of_image });
        }
        state.key = key;
        state.layers.push(layer);
        state.chain = None;
        Ok(Made { layer: Some(layer), cached: false })
    }

    /// Whether a stage's layers become layers of the image: the target, and what it builds on through FROM.
    fn is_part_of_target(&self, index: usize) -> bool {
        let mut next = self.plan.target();
        while let Some(stage) = next {
            if stage.index == index {
                return true;
            }
            next = match stage.base {
                dockerfile::Base::Stage(below) => self.plan.stage(below),
                _ => None,
            };
        }
        false
    }

    /// Unmounts the views; layers can be moved after that.
    pub(super) fn close_sources(&mut self) {
        self.sources.clear();
        self.shown_sources.clear();
        self.id_shift = None;
        self.removal = None;
    }
}

/// For the note about a user namespace: a kernel that has no overlays of idmapped layers. Later ones need a file system that
/// can be idmapped, and the error is all there is to say.
fn older_kernel(release: &str) -> Option<String> {
    let mut numbers = release.split('.').map_while(|n| n.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version < (5, 19)).then(|| format!(" (this kernel is {release}; layers can be shown so from Linux 5.19 on)"))
}

/// The store with shifted owners, once an overlay on it was seen to work; else why not.
fn usable_shift(namespace: &Arc<UserNamespace>, store: &Store, engine: &EngineDir) -> Result<IdShift, String> {
    let told = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let shift = IdShift::new(Arc::clone(namespace), store.root(), engine).map_err(|e| told(&e))?;
    crate::snapshot::try_shifted(&shift, engine, store).map_err(|e| told(&e))?;
    Ok(shift)
}

#[cfg(test)]
mod tests {
    use super::older_kernel;

    #[test]
    fn kernels_without_idmapped_layers_are_named() {
        for release in ["5.10.0-46-cloud-amd64", "5.14.0-570.el9.x86_64", "4.18.0"] {
            assert!(older_kernel(release).is_some_and(|text| text.contains(release) && text.contains("5.19")), "{release}");
        }
        for release in ["5.19.0", "6.1.0-56-cloud-amd64", "10.0", "odd"] {
            assert_eq!(older_kernel(release), None, "{release}");
        }
    }
}
