"""ADD of URLs and git repositories, from servers of this test: what is fetched, by us and by buildah, and what is not."""

import base64
import re
import shutil

import pytest
from file_server import Files, serving

import cases
import compare
import context
import repository

ARCHIVE = {"tar": "gz", "entries": {"in/file": {"text": "hello", "owner": "21:22", "mode": "0640"}}}


TOKEN = "hunter2-hunter2"
BEARER = f"Bearer {TOKEN}"
BASIC = "basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


class Handler(Files):
    """Files, detours to them, a circle, and files for whoever shows that they may; remembers who was shown what."""

    shown = []  # noqa: RUF012 - one server, one list

    def do_GET(self):
        authorization = self.headers.get("Authorization")
        self.shown.append((self.headers["Host"].partition(":")[0], self.path, authorization))
        if self.path.startswith("/private/"):
            if authorization not in (BEARER, BASIC):
                self.send_error(401)
                return
            self.path = self.path.removeprefix("/private")
        if self.path.startswith("/circle"):
            self.redirect(302, self.path)
        elif self.path.startswith("/away/"):
            self.redirect(301, self.path.removeprefix("/away"))
        elif self.path.startswith("/elsewhere/"):
            # The same server by another name is another host.
            self.redirect(302, f"http://localhost:{self.server.server_port}{self.path.removeprefix('/elsewhere')}")
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
    repository.make(scene.state / "repository", root / "r.git")
    with serving(root, Handler) as server:
        yield server.url
    for directory in (root, scene.state / "repository"):
        shutil.rmtree(directory)


def built(scene, text, network="host", *flags):
    """Our outcome for a Dockerfile in an empty context."""
    directory = scene.state / "remote-context"
    directory.mkdir()
    try:
        (directory / "Dockerfile").write_text(text)
        case = cases.Case("remote", text)
        return scene.ours.build(case, directory, scene.state / "ours", *flags, network=network)
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


@pytest.mark.parametrize(
    ("secret", "source", "path"),
    [
        ("HTTP_AUTH_TOKEN_127.0.0.1", "x.txt", "/r/x.txt"),
        ("HTTP_AUTH_HEADER_127.0.0.1", "x.txt", "/r/x.txt"),
        ("GIT_AUTH_TOKEN", "r.git", "/r/late"),
        ("GIT_AUTH_HEADER.127.0.0.1:{port}", "r.git", "/r/late"),
    ],
)
def test_a_secret_opens_what_is_not_for_everybody(scene, web, secret, source, path):
    given = scene.state / "given"
    given.write_text(f"{TOKEN if 'TOKEN' in secret else BEARER}\n")
    secret = secret.format(port=web.rpartition(":")[2])
    text = f"FROM scratch\nADD {web}/private/{source} /r/\n"
    Handler.shown.clear()
    ours = built(scene, text, "host", f"--secret=id={secret},src={given}")
    assert ours.built and path in compare.lines(ours.image), ours.output
    assert any(authorization for *_, authorization in Handler.shown)
    assert TOKEN not in ours.output and TOKEN not in str(ours.image.document)
    without = built(scene, text, "host", f"--secret=id={secret}.example,src={given}")
    assert not without.built and TOKEN not in without.output, without.output
    if source == "x.txt":
        assert "the server answers 401" in without.output and "--secret id=HTTP_AUTH_TOKEN_HOST" in without.output


@pytest.mark.parametrize(
    ("secret", "source", "value", "follows"),
    [("HTTP_AUTH_TOKEN_127.0.0.1", "x.txt", BEARER, True), ("GIT_AUTH_TOKEN", "r.git", BASIC, False)],
)
def test_a_secret_goes_to_no_other_host(scene, web, secret, source, value, follows):
    given = scene.state / "given"
    given.write_text(TOKEN)
    Handler.shown.clear()
    ours = built(scene, f"FROM scratch\nADD {web}/elsewhere/{source} /r\n", "host", f"--secret=id={secret},src={given}")
    # Git would show it to wherever it is led, and so is not led anywhere.
    assert ours.built == follows, ours.output
    shown = {(host, authorization) for host, _, authorization in Handler.shown}
    assert shown == {("127.0.0.1", value)} | ({("localhost", None)} if follows else set())
    # Without credentials it is followed.
    assert built(scene, f"FROM scratch\nADD {web}/elsewhere/{source} /r\n").built


@pytest.mark.parametrize("network", ["none", "gate"])
def test_without_the_network_nothing_is_fetched(scene, web, network):
    for source in (f"{web}/x.txt", f"{web}/r.git", "ssh://git@127.0.0.1/r", "git+ssh://127.0.0.1/r", "git@127.0.0.1:r.git"):
        ours = built(scene, f"FROM scratch\nADD {source} /x\n", network)
        assert not ours.built
        reason = "is not in the build context, and images are made of what is in dist-git and in Koji"
        assert f"`{source}` {reason}" in ours.output, ours.output
        assert "--network=host" in ours.output, "the hint says how"
