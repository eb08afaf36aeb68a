"""A real sshd with one repository behind it, real agents, and ssh itself as files that a RUN can be shown."""

import base64
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")
PROGRAMS = all(shutil.which(name) for name in ("ssh", "ssh-add", "ssh-agent", "ssh-keygen"))


@dataclass
class Server:
    """Where the repository is, what ssh has to know of the server, the socket of the agent whose key opens it, and what
    must be in no image."""

    url: str
    port: int
    known: str
    agent: Path
    public_key: str
    secrets: tuple


@contextlib.contextmanager
def running(repository):
    """Serves it until the end of the block."""
    # The path of a socket is short.
    directory = Path(tempfile.mkdtemp(prefix="ssh-", dir="/run"))
    try:
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)], check=True)
        public = (directory / "key.pub").read_text()
        private = base64.b64decode("".join((directory / "key").read_text().splitlines()[1:-1]))
        # The key opens this one repository, to be read.
        (directory / "authorized_keys").write_text(f'command="git upload-pack {repository}",restrict {public}')
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with daemon(directory, port), agent(directory / "agent"):
            subprocess.run(["ssh-add", "-q", str(directory / "key")], env=settings(directory / "agent"), check=True)
            (directory / "key").unlink()
            blob = public.split()[1]
            # A public key of this kind is 32 bytes at the end of its blob, and the private one 32 bytes before its copy.
            raw = base64.b64decode(blob)[-32:]
            seed = private[private.rindex(raw) - 32 : private.rindex(raw)]
            secrets = (blob.encode(), raw, seed, str(directory).encode())
            known = f"[127.0.0.1]:{port} " + (directory / "host.pub").read_text()
            url = f"ssh://root@127.0.0.1:{port}/r.git"
            yield Server(url, port, known, directory / "agent", blob, secrets)
    finally:
        shutil.rmtree(directory)


def settings(agent_socket):
    """The environment of what asks an agent."""
    return dict(os.environ, SSH_AUTH_SOCK=str(agent_socket))


@contextlib.contextmanager
def daemon(directory, port):
    """sshd, listening."""
    options = [f"HostKey={directory}/host", f"AuthorizedKeysFile={directory}/authorized_keys", f"PidFile={directory}/pid"]
    options += ["PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PermitRootLogin=forced-commands-only"]
    options += ["ListenAddress=127.0.0.1", "StrictModes=no", "UsePAM=no"]
    # Where it keeps the part of it that has no rights.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = [SSHD, "-D", "-e", "-f", "/dev/null", "-p", str(port), *(part for o in options for part in ("-o", o))]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        told = next(line for line in process.stderr if "listening" in line or "fatal" in line or "error" in line)
        assert "listening" in told, told
        yield
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def agent(path):
    """An agent without keys at `path`."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, text=True)
    try:
        # It tells where it is when it listens.
        assert "SSH_AUTH_SOCK" in process.stdout.readline()
        yield path
    finally:
        process.terminate()
        process.communicate()


def tools(directory, known):
    """ssh and ssh-add with the libraries they need and what they know of servers. In a RUN that is shown the directory as
    /tools, `sh /tools/ssh …` and `sh /tools/ssh-add …` run them whatever the image has."""
    directory.mkdir()
    for name in ("ssh", "ssh-add"):
        program = shutil.which(name)
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"/\S+", listed):
            shutil.copy(library, directory)
        (loader,) = re.findall(r"/\S*/(ld[^/\s]*\.so\.\d+)", listed)
        shutil.copy(program, directory / f"{name}.program")
        (directory / name).write_text(f'exec /tools/{loader} --library-path /tools /tools/{name}.program "$@"\n')
    (directory / "known").write_text(known)
    only = "BatchMode yes\nStrictHostKeyChecking yes\nUserKnownHostsFile /tools/known\nGlobalKnownHostsFile /dev/null\n"
    (directory / "config").write_text(only)
