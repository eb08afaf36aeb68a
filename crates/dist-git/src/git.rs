//! Running the git program so that nothing but git runs: no configuration of the system, the user or the repository,
//! no hooks, no filters, no credential helpers, no prompts, one transport only, and an end when time is up.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use build_model::ScmUrl;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::checkout_dir::CheckoutDir;
use crate::git_messages::{Complaint, classify, ended_at_file_limit};
use crate::{Authorization, DistGitError};

/// Git's last lines kept for the error message.
const LAST_LINES: usize = 12;
/// Longest line shown, in bytes.
const LINE_BYTES: u64 = 4096;
/// Longest standard output read: a list of refs.
const OUTPUT_BYTES: u64 = 32 << 20;

/// Settings on every command line. They also hold for the programs git starts.
const SETTINGS: [&str; 16] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.symlinks=true",
    "core.autocrlf=false",
    "credential.helper=",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
    "protocol.version=2",
    // a server that sends less than 1 kB/s for two minutes has died
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=120",
];

/// Variables handed on from our own environment: where to find programs, proxies and CAs, an ssh agent.
const ENVIRONMENT: [&str; 13] = [
    "PATH",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSH_AUTH_SOCK",
];

/// Git, bound to one repository and one checkout directory.
pub(crate) struct Git<'a> {
    url: String,
    protocols: &'static str,
    git_dir: PathBuf,
    work_tree: PathBuf,
    home: PathBuf,
    global_config: PathBuf,
    file_limit: Option<u64>,
    ssh_agent: Option<PathBuf>,
    authorization: Option<Authorization>,
    log: &'a (dyn Fn(&str) + Sync),
}

/// A repository and the transports git may use to get there.
pub(crate) struct Remote {
    url: String,
    protocols: &'static str,
}

impl Remote {
    /// # Errors
    /// For a transport git does not have.
    pub fn new(url: String, transport: &str) -> Result<Self, DistGitError> {
        let protocols = match transport {
            "git" => "git",
            "https" => "https",
            "http" => "http:https",
            "ssh" => "ssh",
            "file" => "file",
            other => return Err(DistGitError::Scheme { scheme: other.to_owned() }),
        };
        Ok(Self { url, protocols })
    }

    /// # Errors
    /// For a scheme git cannot speak.
    pub fn of(url: &ScmUrl) -> Result<Self, DistGitError> {
        Self::new(url.git_url(), url.scheme.strip_prefix("git+").unwrap_or(&url.scheme))
            .map_err(|_| DistGitError::Scheme { scheme: url.scheme.clone() })
    }
}

/// How a git command failed.
pub(crate) struct Refusal {
    pub complaint: Complaint,
    pub output: Vec<String>,
}

impl<'a> Git<'a> {
    /// # Errors
    /// When the private configuration cannot be written.
    pub fn new(remote: Remote, dir: &CheckoutDir, log: &'a (dyn Fn(&str) + Sync)) -> Result<Self, DistGitError> {
        let mut global_config = PathBuf::from("/dev/null");
        if remote.protocols == "file" {
            // Git refuses repositories owned by another user; whether this one may be read is not git's to decide
            // here but the allow-list's. Only a configuration file reaches the serving half of git.
            global_config = dir.home().join("gitconfig");
            std::fs::write(&global_config, "[safe]\n\tdirectory = *\n").map_err(|source| DistGitError::Io {
                action: "write",
                path: global_config.clone(),
                source,
            })?;
        }
        Ok(Self {
            url: remote.url,
            protocols: remote.protocols,
            git_dir: dir.git_dir(),
            work_tree: dir.source(),
            home: dir.home(),
            global_config,
            file_limit: None,
            ssh_agent: None,
            authorization: None,
            log,
        })
    }

    /// The same, with no file larger than `bytes` written by git or what it starts.
    pub fn with_file_limit(self, bytes: u64) -> Self {
        Self { file_limit: Some(bytes), ..self }
    }

    /// The same, with this SSH agent in place of the one in our environment.
    pub fn with_ssh_agent(self, socket: Option<&Path>) -> Self {
        Self { ssh_agent: socket.map(Path::to_owned), ..self }
    }

    /// The same, showing this to the server of the repository.
    pub fn with_authorization(self, authorization: Option<&Authorization>) -> Self {
        Self { authorization: authorization.cloned(), ..self }
    }

    /// The URL git is given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a command that must succeed; gives its standard output.
    pub async fn run(&self, purpose: &'static str, limit: Duration, args: &[&str]) -> Result<String, DistGitError> {
        match self.attempt(purpose, limit, args).await? {
            Ok(output) => Ok(output),
            Err(refusal) => Err(self.error(purpose, refusal)),
        }
    }

    /// The error for a refusal that nothing can be done about.
    pub fn error(&self, purpose: &'static str, refusal: Refusal) -> DistGitError {
        let (url, output) = (self.url.clone(), refusal.output);
        match refusal.complaint {
            Complaint::NoSuchRepository => DistGitError::RepositoryNotFound { url, output },
            Complaint::Network => DistGitError::Unreachable { url, purpose, output },
            Complaint::NoSuchObject | Complaint::Other => DistGitError::Git { url, purpose, output },
        }
    }

