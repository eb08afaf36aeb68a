//! RUN (engine: R1–R6): a command in a container over a fresh snapshot. What it changed is the layer.

use std::path::Path;

use dockerfile::{Run, RunNetwork, RunScript};

use super::run_mounts::RunMounts;
use super::{StageState, program, workdir};
use crate::build::{Builder, Made};
use crate::error::{Foreign, StepError};
use crate::progress::{ProgressEvent, StepInfo};
use crate::rootfs::{ResolvedUser, RootDir, Users};
use crate::sandbox::{
    Container, ContainerMount, ContainerNetwork, Finished, IdShift, Outcome, Runtime, SandboxError, SandboxNetwork,
    held_back_note, swap_is_on,
};
use crate::snapshot::{FrozenUpper, Snapshot};

/// Where heredoc scripts are shown: in the container's own `/dev`, which no layer sees.
const SCRIPT_DIR: &str = "/dev/pipes";

/// Exit code of what was killed by SIGKILL.
const KILLED: i32 = 128 + 9;

/// What is executed.
struct Command {
    args: Vec<String>,
    /// Its first argument is the stage's shell.
    in_shell: bool,
    /// It is a script that exists only for this RUN.
    is_script: bool,
}

impl<'a> Builder<'a> {
    /// Does a RUN.
    pub(crate) fn run(&mut self, state: &mut StageState, run: &Run, step: &StepInfo) -> Result<Made, StepError> {
        let network = self.run_network(run)?;
        let environment = state.run_environment();
        let key = self.run_key(state, run, &environment)?;
        if let Some(made) = self.take_cached(state, &key, step)? {
            return Ok(made);
        }
        let view = self.view(&state.layers, state.base.as_ref())?;
        let user = Users::read(view.root())?.process_user(&state.config.user)?;
        let mut mounts = self.run_mounts(state, run, view.root())?;
        let command = command(state, run, &mut mounts)?;
        let cwd = state.working_dir();
        check_program(view.root(), &command, &environment, &cwd, &mounts.targets())?;
        let upper = self.prepared_upper(state, view.root(), &cwd)?;
        drop(view);

        let snapshot = self.container_root(state, &mounts.between(), upper)?;
        let shift = self.id_shift()?;
        check_user(&user, shift.as_deref())?;
        if shift.is_none() && !self.cgroups.guards_devices() {
            return Err(SandboxError::DevicesUnguarded.into());
        }
        let env = self.process_environment(environment, &mounts.env, &user);
        let host_name = self.host_name().to_owned();
        let (limits, missing) = self.request.sandbox.limits.supported(&self.cgroups, swap_is_on());
        for note in missing {
            self.note_once(note);
        }
        let container = Container {
            rootfs: snapshot.root().host_path(),
            args: &command.args,
            env: &env,
            cwd: &cwd,
            user: &user,
            mounts: &mounts.mounts,
            network,
            host_name: &host_name,
            limits: &limits,
            limits_swap: self.cgroups.limits_swap(),
            shift: shift.as_deref(),
        };
        let mut writable = mounts.shown.writable.clone();
        writable.insert(0, snapshot.upper().path());
        let (progress, hooks) = (self.request.progress, self.request.run_hooks);
        hooks.before_run(step);
        let emit = |stream, line| progress.event(ProgressEvent::OutputLine { stream, line });
        let runtime = Runtime { program: &self.request.sandbox.runtime, engine: &self.engine, cgroups: &self.cgroups };
        let Outcome { finished, held_back, removal } =
            runtime.run(&container, writable, &mounts.redaction, self.request.cancel, &emit)?;
        if let Some(note) = held_back_note(limits.cpus, held_back) {
            self.note(note);
        }
        // That of the RUN before is long gone.
        if let Some(before) = self.removal.replace(removal) {
            before.finish()?;
        }
        let told = |code| hooks.after_run(step, code).map_err(|e| StepError::Hook(Foreign(e)));
        match finished {
            Finished::Cancelled => return Err(StepError::Cancelled),
            Finished::Stopped { hit, last_lines } => {
                told(KILLED)?;
                return Err(StepError::LimitHit { hit, code: None, last_lines });
            }
            Finished::Exited { code, hit, last_lines } => {
                told(code)?;
                match hit {
                    _ if code == 0 => {
                        hit.into_iter().for_each(|hit| self.note(format!("{hit}; the command ended well all the same")))
                    }
                    Some(hit) => return Err(StepError::LimitHit { hit, code: Some(code), last_lines }),
                    None => return Err(StepError::RunFailed { code, last_lines }),
                }
            }
        }
        let upper = snapshot.freeze()?;
        drop(mounts);
        hooks.settle(step, &upper.path()).map_err(|e| StepError::Hook(Foreign(e)))?;
        self.made(state, key, upper, step)
    }

    /// An upper directory with what a container needs and the image lacks: the working directory, and what the kernel's
    /// file systems are mounted on. As with BuildKit and buildah, an image without `/proc`, `/sys` and `/dev` has them,
    /// empty, after its first RUN.
    fn prepared_upper(&self, state: &StageState, image: &RootDir, cwd: &str) -> Result<FrozenUpper, StepError> {
        let upper = self.upper(state)?;
        let mut missing = Vec::new();
        for dir in ["/proc", "/sys", "/dev"] {
            if image.lstat(Path::new(dir)).map_err(StepError::path("look at", dir))?.is_none() {
                missing.push(dir);
            }
        }
        let found = image.resolve(Path::new(cwd)).map_err(StepError::path("find the working directory", cwd))?;
        if missing.is_empty() && found.is_dir() {
            return Ok(upper);
        }
        // Through a mount of the builder's own: behind the container's the builder is nobody.
        let snapshot = Snapshot::mount(&self.lowers(state), upper, &self.engine)?;
        for dir in missing {
            snapshot.root().make_dirs(Path::new(dir), (0, 0)).map_err(StepError::path("make the directory", dir))?;
        }
        workdir::make(snapshot.root(), cwd, (0, 0))?;
        snapshot.freeze().map_err(Into::into)
    }

