"""Koji's own client against the hub of a scene, in this process: for what has to be quick or measured.

The `koji` command of demo.koji_client takes half a second to start.
"""

import sqlite3
import subprocess

import koji
from demo.scene import ADMIN

FREE, OPEN, CLOSED, CANCELED, ASSIGNED, FAILED = range(6)  # koji.TASK_STATES
BUILDING, COMPLETE, DELETED, BUILD_FAILED, BUILD_CANCELED = range(5)  # koji.BUILD_STATES


def login(scene, user=ADMIN):
    """A session of a user, by certificate."""
    ca = str(scene.ca / "ca.crt")
    session = koji.ClientSession(scene.hub_url, {"serverca": ca, "max_retries": 3, "retry_interval": 1, "timeout": 60})
    session.ssl_login(str(scene.ca / f"{user}.pem"), ca, ca)
    return session


def states(session, task):
    """The states of the builds of a task."""
    return sorted(row["state"] for row in session.listBuilds(taskID=task))


def sql(scene, statement):
    """Changes the hub's database, for what no call can do."""
    if scene.koji_src:
        sockets, port = str(scene.hub_dir / "run"), str(scene.port("database"))
        command = ["psql", "-q", "-h", sockets, "-p", port, "-U", "koji", "-v", "ON_ERROR_STOP=1", "koji"]
        subprocess.run(command, input=statement, text=True, check=True, capture_output=True)
        return
    connection = sqlite3.connect(scene.hub_dir / "hub.sqlite", timeout=30)
    with connection:
        connection.execute(statement)
    connection.close()


def expire_sessions(scene, user_id):
    """The sessions of a user are as old as if they had begun two days ago."""
    start = "start_time - interval '2 days'" if scene.koji_src else "start_time - 172800"
    sql(scene, f"UPDATE sessions SET start_time = {start}, renew_time = NULL WHERE user_id = {int(user_id)}")
