//! What a RUN sees besides the image: `--mount`, the caller's injected mounts, and the three files every container gets.
//! Everything is mounted over the image, and mount points are stand-ins of [`Stubs`]: nothing of it reaches the layer.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use dockerfile::{FromRef, Mount, MountKind, Run};
use rustix::fs::FileType;
use tempfile::TempDir;

use super::StageState;
use super::cache_mounts::{CacheLease, shown_part};
use super::shown::{Original, Shown};
use crate::build::{Builder, Source};
use crate::copy::{Selection, digest_sources, find, write_whiteouts};
use crate::error::StepError;
use crate::rootfs::{RootDir, components, file_type};
use crate::sandbox::{AgentSocket, ContainerMount, HOSTNAME, InjectedKind, Redaction, SandboxNetwork};
use crate::snapshot::{SnapshotError, Stubs};

/// Where an SSH agent's socket is by default, as BuildKit has it.
const AGENT_TARGET: &str = "/run/buildkit/ssh_agent";

/// The mounts of one RUN with everything they hold on to.
pub(super) struct RunMounts<'a> {
    pub(super) mounts: Vec<ContainerMount>,
    /// Stand-ins for missing mount points.
    stubs: Stubs,
    underlays: Vec<PathBuf>,
    /// Variables that mounts bring: secrets, and where an agent is.
    pub(super) env: Vec<(String, String)>,
    /// What must not be in the log.
    pub(super) redaction: Redaction,
    // Agents stop listening, then everything shown goes, then caches are free for others.
    agents: Vec<AgentSocket>,
    pub(super) shown: Shown<'a>,
    caches: Vec<CacheLease>,
}

impl<'a> RunMounts<'a> {
    fn new(shown: Shown<'a>) -> Self {
        Self {
            mounts: Vec::new(),
            stubs: Stubs::new(),
            underlays: Vec::new(),
            env: Vec::new(),
            redaction: Redaction::default(),
            agents: Vec::new(),
            shown,
            caches: Vec::new(),
        }
    }

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

    /// Mounts `source` on `target`; with a stand-in where the image has nothing.
    fn bind(&mut self, place: &Place<'_>, source: (PathBuf, bool), target: &str, read_only: bool) -> Result<(), StepError> {
        let (source, is_dir) = source;
        let target = self.stubs.mount_point(place.image, target, is_dir, place.store)?;
        self.mounts.push(ContainerMount::Bind { source, target, read_only });
        Ok(())
    }
}

/// What mounts are laid over.
struct Place<'a> {
    image: &'a RootDir,
    store: &'a image_layers::Store,
}

