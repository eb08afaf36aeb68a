"""ADD of URLs and git repositories, from servers of this test: what is fetched, by us and by buildah, and what is not."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from file_server import Files, serving

import cases
import compare
import context
import engines

ARCHIVE = {"tar": "gz", "entries": {"in/file": {"text": "hello", "owner": "21:22", "mode": "0640"}}}


class Redirecting(Files):
    """Files, detours to them, and a circle."""

    def do_GET(self):
        if self.path.startswith("/circle"):
            self.redirect(302, self.path)
        elif self.path.startswith("/away/"):
            self.redirect(301, self.path.removeprefix("/away"))
        else:
            super().do_GET()

    def redirect(self, status, location):
        self.send_response(status)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture(scope="module")
def web(scene):
    """The address of a server with some files and, over the same http, a git repository."""
    root = scene.state / "web"
    root.mkdir()
    context.write(root, {"x.txt": "hello", "a.tar.gz": ARCHIVE})
    work = scene.state / "repository"
    work.mkdir()
    context.write(work, {"docs/read.me": "read me", "tool": {"text": "#!/bin/sh\n", "mode": "0755"}})
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "one")
    git(work, "tag", "-a", "v1", "-m", "one")
    context.write(work, {"late": "late"})
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "two")
    git(scene.state, "clone", "--quiet", "--bare", str(work), str(root / "r.git"))
    # What servers without git of their own need ("dumb http").
    git(root / "r.git", "update-server-info")
    with serving(root, Redirecting) as server:
        yield server.url
    for directory in (root, work):
        shutil.rmtree(directory)


def git(directory, *arguments):
    """Git, away from whoever runs the tests."""
    stamp = f"{context.STAMP} +0000"
    identity = {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
    for who in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{who}_NAME": "packager", f"GIT_{who}_EMAIL": "packager@example.org"}
    clean = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    return subprocess.run(["git", *arguments], cwd=directory, env=clean | identity, check=True, capture_output=True)


def built(scene, text, network="host"):
    """Our outcome for a Dockerfile in an empty context."""
    directory = scene.state / "remote-context"
    directory.mkdir()
    try:
        (directory / "Dockerfile").write_text(text)
        case = cases.Case("remote", text)
        return scene.ours.build(case, directory, scene.state / "ours", network=network)
    finally:
        shutil.rmtree(directory)


def test_a_file_is_added_as_buildah_adds_it(scene, web):
    text = f"FROM scratch\nADD {web}/x.txt /one/\nADD {web}/x.txt?v=1 /two\nADD --chown=7:8 {web}/away/a.tar.gz /three/\n"
    directory = scene.state / "remote-context"
    directory.mkdir()
    try:
        (directory / "Dockerfile").write_text(text)
        theirs = scene.buildah.build(cases.Case("remote", text), directory, scene.state / "theirs")
    finally:
        shutil.rmtree(directory)
    ours = built(scene, text)
    assert ours.built and theirs.built, f"ours:\n{ours.output}\nbuildah:\n{theirs.output}"
    lines = compare.lines(ours.image)
    assert lines["/one/x.txt"] == 'file 0600 0:0 "hello" dated'
    assert lines["/two"] == 'file 0600 0:0 "hello" dated'
    assert lines["/three/a.tar.gz"].startswith("file 0600 7:8 ")
    # BuildKit, too, gives an image without a base the root as its working directory.
    assert compare.differences(lines, compare.lines(theirs.image)) == {"config WorkingDir": ('"/"', "-")}


def test_an_archive_is_unpacked_where_that_is_asked_for(scene, web):
    ours = built(scene, f"FROM scratch\nADD --unpack=true {web}/a.tar.gz /x\n")
    assert compare.lines(ours.image)["/x/in/file"] == 'file 0640 21:22 "hello" dated', ours.output


def test_a_repository_is_added_over_http(scene, web):
    ours = built(scene, f"FROM scratch\nADD {web}/r.git#v1 /r\nADD {web}/r.git?subdir=docs /docs/\n")
    assert ours.built, ours.output
    lines = compare.lines(ours.image)
    assert lines["/r/docs/read.me"] == 'file 0644 0:0 "read me" dated', "the commit's time"
    assert lines["/r/tool"].startswith("file 0755 0:0 ") and lines["/docs/read.me"]
    assert not {"/r/late", "/r/.git", "/docs/tool"} & lines.keys()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ADD {web}/none /x", "cannot fetch http://.*/none: it is not there \\(404\\)"),
        ("ADD {web}/circle /x", "no whole answer: too many redirects"),
        ("ADD {web}/r.git#v2 /x", "has no commit, branch or tag `v2`"),
        ("ADD {web}/none.git /x", "there is no repository http://.*/none.git"),
        (
            "ADD --checksum=sha256:" + "0" * 64 + " {web}/x.txt /x",
            "not what --checksum says: expected sha256:0+, got sha256:2cf2",
        ),
        ("ADD http://127.0.0.1:1/x /x", "no whole answer: .*refused"),
    ],
)
def test_what_goes_wrong_is_said(scene, web, line, message):
    ours = built(scene, f"FROM scratch\n{line.format(web=web)}\n")
    assert not ours.built
    assert re.search(message, ours.output), ours.output


@pytest.mark.parametrize("network", ["none", "gate"])
def test_without_the_network_nothing_is_fetched(scene, web, network):
    for source in (f"{web}/x.txt", f"{web}/r.git"):
        ours = built(scene, f"FROM scratch\nADD {source} /x\n", network)
        assert not ours.built
        assert "is not in the build context, and images are made of what is in dist-git and in Koji" in ours.output
        assert "--network=host" in ours.output, "the hint says how"


@pytest.fixture(scope="module")
def ssh(scene, web):
    """A repository behind a real sshd: its URL, and an agent with the key that opens it."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if not sshd or not shutil.which("ssh-agent"):
        pytest.skip("needs openssh-server and openssh-client")
    directory = Path(tempfile.mkdtemp(prefix="ssh-", dir="/run"))
    try:
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(directory / name)], check=True)
        repository = scene.state / "web/r.git"
        # The key opens this one repository, to be read.
        serve = f'command="git upload-pack {repository}",restrict '
        (directory / "authorized_keys").write_text(serve + (directory / "key.pub").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = [f"HostKey={directory}/host", f"AuthorizedKeysFile={directory}/authorized_keys", f"PidFile={directory}/pid"]
        settings += ["PasswordAuthentication=no", "KbdInteractiveAuthentication=no", "PermitRootLogin=forced-commands-only"]
        settings += ["ListenAddress=127.0.0.1", "StrictModes=no", "UsePAM=no"]
        options = [part for setting in settings for part in ("-o", setting)]
        # Where it keeps the part of it that has no rights.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        daemon = subprocess.Popen(
            [sshd, "-D", "-e", "-f", "/dev/null", "-p", str(port), *options], stderr=subprocess.PIPE, text=True
        )
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(directory / "agent")], stdout=subprocess.PIPE, text=True)
        try:
            told = next(line for line in daemon.stderr if "listening" in line or "fatal" in line or "error" in line)
            assert "listening" in told, told
            # It tells where it is when it listens.
            assert "SSH_AUTH_SOCK" in agent.stdout.readline()
            environment = dict(os.environ, SSH_AUTH_SOCK=str(directory / "agent"))
            subprocess.run(["ssh-add", "-q", str(directory / "key")], env=environment, check=True)
            (directory / "key").unlink()
            known = f"[127.0.0.1]:{port} " + (directory / "host.pub").read_text()
            yield SimpleNamespace(url=f"ssh://root@127.0.0.1:{port}/r.git", agent=directory / "agent", known=known)
        finally:
            for process in (daemon, agent):
                process.terminate()
                process.communicate()
    finally:
        shutil.rmtree(directory)


