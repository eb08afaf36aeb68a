//! RUN (engine: R1–R6): a command in a container over a fresh snapshot. What it changed is the layer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dockerfile::{Run, RunNetwork, RunScript};
use tempfile::TempDir;

use super::{StageState, program, workdir};
use crate::build::{Builder, Made};
use crate::error::{Foreign, StepError};
use crate::progress::{ProgressEvent, StepInfo};
use crate::rootfs::{ResolvedUser, RootDir, Users};
use crate::sandbox::{self, Container, ContainerMount, ContainerNetwork, Finished, SandboxError, SandboxNetwork};

/// Where heredoc scripts are shown: in the container's own `/dev`, which no layer sees.
const SCRIPT_DIR: &str = "/dev/pipes";

/// Exit code of what was killed by SIGKILL.
const KILLED: i32 = 128 + 9;

/// What is executed.
struct Command {
    args: Vec<String>,
    /// Its first argument is the stage's shell.
    in_shell: bool,
    /// A script that exists only for this RUN.
    script: Option<(TempDir, ContainerMount)>,
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
        let command = self.command(state, run)?;
        let view = self.view(&state.layers, state.base.as_ref())?;
        let user = Users::read(view.root())?.process_user(&state.config.user)?;
        let mounts = self.run_mounts(state, run, view.root())?;
        drop(view);

        let snapshot = self.snapshot(state, &mounts.between())?;
        let cwd = state.working_dir();
        prepare_root(snapshot.root(), &cwd)?;
        check_program(snapshot.root(), &command, &environment, &cwd, &mounts.targets())?;

        let env = self.process_environment(environment, &user);
        let mut all_mounts = mounts.mounts.clone();
        all_mounts.extend(command.script.as_ref().map(|(_, mount)| mount.clone()));
        let container = Container {
            rootfs: snapshot.root().host_path(),
            args: &command.args,
            env: &env,
            cwd: &cwd,
            user: &user,
            mounts: &all_mounts,
            network,
            limits: &self.request.sandbox.limits,
        };
        let (progress, hooks) = (self.request.progress, self.request.run_hooks);
        hooks.before_run(step);
        let emit = |stream, line| progress.event(ProgressEvent::OutputLine { stream, line });
        let finished = sandbox::run(&self.request.sandbox.runtime, &self.engine, &container, self.request.cancel, &emit)?;
        match finished {
            Finished::Cancelled => return Err(StepError::Cancelled),
            Finished::TimedOut { seconds, last_lines } => {
                hooks.after_run(step, KILLED).map_err(|e| StepError::Hook(Foreign(e)))?;
                return Err(StepError::TimedOut { seconds, last_lines });
            }
            Finished::Exited { code, last_lines } => {
                hooks.after_run(step, code).map_err(|e| StepError::Hook(Foreign(e)))?;
                if code != 0 {
                    return Err(StepError::RunFailed { code, last_lines });
                }
            }
        }
        let upper = snapshot.freeze()?;
        drop(mounts);
        hooks.settle(step, &upper.path()).map_err(|e| StepError::Hook(Foreign(e)))?;
        self.made(state, key, upper, step)
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
            "{:?} {:?} shell={:?} cwd={} user={} env={environment:?}",
            run.script(),
            run.network,
            state.shell(),
            state.working_dir(),
            state.config.user
        );
        Ok(state.key.step("RUN", [text.as_bytes(), &mounts]))
    }

    fn command(&self, state: &StageState, run: &Run) -> Result<Command, StepError> {
        match run.script() {
            RunScript::Exec(args) if args.is_empty() => Err(StepError::Invalid("RUN needs a command".to_owned())),
            RunScript::Exec(args) => Ok(Command { args, in_shell: false, script: None }),
            RunScript::Shell(text) => {
                let mut args = state.shell();
                args.push(text);
                Ok(Command { args, in_shell: true, script: None })
            }
            RunScript::File { name, body } => {
                let dir = self.engine.temp_dir("script-")?;
                let source = dir.path().join("script");
                fs::write(&source, body)
                    .and_then(|()| fs::set_permissions(&source, fs::Permissions::from_mode(0o755)))
                    .map_err(SandboxError::path("write", &source))?;
                let target = format!("{SCRIPT_DIR}/{}", script_name(&name));
                let mount = ContainerMount::Bind { source, target: target.clone(), read_only: true };
                Ok(Command { args: vec![target], in_shell: false, script: Some((dir, mount)) })
            }
        }
    }

    /// What the process gets: the stage's environment, proxies from build arguments, the caller's variables over all.
    fn process_environment(&self, mut environment: Vec<(String, String)>, user: &ResolvedUser) -> Vec<String> {
        let mut add = |name: &str, value: &str, replace: bool| match environment.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) if replace => value.clone_into(old),
            Some(_) => {}
            None => environment.push((name.to_owned(), value.to_owned())),
        };
        for (name, value) in self.plan.proxy_args() {
            add(&name, &value, false);
        }
        for (name, value) in &self.request.sandbox.run_env {
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

/// The working directory, and what the kernel's file systems are mounted on. As with BuildKit and buildah, an image
/// without `/proc`, `/sys` and `/dev` has them, empty, after its first RUN.
fn prepare_root(root: &RootDir, cwd: &str) -> Result<(), StepError> {
    for dir in ["/proc", "/sys", "/dev"] {
        let there = root.lstat(Path::new(dir)).map_err(StepError::path("look at", dir))?;
        if there.is_none() {
            root.make_dirs(Path::new(dir), (0, 0)).map_err(StepError::path("make the directory", dir))?;
        }
    }
    let found = root.resolve(Path::new(cwd)).map_err(StepError::path("find the working directory", cwd))?;
    if !found.is_dir() {
        workdir::make(root, cwd, (0, 0))?;
    }
    Ok(())
}

fn check_program(
    root: &RootDir,
    command: &Command,
    environment: &[(String, String)],
    cwd: &str,
    mounted: &[&str],
) -> Result<(), StepError> {
    let Some(program) = command.args.first().filter(|_| command.script.is_none()) else { return Ok(()) };
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
