"""Runs Koji's own kojid and kojira beside the real hub, to make its repos. Called by `up` after the Koji set-up.

The development hub makes repos itself; a real one leaves that to a builder: kojira turns repo requests into newRepo
tasks, kojid runs them with createrepo_c. Needs (Debian): python3-librepo python3-dnf createrepo-c.
"""

from __future__ import annotations

from . import processes
from .real_hub import interpreter
from .scene import REPO_HOST, Scene, program

# kojid answers for RPM builds too; here its host is in the createrepo channel only (koji_setup.py).
KOJID = """\
[kojid]
server = {hub_url}
topurl = {top_url}
topdir = {kojidir}
workdir = {hub}/kojid-work
mockdir = {hub}/kojid-mock
cert = {ca}/{host}.pem
serverca = {ca}/ca.crt
sleeptime = 1
minspace = 0
maxjobs = 10
retry_interval = 2
"""

KOJIRA = """\
[kojira]
server = {hub_url}
topdir = {kojidir}
logfile = {logs}/kojira-repos.log
cert = {ca}/kojira.pem
serverca = {ca}/ca.crt
sleeptime = 1
check_external_repos = no
"""


def start(scene: Scene) -> None:
    """Start both; they poll every second."""
    values = {
        "hub_url": scene.hub_url,
        "top_url": scene.top_url,
        "kojidir": scene.kojidir,
        "hub": scene.hub_dir,
        "ca": scene.ca,
        "host": REPO_HOST,
        "logs": scene.logs,
    }
    for directory in ("kojid-work", "kojid-mock", "kojid-etc/mock/koji"):
        (scene.hub_dir / directory).mkdir(parents=True, exist_ok=True)
    environment = {"PYTHONPATH": str(scene.koji_src)}
    for name, template in (("kojid", KOJID), ("kojira", KOJIRA)):
        (scene.hub_dir / f"{name}.conf").write_text(template.format(**values))
    # kojid lists /etc/mock/koji at every check-in. It gets one in a mount namespace of its own, so that nothing is
    # written to this machine's /etc.
    private_etc = f'mount -t overlay -o lowerdir="{scene.hub_dir}/kojid-etc":/etc overlay /etc && exec "$0" "$@"'
    processes.start(
        scene,
        "kojid",
        [
            program("unshare"),
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            private_etc,
            *_command(scene, "kojid", "builder/kojid"),
        ],
        environment,
    )
    processes.start(scene, "kojira", _command(scene, "kojira", "util/kojira"), environment)


def _command(scene: Scene, name: str, source: str) -> list[str]:
    return [
        str(interpreter(scene)),
        f"{scene.koji_src}/{source}",
        "-c",
        str(scene.hub_dir / f"{name}.conf"),
        "--fg",
        "--force-lock",
        "--verbose",
    ]
