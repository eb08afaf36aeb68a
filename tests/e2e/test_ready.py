"""When a builder takes no tasks: as kojid, when its disk is full or its machine busy (koji/daemon.py readyForTask)."""

import pytest
from demo import processes, worker

import hub_proxy
import hub_session
from watch import wait_for


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("fulldisk", ("min_free_mb", 1 << 40), "worker.min_free_mb"),
        ("busyload", ("max_load_per_cpu", 0.000_001), "worker.max_load_per_cpu"),
    ],
)
def test_a_builder_without_room_says_why_and_tells_the_hub_that_it_is_not_ready(scene, name, setting, words):
    admin = hub_session.login(scene)
    hub_proxy.add_host(scene, name, name, new_channel=True)
    settings = (setting, ("poll_seconds", 0.5))
    which = worker.Worker(name, name, settings, hub_proxy.plain_url(scene), hub_proxy.PASSWORD)
    command = [str(worker.binary()), "worker", "--config", str(worker.write_config(scene, which))]
    service = processes.start(scene, name, command)
    try:
        log = scene.logs / f"{name}.log"
        wait_for("words", lambda: "not ready for tasks" in log.read_text() and words in log.read_text(), 30)
        host = admin.getHost(name)["id"]
        wait_for("check-in", lambda: admin.getLastHostUpdate(host, ts=True), 30)
        assert admin.getHost(name)["ready"] is False
        assert log.read_text().count("not ready for tasks") == 1
    finally:
        processes.stop(scene, service)
