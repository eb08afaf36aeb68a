//! What a RUN sees besides the image: `--mount`, the caller's injected mounts, and the three files every container gets.
//! Everything is mounted over the image, and mount points are stand-ins of [`Stubs`]: nothing of it reaches the layer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dockerfile::{FromRef, Mount, MountKind, Run};
use tempfile::TempDir;

use super::StageState;
use crate::build::Builder;
use crate::copy::{Selection, digest_sources, find};
use crate::error::StepError;
use crate::rootfs::RootDir;
use crate::sandbox::{ContainerMount, HOSTNAME, InjectedKind, SandboxNetwork};
use crate::snapshot::{Mounted, SnapshotError, Stubs, mount_overlay_scratch};

/// The mounts of one RUN with everything they hold on to.
pub(super) struct RunMounts {
    pub(super) mounts: Vec<ContainerMount>,
    /// Stand-ins for missing mount points.
    stubs: Stubs,
    underlays: Vec<PathBuf>,
    // Order matters: mounts go before the directories they are made of.
    _overlays: Vec<Mounted>,
    _scratch: Vec<TempDir>,
}

impl RunMounts {
    /// Layers between the image and what the RUN writes, top first.
    pub(super) fn between(&self) -> Vec<PathBuf> {
        self.stubs.layer().into_iter().chain(self.underlays.iter().cloned()).collect()
    }

    pub(super) fn targets(&self) -> Vec<&str> {
        self.mounts
            .iter()
            .map(|mount| match mount {
                ContainerMount::Bind { target, .. } | ContainerMount::Tmpfs { target, .. } => target.as_str(),
            })
            .collect()
    }
}

/// Puts the mounts of one RUN together.
struct Collector<'a> {
    image: &'a RootDir,
    store: &'a image_layers::Store,
    collected: RunMounts,
}