impl<'a> Builder<'a> {
    /// The mounts of `run`; `image` is the tree they are laid over.
    pub(super) fn run_mounts(&mut self, state: &StageState, run: &Run, image: &RootDir) -> Result<RunMounts<'a>, StepError> {
        let place = Place { image, store: self.request.store };
        let shift = self.id_shift()?;
        let mut mounts = RunMounts::new(Shown::new(Rc::clone(&self.engine), self.request.store, shift));
        let mut wanted = self.resolve_mounts(state, run)?;
        wanted.sort_by_key(|mount| mount_order(state, mount));
        for mount in wanted {
            self.add_mount(state, &mount, &place, &mut mounts)?;
        }
        let sandbox = self.request.sandbox;
        let extras = state.base.as_ref().and_then(|b| sandbox.for_base.get(b.chain.as_ref()?));
        for injected in sandbox.injected.iter().chain(extras.into_iter().flat_map(|e| &e.injected)) {
            let (parent, name) = split(&injected.source)?;
            let original = Original { root: &parent, path: &name, shifted_root: None };
            let (shown, read_only) = match injected.kind {
                InjectedKind::ReadOnly => (mounts.shown.bind(&original)?, true),
                InjectedKind::Writable => (mounts.shown.bind(&original)?, false),
                InjectedKind::OverlayScratch => (mounts.shown.scratch(&original)?, false),
            };
            mounts.bind(&place, shown, &injected.target, read_only)?;
        }
        for underlay in extras.into_iter().flat_map(|e| &e.underlays) {
            if mounts.stubs.shadow(image, &underlay.path, self.request.store)? {
                let (parent, name) = split(&underlay.tree)?;
                let original = Original { root: &parent, path: &name, shifted_root: None };
                let (tree, _) = mounts.shown.bind(&original)?;
                mounts.underlays.push(tree);
            }
        }
        for (target, text) in self.host_files() {
            let file = mounts.shown.file(target.trim_start_matches("/etc/"), text.as_bytes(), 0o644, (0, 0))?;
            mounts.bind(&place, (file, false), target, true)?;
        }
        for note in std::mem::take(&mut mounts.shown.notes) {
            self.note_once(note);
        }
        Ok(mounts)
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
            let selection = self.visible(from.as_ref())?;
            let path = escape(mount.source.as_deref().unwrap_or("/"));
            let found = find(source.root(), &path, &selection, &self.place_name(from.as_ref()))?;
            let found: Vec<_> = found.iter().collect();
            digest.extend_from_slice(&digest_sources(source.root(), &found, &selection, self.request.cancel)?);
        }
        Ok(digest)
    }

    fn resolve_mounts(&self, state: &StageState, run: &Run) -> Result<Vec<Mount>, StepError> {
        run.mounts.iter().map(|m| m.resolve(self.plan.escape, &|name| state.lookup(name)).map_err(StepError::from)).collect()
    }

    fn add_mount(
        &mut self,
        state: &StageState,
        mount: &Mount,
        place: &Place<'_>,
        mounts: &mut RunMounts<'a>,
    ) -> Result<(), StepError> {
        let target = |default: &str| state.absolute(mount.target.as_deref().unwrap_or(default));
        match mount.kind {
            MountKind::Tmpfs => {
                let target = mounts.stubs.mount_point(place.image, &target(""), true, place.store)?;
                mounts.mounts.push(ContainerMount::Tmpfs { target, size: mount.size });
                Ok(())
            }
            MountKind::Secret => self.secret(mount, state, place, mounts),
            MountKind::Ssh => self.agent(mount, state, place, mounts),
            MountKind::Cache => {
                let id = mount.id.clone().unwrap_or_else(|| target(""));
                let id = self.plan.cache_namespace().map(|namespace| format!("{namespace}/{id}")).unwrap_or(id);
                let dir = match mounts.caches.iter().find(|lease| lease.id() == id) {
                    Some(lease) => lease.dir().to_owned(),
                    None => {
                        let lease = self.lease_cache(state, mount, &id)?;
                        let dir = lease.dir().to_owned();
                        mounts.caches.push(lease);
                        dir
                    }
                };
                let root = RootDir::open(&dir).map_err(StepError::path("open the cache directory", &id))?;
                let path = shown_part(mount, &root, &id)?;
                let shown = mounts.shown.bind(&Original { root: &root, path: &path, shifted_root: None })?;
                if !mount.read_only {
                    mounts.shown.writable.push(dir);
                }
                mounts.bind(place, shown, &target(""), mount.read_only)
            }
            MountKind::Bind => {
                let from = mount.from.as_deref().map(|from| self.plan.resolve_from(state.index, from));
                let (source, path) = self.files(from.as_ref(), mount.source.as_deref())?;
                let shifted = from.as_ref().map(|from| self.shown_source(from)).transpose()?.flatten();
                let shifted_root = shifted.as_deref().map(crate::snapshot::View::root);
                let original = Original { root: source.root(), path: &path, shifted_root };
                let shown = match self.whiteouts(from.as_ref(), source.root(), &path)? {
                    Some(whiteouts) => mounts.shown.without(&original, whiteouts, !mount.read_only),
                    None if mount.read_only => mounts.shown.bind(&original),
                    None => mounts.shown.scratch(&original),
                }?;
                mounts.bind(place, shown, &target(""), mount.read_only)
            }
        }
    }

    /// A secret as a file, a variable, or both.
    fn secret(&self, mount: &Mount, state: &StageState, place: &Place<'_>, mounts: &mut RunMounts<'_>) -> Result<(), StepError> {
        let id = mount.id.as_deref().unwrap_or_default();
        let Some(content) = self.request.sandbox.secrets.get(id) else {
            return not_given(mount, "secret", id);
        };
        mounts.redaction.add(id, content);
        if let Some(name) = &mount.env {
            mounts.env.push((name.clone(), String::from_utf8_lossy(content).into_owned()));
            if mount.target.is_none() {
                return Ok(());
            }
        }
        let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
        let file = mounts.shown.secret_file(content, mount.mode.unwrap_or(0o400), owner)?;
        let target = mount.target.clone().unwrap_or_else(|| format!("/run/secrets/{id}"));
        mounts.bind(place, (file, false), &state.absolute(&target), true)
    }

    /// An agent's socket, and the variable that says where it is.
    fn agent(&self, mount: &Mount, state: &StageState, place: &Place<'_>, mounts: &mut RunMounts<'_>) -> Result<(), StepError> {
        let id = mount.id.as_deref().unwrap_or("default");
        let Some(agent) = self.request.sandbox.ssh_agents.get(id) else {
            return not_given(mount, "SSH agent", id);
        };
        let number = mounts.agents.len();
        let path = mounts.shown.name(&format!("agent.{number}"))?;
        let socket =
            AgentSocket::listen(&path, agent).map_err(crate::sandbox::SandboxError::path("pass on the SSH agent at", agent))?;
        mounts.agents.push(socket);
        mounts.shown.give(&path, mount.mode.unwrap_or(0o600), (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0)))?;
        let target = mount.target.clone().unwrap_or_else(|| format!("{AGENT_TARGET}.{number}"));
        let target = state.absolute(&target);
        if number == 0 {
            mounts.env.push(("SSH_AUTH_SOCK".to_owned(), target.clone()));
        }
        mounts.bind(place, (path, false), &target, true)
    }

    /// Something below the context, a stage or an image.
    pub(super) fn files(&mut self, from: Option<&FromRef>, path: Option<&str>) -> Result<(Rc<Source>, PathBuf), StepError> {
        let source = self.source(from)?;
        let found = find(source.root(), &escape(path.unwrap_or("/")), &self.visible(from)?, &self.place_name(from))?;
        let found = found.into_iter().next().map(|f| f.path).unwrap_or_default();
        Ok((source, found))
    }

    /// What takes part of a source: of the build context what `.dockerignore` leaves, of stages and images everything.
    fn visible(&self, from: Option<&FromRef>) -> Result<Selection, StepError> {
        let ignore = if from.is_none() { self.request.ignore.as_ref() } else { None };
        Ok(Selection::new(ignore, &[])?)
    }

    /// A layer that hides what does not take part of the directory `path`; `None` where everything does.
    fn whiteouts(&self, from: Option<&FromRef>, root: &RootDir, path: &Path) -> Result<Option<TempDir>, StepError> {
        let selection = self.visible(from)?;
        let stat = root.lstat(path).map_err(StepError::path("look at", path))?;
        if selection.is_everything() || !stat.is_some_and(|stat| file_type(&stat) == FileType::Directory) {
            return Ok(None);
        }
        let dir = self.request.store.temp_dir().map_err(SnapshotError::from)?;
        Ok(write_whiteouts(root, path, &selection, dir.path())?.then_some(dir))
    }

    /// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`: fixed texts; name servers only with the builder's network.
    fn host_files(&self) -> [(&'static str, String); 3] {
        let resolv_conf = match self.request.sandbox.network {
            SandboxNetwork::Host => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
            SandboxNetwork::None | SandboxNetwork::Namespace(_) => "# There is no name resolution in builds.\n".to_owned(),
        };
        let name = self.host_name();
        let hosts = format!("127.0.0.1 localhost {name}\n::1 localhost {name}\n");
        [("/etc/hosts", hosts), ("/etc/hostname", format!("{name}\n")), ("/etc/resolv.conf", resolv_conf)]
    }

    /// What a RUN is told the machine is called.
    pub(super) fn host_name(&self) -> &str {
        self.plan.host_name().unwrap_or(HOSTNAME)
    }
}

