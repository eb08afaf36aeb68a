"""What an SSH agent is for: ADD of a repository over ssh, and `RUN --mount=type=ssh`. Server, agents and keys are real, and
nothing of them comes into an image or decides what the instruction cache takes."""

import os
import shutil
from dataclasses import replace

import pytest

import compare
import context
import engines
import image
import repository
import sshd


@pytest.fixture(scope="module")
def ssh(scene):
    """A repository behind sshd."""
    if not sshd.SSHD or not sshd.PROGRAMS:
        pytest.skip("needs openssh-server and openssh-client")
    work, bare = scene.state / "ssh-repository", scene.state / "ssh-repository.git"
    repository.make(work, bare)
    try:
        with sshd.running(bare) as server:
            yield server
    finally:
        for directory in (work, bare):
            shutil.rmtree(directory)


@pytest.fixture
def directory(scene):
    """A context."""
    made = scene.state / "ssh-context"
    made.mkdir()
    yield made
    shutil.rmtree(made)


def without_agent():
    """The environment of a build that only has the agents it is given."""
    return {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}


def built_with_known_host(scene, ssh, directory, text, *flags):
    """Our outcome where ssh knows the server. Git is run without the user's settings, but ssh keeps to the machine's: others
    are shown in their place."""
    settings = scene.state / "ssh"
    settings.mkdir()
    try:
        (settings / "known").write_text(ssh.known)
        (settings / "test.conf").write_text("GlobalKnownHostsFile /etc/ssh/ssh_config.d/known\n")
        (directory / "Dockerfile").write_text(text)
        shown = f'mount --bind {settings} /etc/ssh/ssh_config.d && exec "$@"'
        out = scene.state / "ours"
        command = ["unshare", "--mount", "sh", "-c", shown, "sh", *scene.ours.command(directory, out, "host"), *flags]
        return engines.run(command, without_agent(), out)
    finally:
        shutil.rmtree(settings)


def test_a_repository_is_added_over_ssh_with_the_agent_that_is_given(scene, ssh, directory):
    text = f"FROM scratch\nADD {ssh.url}#v1 /r\n"
    ours = built_with_known_host(scene, ssh, directory, text, f"--ssh=default={ssh.agent}")
    assert ours.built, ours.output
    assert compare.lines(ours.image)["/r/docs/read.me"] == 'file 0644 0:0 "read me" dated'
    without = built_with_known_host(scene, ssh, directory, text)
    assert not without.built and "Permission denied (publickey)" in without.output, without.output


def test_a_server_that_ssh_does_not_know_is_not_trusted(scene, ssh, directory):
    unknown = replace(ssh, known="")
    text = f"FROM scratch\nADD {ssh.url} /r\n"
    ours = built_with_known_host(scene, unknown, directory, text, f"--ssh=default={ssh.agent}")
    assert not ours.built and "Host key verification failed" in ours.output, ours.output


# Git's server lists the branches, and leaves at a flush packet.
STEPS = """\
FROM localhost/base:1
RUN --mount=type=ssh,required --mount=type=bind,source=tools,target=/tools sh /tools/ssh-add -L
RUN --mount=type=ssh,id=default --mount=type=bind,source=tools,target=/tools \\
    printf 0000 | sh /tools/ssh -F /tools/config -p {port} root@127.0.0.1 > /listed
RUN --mount=type=bind,source=tools,target=/tools test -z "$SSH_AUTH_SOCK" && ! test -e /run/buildkit && \\
    if sh /tools/ssh -F /tools/config -p {port} root@127.0.0.1 2> /refused; then exit 1; fi
"""


def built_with_tools(scene, ssh, directory, agent, *flags):
    """Our outcome of STEPS, by default with the instruction cache, in a store of its own."""
    if not (directory / "tools").exists():
        sshd.tools(directory / "tools", ssh.known)
        (directory / "Dockerfile").write_text(STEPS.format(port=ssh.port))
    out = scene.state / "ours"
    command = [part for part in scene.ours.command(directory, out, "host") if part != "--no-cache"]
    command[command.index("--store") + 1] = scene.state / "ssh-store"
    # The date of an image is an input like others.
    environment = without_agent() | {"SOURCE_DATE_EPOCH": str(context.STAMP)}
    return engines.run([*command, f"--ssh=default={agent}", *flags], environment, out)


def test_a_run_logs_in_with_the_agent_it_is_given(scene, ssh, directory):
    try:
        ours = built_with_tools(scene, ssh, directory, ssh.agent)
        assert ours.built, ours.output
        # What a program prints is in the log: the key that is looked for below would be found.
        assert ssh.public_key in ours.output, ours.output
        main = repository.git(scene.state / "ssh-repository", "rev-parse", "main")
        assert f"{main} refs/heads/main".encode() in ours.image.tree["listed"].content
        assert b"Permission denied (publickey)" in ours.image.tree["refused"].content, "the next RUN has no agent"
        assert not leaks(scene.state / "ours", ssh.secrets) and not leaks(scene.state / "ssh-store", ssh.secrets)

        # Another agent, with other keys or none, is no reason to do it again; and it is that agent where it is done again.
        with sshd.agent(ssh.agent.with_name("empty")) as empty:
            again = built_with_tools(scene, ssh, directory, empty)
            assert again.built and again.output.count("  cached, ") == 3, again.output
            assert again.image.document == ours.image.document
            anew = built_with_tools(scene, ssh, directory, empty, "--no-cache")
            assert not anew.built and "The agent has no identities" in anew.output, anew.output
    finally:
        shutil.rmtree(scene.state / "ssh-store")


def leaks(directory, secrets):
    """The files below a directory, layers without their compression, that hold one of these."""
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files, f"nothing is below {directory}"
    return [path for path in files if any(secret in image.plain(path.read_bytes()) for secret in secrets)]


def test_a_leak_would_be_seen(scene, ssh, directory):
    sshd.tools(directory / "tools", ssh.known)
    line = "RUN --mount=type=ssh --mount=type=bind,source=tools,target=/tools sh /tools/ssh-add -L > /kept"
    (directory / "Dockerfile").write_text(f"FROM localhost/base:1\n{line}\n")
    out = scene.state / "ours"
    command = [*scene.ours.command(directory, out, "host"), f"--ssh=default={ssh.agent}"]
    assert engines.run(command, without_agent(), out).built
    assert len(leaks(out, ssh.secrets)) == 1


def test_a_key_in_place_of_an_agent_is_told_apart(scene, ssh, directory):
    key = directory / "id_ed25519"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    ours = built_with_tools(scene, ssh, directory, key)
    assert not ours.built and f"{key}: it is no socket of an agent" in ours.output and "ssh-add" in ours.output, ours.output


def test_an_agent_that_does_not_answer_is_told(scene, ssh, directory):
    gone = ssh.agent.with_name("gone")
    ours = built_with_tools(scene, ssh, directory, gone)
    assert not ours.built and str(gone) in ours.output, ours.output
