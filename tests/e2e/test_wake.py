"""A worker that the hub plugin tells of tasks (`wake`) starts them at once, however seldom it asks."""

import statistics
import time

from demo import dist_git, processes, worker
from demo.scene import PACKAGER, REGISTRY_NAME, TARGET

import hub_proxy
import hub_session
from hub_session import CLOSED
from watch import wait_for

HOST = CHANNEL = "woken"


def test_a_task_is_opened_within_a_second_by_an_idle_worker_that_is_told(scene, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        f"FROM {REGISTRY_NAME}/f40/base:40\n"
        'LABEL com.redhat.component="webserver" name="f40/woken" version="woken"\nRUN true\n'
    )
    dist_git.create(scene, HOST, tmp_path)
    url = scene.scm_url(HOST, dist_git.commit(scene, HOST))
    admin, packager = hub_session.login(scene), hub_session.login(scene, PACKAGER)
    with hub_proxy.HubProxy(hub_proxy.plain_url(scene)) as proxy:
        hub_proxy.add_host(scene, HOST, CHANNEL, new_channel=True)
        settings = (("poll_seconds", 60), ("busy_poll_seconds", 60), ("wake", f"127.0.0.1:{scene.port('wake')}"))
        service = worker.start(scene, worker.Worker(HOST, HOST, settings, proxy.url, hub_proxy.PASSWORD))
        took = []
        for _ in range(5):
            time.sleep(2.5)  # until nothing is expected any more
            proxy.reset()
            time.sleep(1)
            assert not proxy.calls["host.getTasks"], "it asks without having been told"
            options = {"git_branch": dist_git.BRANCH, "scratch": True}
            task = packager.buildContainer(url, TARGET, options, channel=CHANNEL)
            wait_for("end", lambda task=task: admin.getTaskInfo(task)["state"] == CLOSED, 90)
            row = admin.getTaskInfo(task)
            took.append(row["start_ts"] - row["create_ts"])
        processes.stop(scene, service)
    print("from making to opening:", " ".join(f"{seconds:.2f}" for seconds in took))
    # Of a real hub the scheduler decides as well: it runs once a second here.
    assert statistics.mean(took) < 1.0 and max(took) < 2.0