/// Where a mount stands among the others, as in BuildKit: by its target, so that what lies in another mount comes after it;
/// then secrets, then agents.
fn mount_order(state: &StageState, mount: &Mount) -> (u8, Vec<OsString>) {
    match mount.kind {
        MountKind::Secret => (1, Vec::new()),
        MountKind::Ssh => (2, Vec::new()),
        MountKind::Bind | MountKind::Cache | MountKind::Tmpfs => {
            let target = state.absolute(mount.target.as_deref().unwrap_or_default());
            (0, components(Path::new(&target)))
        }
    }
}

/// Nobody gave what a mount asks for: it is left out, unless the Dockerfile says that it is required.
fn not_given(mount: &Mount, what: &'static str, id: &str) -> Result<(), StepError> {
    if mount.required { Err(StepError::NotGiven { what, id: id.to_owned(), kind: mount.kind.as_str() }) } else { Ok(()) }
}

/// The directory of an injected file or directory, and its name in it.
fn split(source: &Path) -> Result<(RootDir, PathBuf), StepError> {
    let failed = |action| crate::sandbox::SandboxError::path(action, source);
    // The caller's own path: symlinks in it are the host's and followed as such.
    let source = fs::canonicalize(source).map_err(failed("find"))?;
    let (parent, name) = (source.parent().unwrap_or(Path::new("/")), source.file_name().unwrap_or_default());
    let root = RootDir::open(parent).map_err(failed("open the directory of"))?;
    Ok((root, PathBuf::from(name)))
}

/// A literal path for [`find`], which would take `*` in it for a wildcard.
pub(super) fn escape(path: &str) -> String {
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