    /// Runs a command that may be refused. The outer error: git could not be run or did not end in time.
    pub async fn attempt(
        &self,
        purpose: &'static str,
        limit: Duration,
        args: &[&str],
    ) -> Result<Result<String, Refusal>, DistGitError> {
        (self.log)(&format!("$ git {}", args.join(" ")));
        let child = self.command(args).spawn().map_err(|source| DistGitError::GitProgram { source })?;
        let mut group = ProcessGroup(child);
        if let (Some(limit), Some(pid)) = (self.file_limit, group.pid()) {
            // What git starts for the network and for unpacking inherits it: it comes after a connection was made.
            let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
            match prlimit(Some(pid), Resource::Fsize, limit) {
                Ok(_) | Err(Errno::SRCH) => {}
                Err(error) => return Err(DistGitError::GitProgram { source: error.into() }),
            }
        }
        let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
        let mut last = VecDeque::new();
        let work = async {
            let (output, said) = tokio::join!(read_output(stdout), read_lines(stderr, &mut last, self.log));
            said?;
            let output = output?;
            Ok::<_, std::io::Error>((output, group.0.wait().await?))
        };
        let ended = tokio::time::timeout(limit, work).await;
        let output = Vec::from(last);
        match ended {
            Err(_) => Err(DistGitError::TimedOut { url: self.url.clone(), purpose, seconds: limit.as_secs(), output }),
            Ok(Err(source)) => Err(DistGitError::GitProgram { source }),
            Ok(Ok((stdout, status))) if status.success() => Ok(Ok(stdout)),
            Ok(Ok(_)) => match self.file_limit.filter(|_| ended_at_file_limit(&output)) {
                Some(limit) => Err(DistGitError::TooLarge { url: self.url.clone(), limit }),
                None => Ok(Err(Refusal { complaint: classify(&output), output })),
            },
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for name in ENVIRONMENT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let fixed: [(&str, &OsStr); 13] = [
            ("LC_ALL", "C".as_ref()),
            ("HOME", self.home.as_os_str()),
            ("XDG_CONFIG_HOME", self.home.as_os_str()),
            ("GIT_DIR", self.git_dir.as_os_str()),
            ("GIT_WORK_TREE", self.work_tree.as_os_str()),
            ("GIT_CONFIG_NOSYSTEM", "1".as_ref()),
            ("GIT_CONFIG_GLOBAL", self.global_config.as_os_str()),
            ("GIT_ATTR_NOSYSTEM", "1".as_ref()),
            ("GIT_TERMINAL_PROMPT", "0".as_ref()),
            ("GIT_ASKPASS", "true".as_ref()),
            // overrides every protocol.*.allow: ext:: and file:// cannot be reached by redirection or submodule
            ("GIT_ALLOW_PROTOCOL", self.protocols.as_ref()),
            ("GIT_SSH_COMMAND", "ssh -oBatchMode=yes".as_ref()),
            ("GIT_OPTIONAL_LOCKS", "0".as_ref()),
        ];
        command.envs(fixed);
        if let Some(socket) = &self.ssh_agent {
            command.env("SSH_AUTH_SOCK", socket);
        }
        if let Some(authorization) = &self.authorization {
            // Settings in variables: a command line is everybody's to read.
            command
                .env("GIT_CONFIG_COUNT", "2")
                .env("GIT_CONFIG_KEY_0", format!("http.{}.extraHeader", self.url))
                .env("GIT_CONFIG_VALUE_0", format!("Authorization: {}", authorization.as_str()))
                // Git goes on to show it wherever the first answer led.
                .env("GIT_CONFIG_KEY_1", "http.followRedirects")
                .env("GIT_CONFIG_VALUE_1", "false");
        }
        for setting in SETTINGS {
            command.arg("-c").arg(setting);
        }
        command
            .args(args)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // a group of its own, so that the programs git starts can be ended with it
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Ends git and everything it started when dropped before git has ended (time is up, or the task was cancelled).
struct ProcessGroup(Child);

impl ProcessGroup {
    /// None once the child was waited for: its number may then be another's.
    fn pid(&self) -> Option<Pid> {
        self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

async fn read_output(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(stream) = stream else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    stream.take(OUTPUT_BYTES).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Passes git's complaints on line by line and keeps the last ones.
async fn read_lines(
    stream: Option<impl AsyncRead + Unpin>,
    last: &mut VecDeque<String>,
    log: &(dyn Fn(&str) + Sync),
) -> std::io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(());
        }
        // what the server says comes through here: no control characters into logs
        let text = String::from_utf8_lossy(&bytes);
        let line: String = text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if line.is_empty() {
            continue;
        }
        log(&line);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn git_is_ended_when_time_is_up() {
        // the system accepts the connection, nobody ever answers
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let temp = tempfile::tempdir().expect("a directory");
        let dir = CheckoutDir::create(&temp.path().join("checkout")).expect("made");
        let url = format!("git+http://127.0.0.1:{port}/web#main").parse().expect("an SCM URL");
        let git = Git::new(Remote::of(&url).expect("a scheme"), &dir, &|_| ()).expect("git");
        let outcome = git.run("list the branches of", Duration::from_millis(500), &["ls-remote", git.url()]).await;
        assert!(matches!(outcome, Err(DistGitError::TimedOut { seconds: 0, .. })), "{outcome:?}");
        let (mut connection, _) = listener.accept().expect("git had connected");
        connection.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        // the connection ends because git's helper program is dead too
        let mut request = Vec::new();
        std::io::Read::read_to_end(&mut connection, &mut request).expect("the helper still runs");
    }

    #[tokio::test]
    async fn a_servers_words_reach_the_log_without_control_characters() {
        let mut last = VecDeque::new();
        let log = std::sync::Mutex::new(Vec::new());
        let said: &[u8] = b"remote: \x1b[31mred\x1b[0m\r\n\n\xff\n";
        read_lines(Some(said), &mut last, &|line| log.lock().expect("log").push(line.to_owned())).await.expect("read");
        assert_eq!(log.into_inner().expect("log"), ["remote:  [31mred [0m", "\u{fffd}"]);
    }
}