impl Builder<'_> {
    /// The mounts of `run`; `image` is the tree they are laid over.
    pub(super) fn run_mounts(&mut self, state: &StageState, run: &Run, image: &RootDir) -> Result<RunMounts, StepError> {
        let mut sources = Vec::new();
        for mount in self.resolve_mounts(state, run)? {
            if let Some(source) = self.mount_source(state, &mount)? {
                sources.push((mount, source));
            }
        }
        let collected = RunMounts {
            mounts: Vec::new(),
            stubs: Stubs::new(),
            underlays: Vec::new(),
            _overlays: Vec::new(),
            _scratch: Vec::new(),
        };
        let mut collector = Collector { image, store: self.request.store, collected };
        for (mount, source) in sources {
            let target = state.absolute(mount.target.as_deref().unwrap_or_default());
            match source {
                Source::Tmpfs => collector.tmpfs(&target, mount.size)?,
                Source::Cache(dir) => collector.bind(&dir, &target, mount.read_only)?,
                Source::Files(path) if mount.read_only => collector.bind(&path, &target, true)?,
                Source::Files(path) => collector.scratch(&path, &target)?,
            }
        }
        let sandbox = self.request.sandbox;
        let extras = state.base.as_ref().and_then(|b| sandbox.for_base.get(b.chain.as_ref()?));
        for injected in sandbox.injected.iter().chain(extras.into_iter().flat_map(|e| &e.injected)) {
            match injected.kind {
                InjectedKind::ReadOnly => collector.bind(&injected.source, &injected.target, true)?,
                InjectedKind::Writable => collector.bind(&injected.source, &injected.target, false)?,
                InjectedKind::OverlayScratch => collector.scratch(&injected.source, &injected.target)?,
            }
        }
        for underlay in extras.into_iter().flat_map(|e| &e.underlays) {
            if collector.collected.stubs.shadow(image, &underlay.path, self.request.store)? {
                collector.collected.underlays.push(underlay.tree.clone());
            }
        }
        for (name, file) in self.host_files()? {
            collector.bind(&file, name, true)?;
        }
        Ok(collector.collected)
    }

    /// The cache key's part of the mounts: their texts, and what bind mounts show.
    pub(super) fn mounts_digest(&mut self, state: &StageState, run: &Run) -> Result<Vec<u8>, StepError> {
        let mut digest = Vec::new();
        for (mount, text) in self.resolve_mounts(state, run)?.iter().zip(&run.mounts) {
            digest.extend_from_slice(format!("{mount:?} {}\n", text.text).as_bytes());
            if mount.kind != MountKind::Bind || !self.caches() {
                continue;
            }
            let from = mount.from.as_deref().map(|from| self.plan.resolve_from(state.index, from));
            if let Some(key) = from.as_ref().and_then(|from| self.source_key(from)) {
                digest.extend_from_slice(&key);
                continue;
            }
            let source = self.source(from.as_ref())?;
            let selection = Selection::default();
            let found = find(source.root(), mount.source.as_deref().unwrap_or("/"), &selection, &self.place_name(from.as_ref()))?;
            let found: Vec<_> = found.iter().collect();
            digest.extend_from_slice(&digest_sources(source.root(), &found, &selection, self.request.cancel)?);
        }
        Ok(digest)
    }

    fn resolve_mounts(&self, state: &StageState, run: &Run) -> Result<Vec<Mount>, StepError> {
        run.mounts.iter().map(|m| m.resolve(self.plan.escape, &|name| state.lookup(name)).map_err(StepError::from)).collect()
    }

    /// Where a mount's content is; `None` for an optional secret, since this builder has none.
    fn mount_source(&mut self, state: &StageState, mount: &Mount) -> Result<Option<Source>, StepError> {
        match mount.kind {
            MountKind::Tmpfs => Ok(Some(Source::Tmpfs)),
            MountKind::Secret | MountKind::Ssh if !mount.required => Ok(None),
            MountKind::Secret | MountKind::Ssh => Err(StepError::Refused {
                what: format!("RUN --mount=type={},required", mount.kind.as_str()),
                reason: "this builder hands out no secrets and no SSH agents",
            }),
            MountKind::Cache => self.cache_dir(state, mount).map(|dir| Some(Source::Cache(dir))),
            MountKind::Bind => {
                let from = mount.from.as_deref().map(|from| self.plan.resolve_from(state.index, from));
                self.files(from.as_ref(), mount.source.as_deref()).map(|path| Some(Source::Files(path)))
            }
        }
    }

    /// The host path of something below the context, a stage or an image.
    fn files(&mut self, from: Option<&FromRef>, path: Option<&str>) -> Result<PathBuf, StepError> {
        let source = self.source(from)?;
        let found = find(source.root(), &escape(path.unwrap_or("/")), &Selection::default(), &self.place_name(from))?;
        let found = found.into_iter().next().map(|f| f.path).unwrap_or_default();
        Ok(source.root().host_path().join(found))
    }

    /// Cache directories live as long as the build: RUN steps of one Dockerfile share them, builds never do, because one
    /// build could then decide what another one installs.
    fn cache_dir(&mut self, state: &StageState, mount: &Mount) -> Result<PathBuf, StepError> {
        let target = state.absolute(mount.target.as_deref().unwrap_or_default());
        let id = mount.id.clone().unwrap_or(target);
        if let Some(dir) = self.caches_by_id.get(&id) {
            return Ok(dir.path().to_owned());
        }
        let dir = self.request.store.temp_dir().map_err(SnapshotError::from)?;
        let set_up = || -> std::io::Result<()> {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mount.mode.unwrap_or(0o755)))?;
            std::os::unix::fs::chown(dir.path(), Some(mount.uid.unwrap_or(0)), Some(mount.gid.unwrap_or(0)))
        };
        set_up().map_err(StepError::path("make the cache directory", &id))?;
        if let Some(from) = &mount.from {
            let from = self.plan.resolve_from(state.index, from);
            self.seed(&from, mount, dir.path())?;
        }
        let path = dir.path().to_owned();
        self.caches_by_id.insert(id, dir);
        Ok(path)
    }

    /// The first content of a cache with `from=`.
    fn seed(&mut self, from: &FromRef, mount: &Mount, dir: &Path) -> Result<(), StepError> {
        use crate::copy::{CopyJob, Item, Rewrite, Unpack, place};
        let source = self.source(Some(from))?;
        let selection = Selection::default();
        let found =
            find(source.root(), &escape(mount.source.as_deref().unwrap_or("/")), &selection, &self.place_name(Some(from)))?;
        let items: Vec<Item> = found.into_iter().map(Item::Found).collect();
        let rewrite = Rewrite { owner: None, mode: None, devices: false };
        let image = RootDir::open(dir).map_err(StepError::path("open the cache directory", dir))?;
        place(&CopyJob {
            root: source.root(),
            items: &items,
            image: &image,
            dest: Path::new("/"),
            dest_is_dir: true,
            rewrite: &rewrite,
            archive_rewrite: &rewrite,
            selection: &selection,
            unpack: Unpack::Never,
            cancel: self.request.cancel,
            note: &|_| {},
        })?;
        Ok(())
    }

    /// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`: fixed texts; name servers only with the builder's network.
    fn host_files(&self) -> Result<[(&'static str, PathBuf); 3], StepError> {
        let dir = self.engine.path();
        let resolv_conf = match self.request.sandbox.network {
            SandboxNetwork::Host => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
            SandboxNetwork::None | SandboxNetwork::Namespace(_) => "# There is no name resolution in builds.\n".to_owned(),
        };
        let hosts = format!("127.0.0.1 localhost {HOSTNAME}\n::1 localhost {HOSTNAME}\n");
        let texts = [("/etc/hosts", hosts), ("/etc/hostname", format!("{HOSTNAME}\n")), ("/etc/resolv.conf", resolv_conf)];
        let mut files = [("", PathBuf::new()), ("", PathBuf::new()), ("", PathBuf::new())];
        for (slot, (target, text)) in files.iter_mut().zip(texts) {
            let path = dir.join(target.trim_start_matches("/etc/"));
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
                .map_err(crate::sandbox::SandboxError::path("write", &path))?;
            *slot = (target, path);
        }
        Ok(files)
    }
}