    fn run_network(&self, run: &Run) -> Result<ContainerNetwork<'a>, StepError> {
        if run.security.as_deref().is_some_and(|s| s != "sandbox") {
            return Err(StepError::Refused { what: "RUN --security=insecure".to_owned(), reason: "builders are shared" });
        }
        match (run.network, &self.request.sandbox.network) {
            (Some(RunNetwork::Host), SandboxNetwork::Host) => Ok(ContainerNetwork::Host),
            (Some(RunNetwork::Host), _) => Err(StepError::Refused {
                what: "RUN --network=host".to_owned(),
                reason: "what goes into an image must come from Koji, so steps reach nothing else",
            }),
            (Some(RunNetwork::None), _) | (_, SandboxNetwork::None) => Ok(ContainerNetwork::New),
            (_, SandboxNetwork::Host) => Ok(ContainerNetwork::Host),
            (_, SandboxNetwork::Namespace(path)) => Ok(ContainerNetwork::Existing(path)),
        }
    }

    fn run_key(
        &mut self,
        state: &StageState,
        run: &Run,
        environment: &[(String, String)],
    ) -> Result<crate::layers::CacheKey, StepError> {
        let mounts = self.mounts_digest(state, run)?;
        let text = format!(
            "{:?} {:?} host={} shell={:?} cwd={} user={} env={environment:?}",
            run.script(),
            run.network,
            self.host_name(),
            state.shell(),
            state.working_dir(),
            state.config.user
        );
        Ok(state.key.step("RUN", [text.as_bytes(), &mounts]))
    }

    /// What the process gets: the stage's environment, proxies from build arguments, the caller's variables over all.
    fn process_environment(
        &self,
        mut environment: Vec<(String, String)>,
        of_mounts: &[(String, String)],
        user: &ResolvedUser,
    ) -> Vec<String> {
        let mut add = |name: &str, value: &str, replace: bool| match environment.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) if replace => value.clone_into(old),
            Some(_) => {}
            None => environment.push((name.to_owned(), value.to_owned())),
        };
        for (name, value) in self.plan.proxy_args() {
            add(&name, &value, false);
        }
        for (name, value) in self.request.sandbox.run_env.iter().chain(of_mounts) {
            add(name, value, true);
        }
        // What honours it writes the same in every run (reproducible-builds.org); rpm does since 4.17.
        add("SOURCE_DATE_EPOCH", &self.request.source_date_epoch.to_string(), false);
        add("HOME", user.home.as_deref().unwrap_or("/"), false);
        environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// A file name for a heredoc's word, which may hold anything.
fn script_name(word: &str) -> String {
    let name: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).take(64).collect();
    if name.is_empty() { "script".to_owned() } else { name }
}

fn command(state: &StageState, run: &Run, mounts: &mut RunMounts<'_>) -> Result<Command, StepError> {
    match run.script() {
        RunScript::Exec(args) if args.is_empty() => Err(StepError::Invalid("RUN needs a command".to_owned())),
        RunScript::Exec(args) => Ok(Command { args, in_shell: false, is_script: false }),
        RunScript::Shell(text) => {
            let mut args = state.shell();
            args.push(text);
            Ok(Command { args, in_shell: true, is_script: false })
        }
        RunScript::File { name, body } => {
            let source = mounts.shown.file("script", body.as_bytes(), 0o755, (0, 0))?;
            let target = format!("{SCRIPT_DIR}/{}", script_name(&name));
            mounts.mounts.push(ContainerMount::Bind { source, target: target.clone(), read_only: true });
            Ok(Command { args: vec![target], in_shell: false, is_script: true })
        }
    }
}

/// Processes have ids of their user namespace or none at all.
fn check_user(user: &ResolvedUser, shift: Option<&IdShift>) -> Result<(), StepError> {
    let Some(namespace) = shift.map(IdShift::namespace) else { return Ok(()) };
    let mut ids = [user.uid, user.gid].into_iter().chain(user.groups.iter().copied());
    match ids.find(|id| namespace.host_id(*id).is_none()) {
        Some(id) => Err(StepError::IdBeyond { id, size: namespace.size() }),
        None => Ok(()),
    }
}

fn check_program(
    root: &RootDir,
    command: &Command,
    environment: &[(String, String)],
    cwd: &str,
    mounted: &[&str],
) -> Result<(), StepError> {
    let Some(program) = command.args.first().filter(|_| !command.is_script) else { return Ok(()) };
    let path = environment.iter().find(|(n, _)| n == "PATH").map(|(_, v)| v.as_str()).unwrap_or_default();
    if program::can_run(root, program, path, cwd, mounted) {
        return Ok(());
    }
    Err(StepError::NoProgram { program: program.clone(), is_shell: command.in_shell })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heredoc_words_become_harmless_file_names() {
        assert_eq!(script_name("EOF"), "EOF");
        assert_eq!(script_name("../../etc/x"), "etcx");
        assert_eq!(script_name("$ !"), "script");
    }
}
