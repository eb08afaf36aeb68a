//! Options of `containerbuild build` for RUN steps: runtime, limits, user namespace, secrets, SSH agents, cache mounts.
//! They are named as the keys of `[sandbox]` in the worker's configuration.

use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;

use build_model::{Blame, BoxedDiagnose, Diagnose};
use image_build::{Limits, SandboxOptions, Secrets, SubordinateIds};

use crate::gated_build::UserNamespaces;

/// How RUN steps run.
#[derive(clap::Args)]
pub struct SandboxArgs {
    /// The OCI runtime for RUN steps.
    #[arg(long, default_value = "crun")]
    runtime: PathBuf,
    /// Memory limit of one RUN step in MB.
    #[arg(long, value_name = "MB")]
    memory_mb: Option<u64>,
    /// Process limit of one RUN step.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = clap::value_parser!(i64).range(1..))]
    pids: i64,
    /// Processors one RUN step may keep busy, fractions allowed.
    #[arg(long, value_name = "N", value_parser = cpus)]
    cpus: Option<f64>,
    /// What one RUN step may have on disk beyond what it began with, in MB.
    #[arg(long, value_name = "MB")]
    disk_mb: Option<u64>,
    /// Longest a RUN step may take, in seconds.
    #[arg(long, value_name = "SECONDS")]
    run_seconds: Option<u64>,
    /// Whether root in a RUN is nobody on this machine: where it can be, always, or never.
    #[arg(long, value_enum, default_value = "auto")]
    user_namespace: UserNamespaceMode,
    /// A secret for `RUN --mount=type=secret`: id=ID,src=FILE or id=ID,env=VARIABLE; may be repeated. ADD shows what is called
    /// HTTP_AUTH_TOKEN_HOST, HTTP_AUTH_HEADER_HOST, GIT_AUTH_TOKEN or GIT_AUTH_HEADER to servers.
    #[arg(long, value_name = "id=ID,src=FILE", value_parser = secret)]
    secret: Vec<(String, SecretSource)>,
    /// An SSH agent for `RUN --mount=type=ssh`, and the one called `default` for ADD of repositories over ssh: ID (then
    /// $SSH_AUTH_SOCK) or ID=SOCKET; may be repeated.
    #[arg(long, value_name = "ID[=SOCKET]")]
    ssh: Vec<String>,
    /// Where `RUN --mount=type=cache` keeps its directories between builds; without it every build begins with empty ones.
    #[arg(long, value_name = "DIR")]
    cache_mounts: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum UserNamespaceMode {
    Auto,
    Required,
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretSource {
    File(PathBuf),
    Variable(String),
}

/// Something the options name is not there.
#[derive(Debug, thiserror::Error)]
pub enum SandboxArgsError {
    /// A secret's variable.
    #[error("--secret id={id}: the variable {name} is not set")]
    Variable {
        /// The secret.
        id: String,
        /// The variable.
        name: String,
    },
    /// An agent without a socket.
    #[error("--ssh {id}: SSH_AUTH_SOCK is not set")]
    NoAgent {
        /// The agent's id.
        id: String,
    },
    /// Something else than a socket, most likely a key.
    #[error("--ssh {id}={}: it is no socket of an agent", path.display())]
    NoSocket {
        /// The agent's id.
        id: String,
        /// What was named.
        path: PathBuf,
    },
    /// The directory for caches cannot be made.
    #[error("cannot make the directory for cache mounts {path}")]
    CacheDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnose for SandboxArgsError {
    fn blame(&self) -> Blame {
        Blame::Site
    }
    fn kind(&self) -> &'static str {
        "arguments"
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoAgent { .. } => Some("start an agent (`eval $(ssh-agent); ssh-add`), or write --ssh ID=SOCKET".to_owned()),
            Self::NoSocket { path, .. } => Some(format!(
                "keys are given by way of an agent: `eval $(ssh-agent)`, `ssh-add {}`, and --ssh ID without a path",
                path.display()
            )),
            _ => None,
        }
    }
}

impl SandboxArgs {
    /// The engine's options; network, mounts and namespace are the build's own.
    pub fn options(&self) -> Result<SandboxOptions, BoxedDiagnose> {
        let mut secrets = Secrets::default();
        for (id, source) in &self.secret {
            match source {
                SecretSource::File(path) => secrets.add_file(id, path)?,
                SecretSource::Variable(name) => {
                    let value = std::env::var_os(name);
                    let value = value.ok_or_else(|| SandboxArgsError::Variable { id: id.clone(), name: name.clone() })?;
                    secrets.add(id, value.into_encoded_bytes())?;
                }
            }
        }
        let mut options = SandboxOptions { limits: self.limits(), secrets, ..SandboxOptions::new(&self.runtime) };
        for agent in &self.ssh {
            let (id, socket) = match agent.split_once('=') {
                Some((id, socket)) => (id, PathBuf::from(socket)),
                None => {
                    let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|s| !s.is_empty());
                    (agent.as_str(), socket.ok_or_else(|| SandboxArgsError::NoAgent { id: agent.clone() })?.into())
                }
            };
            // One that is not there, or does not answer, is told when it is needed.
            if std::fs::metadata(&socket).is_ok_and(|meta| !meta.file_type().is_socket()) {
                return Err(SandboxArgsError::NoSocket { id: id.to_owned(), path: socket }.into());
            }
            options.ssh_agents.insert(id.to_owned(), socket);
        }
        if let Some(path) = &self.cache_mounts {
            let made = std::fs::create_dir_all(path).and_then(|()| std::fs::canonicalize(path));
            let made = made.map_err(|source| SandboxArgsError::CacheDir { path: path.clone(), source })?;
            options.cache_dir = Some(made);
        }
        Ok(options)
    }