/// What a mount shows.
enum Source {
    Tmpfs,
    Cache(PathBuf),
    Files(PathBuf),
}

impl Collector<'_> {
    fn bind(&mut self, source: &Path, target: &str, read_only: bool) -> Result<(), StepError> {
        let is_dir = source.is_dir();
        let target = self.collected.stubs.mount_point(self.image, target, is_dir, self.store)?;
        self.collected.mounts.push(ContainerMount::Bind { source: source.to_owned(), target, read_only });
        Ok(())
    }

    fn tmpfs(&mut self, target: &str, size: Option<u64>) -> Result<(), StepError> {
        let target = self.collected.stubs.mount_point(self.image, target, true, self.store)?;
        self.collected.mounts.push(ContainerMount::Tmpfs { target, size });
        Ok(())
    }

    /// Edits go to a scratch copy: an overlay for directories, a plain copy for a file.
    fn scratch(&mut self, source: &Path, target: &str) -> Result<(), StepError> {
        let scratch = self.store.temp_dir().map_err(SnapshotError::from)?;
        let shown = if source.is_dir() {
            let point = scratch.path().join("merged");
            let mounted = mount_overlay_scratch(source, scratch.path(), &point)?;
            self.collected._overlays.push(mounted);
            point
        } else {
            let copy = scratch.path().join("file");
            fs::copy(source, &copy).map_err(crate::sandbox::SandboxError::path("copy", source))?;
            copy
        };
        self.bind(&shown, target, false)?;
        self.collected._scratch.push(scratch);
        Ok(())
    }
}

/// A literal path for [`find`], which would take `*` in it for a wildcard.
fn escape(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_sources_are_literal() {
        assert_eq!(escape(r"a*b[c]\d"), r"a\*b\[c]\\d");
        let dir = tempfile::tempdir().expect("tempdir");
        fs::write(dir.path().join("a*"), "").expect("write");
        fs::write(dir.path().join("ab"), "").expect("write");
        let root = RootDir::open(dir.path()).expect("open");
        let found = find(&root, &escape("/a*"), &Selection::default(), "here").expect("found");
        assert_eq!(found.iter().map(|f| f.path.clone()).collect::<Vec<_>>(), [PathBuf::from("a*")]);
    }
}
