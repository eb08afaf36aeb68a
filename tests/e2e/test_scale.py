"""A few workers and more tasks: scale.py in small. At any size all tasks end, none is done twice, none is lost."""

import scale

# kojid: listBuildroots, host.getHostTasks, host.getHost, host.updateHost and host.getTasks every 15 s.
KOJID_AN_HOUR = 1200


def test_every_task_ends_once_and_an_idle_worker_asks_no_more_than_kojid(scene):
    found = scale.play(scene, 3, 9, idle_seconds=60, patience=600)
    assert scale.problems(found) == []
    assert len(found.hosts) > 1, "one host did everything"
    idle = sum(n for method, n in found.idle_calls.items() if method != "multiCall") * 3600 / found.idle_seconds / 3
    assert idle <= KOJID_AN_HOUR, found.report()
    print(found.report())