    fn limits(&self) -> Limits {
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        Limits {
            memory_bytes: self.memory_mb.map(bytes),
            pids: Some(self.pids),
            cpus: self.cpus,
            disk_bytes: self.disk_mb.map(bytes),
            run_seconds: self.run_seconds,
        }
    }

    /// Whether RUN steps get a user namespace.
    pub fn user_namespaces(&self) -> UserNamespaces {
        match self.user_namespace {
            UserNamespaceMode::Auto => UserNamespaces::WherePossible(SubordinateIds::default()),
            UserNamespaceMode::Required => UserNamespaces::Required(SubordinateIds::default()),
            UserNamespaceMode::Off => UserNamespaces::Off,
        }
    }
}

fn cpus(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|cpus| (0.01..=4096.0).contains(cpus)).ok_or_else(|| "it is a number from 0.01 on".to_owned())
}

/// `id=ID,src=FILE` or `id=ID,env=VARIABLE`, as docker has it.
fn secret(text: &str) -> Result<(String, SecretSource), String> {
    let (mut id, mut source) = (None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("src" | "source", value)) => source = Some(SecretSource::File(value.into())),
            Some(("env", value)) => source = Some(SecretSource::Variable(value.to_owned())),
            Some(("type", "file" | "env")) => {}
            _ => return Err(format!("`{field}` is not id=ID, src=FILE or env=VARIABLE")),
        }
    }
    match (id.filter(|id| !id.is_empty()), source) {
        (Some(id), Some(source)) => Ok((id, source)),
        (None, _) => Err("it needs an id: id=ID,src=FILE".to_owned()),
        (Some(id), None) => Err(format!("it needs a source: id={id},src=FILE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_as_docker_has_them() {
        assert_eq!(secret("id=a,src=/x"), Ok(("a".to_owned(), SecretSource::File("/x".into()))));
        assert_eq!(secret("type=env,id=a,env=B"), Ok(("a".to_owned(), SecretSource::Variable("B".to_owned()))));
        for bad in ["", "id=a", "src=/x", "id=,src=/x", "id=a,file=/x", "a"] {
            assert!(secret(bad).is_err(), "{bad}");
        }
    }
}
