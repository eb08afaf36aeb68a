//! A network namespace that holds a loopback interface and nothing else. RUN steps are put into it; the only peer they
//! can have is a socket the builder opened inside it ([`IsolatedNetwork::listen`]).
//!
//! There is no veth pair, bridge or firewall rule: a namespace without another interface has nowhere to send packets.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::ioctl::{Opcode, Setter, ioctl};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::sandbox::{SandboxError, UserNamespace};

/// Smallest, first and largest receive buffer of a TCP socket in the namespace, in bytes (tcp(7), `tcp_rmem`). A whole RPM
/// fits into the first one: who sends it need not wait for who reads it, and the kernel need not wake one for the other
/// every 128 KiB (the usual first size). That took a fifth of the time in which dnf fetches what is cached.
const RECEIVE_BUFFER: &str = "4096 4194304 8388608";

type Request = (u16, Sender<io::Result<TcpListener>>);

/// The namespace. A thread of its own lives in it and opens sockets; a bind mount gives it a path for the runtime.
/// Both are gone on drop; the namespace itself when the last socket and container in it is.
#[derive(Debug)]
pub struct IsolatedNetwork {
    path: PathBuf,
    requests: Option<Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl IsolatedNetwork {
    /// Makes a namespace and its file in `work_dir`. With `owner` it is the one that belongs to that user namespace, whose
    /// containers then may look at its devices in `/sys`; there is one of it, so take it once.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN and CAP_NET_ADMIN, or when the file cannot be made.
    pub fn new(work_dir: &Path, owner: Option<&UserNamespace>) -> Result<Self, SandboxError> {
        let existing = owner.map(|owner| owner.network().try_clone_to_owned()).transpose();
        let existing = existing.map_err(|source| SandboxError::NetworkNamespace { action: "hold it", source })?;
        let file = tempfile::Builder::new()
            .prefix("netns-")
            .tempfile_in(work_dir)
            .map_err(SandboxError::path("make the file of a network namespace in", work_dir))?;
        let path = std::path::absolute(file.path()).map_err(SandboxError::path("find", file.path()))?;
        file.keep().map_err(|e| SandboxError::path("keep", &path)(e.error))?;

        let (requests, receiver) = channel::<Request>();
        let (ready_sender, ready) = channel();
        let mount_point = path.clone();
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .spawn(move || {
                let made = enter(&mount_point, existing.as_ref());
                let failed = made.is_err();
                let _ = ready_sender.send(made);
                if !failed {
                    serve(&receiver);
                }
            })
            .map_err(|source| SandboxError::NetworkNamespace { action: "start its thread", source })?;
        let network = Self { path, requests: Some(requests), thread: Some(thread) };
        let ended =
            || SandboxError::NetworkNamespace { action: "hear from its thread", source: io::ErrorKind::BrokenPipe.into() };
        ready.recv().map_err(|_| ended())??;
        Ok(network)
    }

    /// The file the namespace is mounted on, for [`crate::SandboxNetwork::Namespace`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A listener on 127.0.0.1 inside the namespace. It can be used from any thread: a socket stays where it was made.
    ///
    /// # Errors
    /// When the port is taken inside the namespace.
    pub fn listen(&self, port: u16) -> io::Result<TcpListener> {
        let (reply, answer) = channel();
        let ended = || io::Error::new(io::ErrorKind::BrokenPipe, "the thread of the network namespace is gone");
        self.requests.as_ref().ok_or_else(ended)?.send((port, reply)).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
    }
}

impl Drop for IsolatedNetwork {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // EINVAL: nothing is mounted there, because making it failed half-way.
        if let Err(error) = unmount(&self.path, UnmountFlags::DETACH)
            && error != rustix::io::Errno::INVAL
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot unmount a network namespace");
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the file of a network namespace");
        }
    }
}

fn enter(mount_point: &Path, existing: Option<&OwnedFd>) -> Result<(), SandboxError> {
    let failed = |action| move |source: io::Error| SandboxError::NetworkNamespace { action, source };
    match existing {
        Some(namespace) => move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| failed("enter it")(e.into()))?,
        None => unshare_network().map_err(failed("unshare"))?,
    }
    loopback_up().map_err(failed("switch the loopback interface on"))?;
    // Of the namespace of who opens it; a kernel that refuses is slower, no more.
    if let Err(error) = std::fs::write("/proc/sys/net/ipv4/tcp_rmem", RECEIVE_BUFFER) {
        tracing::debug!(%error, "receive buffers in the network namespace stay as they are");
    }
    // `self` would be the main thread's.
    mount_bind("/proc/thread-self/ns/net", mount_point).map_err(|e| failed("mount it")(e.into()))
}

fn serve(requests: &Receiver<Request>) {
    for (port, reply) in requests {
        let _ = reply.send(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
}

#[allow(unsafe_code)]
fn unshare_network() -> io::Result<()> {
    // SAFETY: NEWNET moves this thread alone and changes no file descriptors.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.map_err(Into::into)
}

/// `struct ifreq` of netdevice(7) with the flags member of its union.
#[repr(C)]
struct InterfaceFlags {
    name: [u8; 16],
    flags: i16,
    rest_of_union: [u8; 22],
}

#[allow(unsafe_code)]
fn loopback_up() -> io::Result<()> {
    const SIOCSIFFLAGS: Opcode = 0x8914;
    const IFF_UP: i16 = 1;
    let mut name = [0; 16];
    name[..2].copy_from_slice(b"lo");
    let request = InterfaceFlags { name, flags: IFF_UP, rest_of_union: [0; 22] };
    let socket = File::from(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?);
    // SAFETY: SIOCSIFFLAGS reads a `struct ifreq` (40 bytes, as laid out above) and writes nothing.
    unsafe { ioctl(&socket, Setter::<SIOCSIFFLAGS, InterfaceFlags>::new(request)) }.map_err(Into::into)
}
