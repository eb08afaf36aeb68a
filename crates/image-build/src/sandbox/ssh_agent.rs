//! `RUN --mount=type=ssh`: an SSH agent's socket for one RUN. The builder listens on a socket of its own and passes on to
//! the agent only the two requests that signing needs (draft-ietf-sshm-ssh-agent): a build can use the keys while it
//! runs, and neither add nor remove, lock or export any.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
/// Longest message, as OpenSSH has it.
const MESSAGE_MAX: usize = 256 * 1024;

/// A socket that leads to an agent. It is gone, with every connection, on drop.
#[derive(Debug)]
pub(crate) struct AgentSocket {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl AgentSocket {
    /// Listens at `path` for what is meant for the agent at `agent`.
    ///
    /// # Errors
    /// The socket cannot be made, or the agent does not answer now.
    pub(crate) fn listen(path: &Path, agent: &Path) -> io::Result<Self> {
        // Better told now than by a program that says nothing of it.
        drop(UnixStream::connect(agent)?);
        let listener = UnixListener::bind(path)?;
        let (stopped, stop) = pipe_with(PipeFlags::CLOEXEC)?;
        let agent = agent.to_owned();
        let thread =
            std::thread::Builder::new().name("ssh-agent".to_owned()).spawn(move || serve(&listener, &stopped, &agent))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until the other end of `stopped` is closed.
fn serve(listener: &UnixListener, stopped: &OwnedFd, agent: &Path) {
    std::thread::scope(|scope| {
        loop {
            if !readable_before(listener, stopped) {
                return;
            }
            let Ok((client, _)) = listener.accept() else { continue };
            let agent: PathBuf = agent.to_owned();
            scope.spawn(move || {
                if let Err(error) = relay(client, stopped, &agent) {
                    tracing::debug!(%error, "a connection to the SSH agent ended");
                }
            });
        }
    });
}

/// Waits; false when it is time to stop.
fn readable_before(source: impl std::os::fd::AsFd, stopped: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(&source, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return fds[1].revents().is_empty(),
        }
    }
}

fn relay(mut client: UnixStream, stopped: &OwnedFd, agent: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(agent)?;
    while readable_before(&client, stopped) {
        let Some(request) = read_message(&mut client)? else { return Ok(()) };
        if matches!(request.first(), Some(&(REQUEST_IDENTITIES | SIGN_REQUEST))) {
            write_message(&mut agent, &request)?;
            // A key that asks its owner may take as long as it likes, but not longer than the RUN.
            if !readable_before(&agent, stopped) {
                return Ok(());
            }
            let answer = read_message(&mut agent)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            write_message(&mut client, &answer)?;
        } else {
            write_message(&mut client, &[FAILURE])?;
        }
    }
    Ok(())
}

/// `None` at the end.
fn read_message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MESSAGE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}

fn write_message(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every message with its own type, reversed, and says what it got.
    fn agent(path: &Path) -> JoinHandle<Vec<u8>> {
        let listener = UnixListener::bind(path).expect("bind");
        std::thread::spawn(move || {
            // The first connection is the probe.
            drop(listener.accept().expect("accept"));
            let (mut stream, _) = listener.accept().expect("accept");
            let mut got = Vec::new();
            while let Some(message) = read_message(&mut stream).expect("read") {
                got.push(message[0]);
                write_message(&mut stream, &[!message[0]]).expect("write");
            }
            got
        })
    }

    #[test]
    fn only_listing_and_signing_reach_the_agent() {
        let dir = tempfile::tempdir().expect("tempdir");
        let real = agent(&dir.path().join("real"));
        let socket = AgentSocket::listen(&dir.path().join("shown"), &dir.path().join("real")).expect("listen");
        let mut client = UnixStream::connect(dir.path().join("shown")).expect("connect");
        let mut ask = |kind: u8| {
            write_message(&mut client, &[kind, 1, 2, 3]).expect("write");
            read_message(&mut client).expect("read").expect("an answer")
        };
        // 17 adds a key, 18 and 19 remove keys, 22 locks the agent.
        let answers: Vec<Vec<u8>> = [11, 17, 18, 19, 22, 13].into_iter().map(&mut ask).collect();
        assert_eq!(answers, [vec![!11], vec![FAILURE], vec![FAILURE], vec![FAILURE], vec![FAILURE], vec![!13]]);
        drop(client);
        assert_eq!(real.join().expect("agent"), [11, 13]);
        drop(socket);
    }

    #[test]
    fn an_open_connection_does_not_keep_it_alive() {
        let dir = tempfile::tempdir().expect("tempdir");
        let listener = UnixListener::bind(dir.path().join("real")).expect("bind");
        let socket = AgentSocket::listen(&dir.path().join("shown"), &dir.path().join("real")).expect("listen");
        let mut client = UnixStream::connect(dir.path().join("shown")).expect("connect");
        write_message(&mut client, &[REQUEST_IDENTITIES]).expect("write");
        drop(socket);
        // The end, or a reset where the request had not been read yet.
        assert!(!matches!(read_message(&mut client), Ok(Some(_))));
        drop(listener);
        assert!(AgentSocket::listen(&dir.path().join("other"), &dir.path().join("gone")).is_err(), "no agent, no socket");
    }
}
