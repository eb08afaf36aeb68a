"""How often gate and proof ask the hub: about all RPMs of an image at once, and at the gate, where a RUN asks for one
file after another, about up to two hundred of them at once.

A proxy between worker and hub counts requests. A multicall is one request, whatever is in it. Every RPM of the scene is
a Koji build of its own, and the site has rules about keys and tags, so there is most to ask.
"""

import collections

import pytest
from demo import build, dist_git, processes, worker
from demo.scene import PACKAGER, TARGET

import hub_proxy
import hub_session
from hub_session import CLOSED, FAILED
from watch import wait_for

CHANNEL = "counted"
BASE = "registry.example.com/f40/base:40"
# What gate, proof and report ask about RPMs and the builds they are of.
ABOUT_RPMS = {"getRPM", "getRPMHeaders", "getBuild", "queryRPMSigs", "listTags", "getFullInheritance"}
# Two requests each time a RUN asks for nothing for a while: after 0.25 s, 0.5 s and so on, so seldom.
AT_INTERVALS = 6
FEW = "dnf -y install hello"
MANY = "dnf -y --installroot=/new --releasever=40 install dnf nginx-light jq"


class Counted:
    """Requests of one build."""

    def __init__(self, timeline):
        about = [methods for _, _, methods in timeline if ABOUT_RPMS & set(methods)]
        self.requests = len(about)
        self.calls = collections.Counter(method for methods in about for method in methods if method in ABOUT_RPMS)


@pytest.fixture(scope="module")
def counted(scene, tmp_path_factory):
    """Builds FROM the base image with a RUN in a stage before it, by a worker of its own behind the proxy."""
    hub_proxy.add_host(scene, CHANNEL, CHANNEL, new_channel=True)
    admin, packager = hub_session.login(scene), hub_session.login(scene, PACKAGER)

    def run(proxy, name, command):
        directory = tmp_path_factory.mktemp(name)
        (directory / "Dockerfile").write_text(
            f"FROM {BASE} AS tools\nRUN {command} && echo {name} > /made\nFROM {BASE}\n"
            f'LABEL com.redhat.component="webserver" name="f40/{name}" version="{name}"\n'
            "COPY --from=tools /made /made\n"
        )
        dist_git.create(scene, name, directory)
        url = scene.scm_url(name, dist_git.commit(scene, name))
        proxy.reset()
        task = packager.buildContainer(url, TARGET, {"git_branch": dist_git.BRANCH}, channel=CHANNEL)
        wait_for("end", lambda: admin.getTaskInfo(task)["state"] in (CLOSED, FAILED), 300)
        assert build.outcome(scene, task).succeeded, build.outcome(scene, task).fault
        return Counted(list(proxy.timeline))

    with hub_proxy.HubProxy(hub_proxy.plain_url(scene)) as proxy:
        which = worker.Worker(CHANNEL, CHANNEL, (("poll_seconds", 1),), proxy.url, hub_proxy.PASSWORD)
        service = worker.start(scene, which)
        try:
            yield lambda name, command: run(proxy, name, command)
        finally:
            processes.stop(scene, service)


def test_the_proof_asks_about_all_rpms_at_once_and_the_gate_about_two_hundred(counted):
    one = counted("countone", FEW)
    assert one.calls["getRPMHeaders"] > 100, "the base image is large"
    assert one.requests <= 20, (one.requests, one.calls)
    for name in ("countcold", "countwarm"):
        many = counted(name, MANY)
        released = many.calls["queryRPMSigs"] - one.calls["queryRPMSigs"]
        assert released > 100, (one.calls, many.calls)
        assert many.requests <= one.requests + AT_INTERVALS + 2 * released / 100, (
            one.requests,
            many.requests,
            many.calls,
        )
