"""kojiweb's pages about a container build: what they show, and that every link on them leads somewhere.

The real hub alone has kojiweb. `KOJIWEB_SHOTS=DIR` keeps pictures of the pages, made by a browser (chromium):
docs/KOJIWEB.md shows them.
"""

import html.parser
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from demo import build

import hub_session

SHOTS = os.environ.get("KOJIWEB_SHOTS")
BROWSER = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
]


@pytest.fixture(scope="module")
def built(scene):
    """A build and its parts, as kojiweb will show them."""
    if not scene.koji_src:
        pytest.skip("the development hub has no kojiweb")
    done = build.outcome(scene, build.submit(scene, "webserver"))
    assert done.succeeded, done.fault
    admin = hub_session.login(scene)
    row = admin.getBuild(int(done.result["koji_builds"][0]))
    (archive,) = admin.listArchives(buildID=row["build_id"], type="image")
    return SimpleNamespace(scene=scene, task=done.task_id, build=row, archive=archive, admin=admin)


class Page(html.parser.HTMLParser):
    """A page: its text and its links."""

    def __init__(self, url):
        super().__init__()
        self.url, self.links, self.words = url, {}, []
        self._link = None
        with urllib.request.urlopen(url, timeout=60) as answer:
            self.feed(answer.read().decode())
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        if tag == "a":
            self._link = dict(attributes).get("href")
            if self._link:
                self.links.setdefault(urllib.parse.urljoin(self.url, self._link), "")

    def handle_data(self, data):
        self.words.append(data)
        if self._link:
            self.links[urllib.parse.urljoin(self.url, self._link)] += data.strip()

    def handle_endtag(self, tag):
        if tag == "a":
            self._link = None

    def broken(self):
        """Links that lead nowhere; those to log in are no part of a page."""
        found = []
        for link in self.links:
            if urllib.parse.urlsplit(link).hostname != "localhost" or "/login" in link or "#" in link:
                continue
            try:
                with urllib.request.urlopen(link, timeout=60) as answer:
                    if b"Traceback" in answer.read():
                        found.append((link, "an error page"))
            except urllib.error.HTTPError as error:
                found.append((link, error.code))
        return found


def page(built, name, query, height=900):
    """Reads a page, and keeps a picture of it where they are wanted."""
    url = f"{built.scene.web_url}/{name}?{query}"
    if SHOTS:
        picture = Path(SHOTS).resolve() / f"kojiweb-{name}.png"
        with tempfile.TemporaryDirectory() as profile:
            browser = shutil.which("chromium") or "chromium-browser"
            command = [browser, *BROWSER, f"--user-data-dir={profile}", f"--window-size=1000,{height}"]
            command += [f"--screenshot={picture}", url]
            subprocess.run(command, check=True, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
    return Page(url)


def to(shown, name, **query):
    """The link of a page to another one of kojiweb."""
    for link in shown.links:
        parts = urllib.parse.urlsplit(link)
        given = {key: value[0] for key, value in urllib.parse.parse_qs(parts.query).items()}
        if parts.path.endswith(f"/{name}") and query.items() <= given.items():
            return link
    raise AssertionError(f"no link to {name} {query} on {shown.url}: {sorted(shown.links)}")


def test_the_task_page_names_the_build_and_shows_the_logs(built):
    shown = page(built, "taskinfo", f"taskID={built.task}", 1000)
    assert "buildContainer" in shown.text and "packager" in shown.text
    assert shown.links[to(shown, "buildinfo", buildID=str(built.build["build_id"]))] == built.build["nvr"]
    for log in ("build.log", f"{os.uname().machine}.log"):
        assert any(log in label for label in shown.links.values()), f"{log} is not linked"
    assert "f40-container-candidate" in shown.text
    assert shown.broken() == []


def test_the_build_page_links_the_task_the_image_and_the_logs(built):
    shown = page(built, "buildinfo", f"buildID={built.build['build_id']}", 1500)
    to(shown, "taskinfo", taskID=str(built.task))
    to(shown, "archiveinfo", archiveID=str(built.archive["id"]))
    assert built.build["source"] in shown.text
    assert any(link.endswith(built.archive["filename"]) for link in shown.links), "the image cannot be downloaded"
    assert any(link.endswith("/build.log") for link in shown.links)
    assert "demo-base" in shown.text, "the parent is not named"
    assert shown.broken() == []


def test_the_archive_page_shows_the_image_and_its_rpms(built):
    shown = page(built, "archiveinfo", f"archiveID={built.archive['id']}", 1100)
    assert built.archive["filename"] in shown.text and "sha256" in shown.text
    to(shown, "buildinfo", buildID=str(built.build["build_id"]))
    listed = to(shown, "rpmlist", imageID=str(built.archive["id"]))
    assert shown.broken() == []
    rpms = page(built, "rpmlist", urllib.parse.urlsplit(listed).query, 900)
    components = built.admin.listRPMs(imageID=built.archive["id"])
    first = sorted(rpm["nvr"] for rpm in components)[0]
    assert any(first in label for label in rpms.links.values()), rpms.text[:500]
    assert len(components) > 50 and rpms.broken() == []


def test_the_page_of_an_rpm_leads_to_its_build(built):
    bash = next(rpm for rpm in built.admin.listRPMs(imageID=built.archive["id"]) if rpm["name"] == "bash")
    shown = Page(f"{built.scene.web_url}/rpminfo?rpmID={bash['id']}")
    to(shown, "buildinfo", buildID=str(bash["build_id"]))
    assert shown.broken() == []