def built_with_known_host(scene, ssh, text, *flags):
    """As `built`, where ssh knows the server. Git is run without the user's settings, but ssh keeps to the machine's: others
    are shown in their place."""
    directory, settings = scene.state / "remote-context", scene.state / "ssh"
    settings.mkdir()
    directory.mkdir()
    try:
        (settings / "known").write_text(ssh.known)
        (settings / "test.conf").write_text("GlobalKnownHostsFile /etc/ssh/ssh_config.d/known\n")
        (directory / "Dockerfile").write_text(text)
        shown = f'mount --bind {settings} /etc/ssh/ssh_config.d && exec "$@"'
        environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        out = scene.state / "ours"
        command = ["unshare", "--mount", "sh", "-c", shown, "sh", *scene.ours.command(directory, out, "host"), *flags]
        return engines.run(command, environment, out)
    finally:
        shutil.rmtree(directory)
        shutil.rmtree(settings)


def test_a_repository_is_added_over_ssh_with_the_agent_that_is_given(scene, ssh):
    text = f"FROM scratch\nADD {ssh.url}#v1 /r\n"
    ours = built_with_known_host(scene, ssh, text, f"--ssh=default={ssh.agent}")
    assert ours.built, ours.output
    assert compare.lines(ours.image)["/r/docs/read.me"] == 'file 0644 0:0 "read me" dated'
    without = built_with_known_host(scene, ssh, text)
    assert not without.built and "Permission denied (publickey)" in without.output, without.output


def test_a_server_that_ssh_does_not_know_is_not_trusted(scene, ssh):
    unknown = SimpleNamespace(url=ssh.url, agent=ssh.agent, known="")
    ours = built_with_known_host(scene, unknown, f"FROM scratch\nADD {ssh.url} /r\n", f"--ssh=default={ssh.agent}")
    assert not ours.built and "Host key verification failed" in ours.output, ours.output
