"""The two hubs the suite runs on, with what a test cannot do through the API: time travel and passwords."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import koji
import requests

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "koji-plugin" / "hub"
USERS = ("localhost", "kojiadmin", "packager", "other", "stranger")
# Who may build what, asked by the plugin. It concerns one user, so that other tests are not touched by it.
CONTAINER_BUILD = (
    "user other :: {",
    "    container_namespace secret* :: deny the secret namespace is not built here",
    "    container_option koji_parent_build :: deny parents are not replaced here",
    "    container_repo_url_hosts *.example.org !! deny repositories come from example.org",
    "    match tag *locked-down* :: deny only administrators build for it",
    "}",
    "all :: allow",
)
# Short ones, so that an unanswered call fails the test and not the patience of who runs it.
CLIENT = {"max_retries": 1, "retry_interval": 1, "anon_retry": False, "timeout": 60}


def up_program():
    """The program that starts a real hub."""
    return Path(os.environ.get("REAL_HUB_UP") or REPOSITORY.parent / "shared" / "tools" / "real-hub" / "up")


def why_no_real_hub():
    """None when the real hub can be tested, else the reason why not."""
    if not os.environ.get("KOJI_SRC"):
        return "KOJI_SRC is not set"
    if not up_program().is_file():
        return f"{up_program()} does not exist (REAL_HUB_UP)"
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class HubUnderTest:
    """Common to both: where it is, and sessions on it."""

    def __init__(self, directory):
        self.directory = directory
        self.url = self.plain_url = self.topurl = None
        self.ca = directory / "ca" / "ca.crt"

    def certificate(self, user):
        return self.ca.parent / f"{user}.pem"

    def anonymous(self):
        """A session without login (over plain HTTP)."""
        return koji.ClientSession(self.plain_url, dict(CLIENT))

    def login(self, user):
        """A session logged in by client certificate."""
        session = koji.ClientSession(self.url, {**CLIENT, "serverca": str(self.ca)})
        session.ssl_login(str(self.certificate(user)), str(self.ca), str(self.ca))
        return session

    def login_password(self, user, password):
        """A session logged in by password."""
        session = koji.ClientSession(self.plain_url, {**CLIENT, "user": user, "password": password})
        session.login()
        return session

    def koji_conf(self, user, directory):
        """A configuration file of the stock `koji` command with the project's CLI plugin."""
        path = directory / f"{user}.conf"
        path.write_text(
            f"[koji]\nserver = {self.url}\nweburl = http://web.example/koji\ntopurl = {self.topurl}\nauthtype = ssl\n"
            f"cert = {self.certificate(user)}\nserverca = {self.ca}\npoll_interval = 1\n"
            f"plugin_paths = {REPOSITORY / 'koji-plugin' / 'cli'}\n"
        )
        return path


class DevelopmentHub(HubUnderTest):
    """`python -m devhub` in a process of its own."""

    name = "devhub"

    def start(self):
        self._make_certificates()
        command = [
            sys.executable,
            "-m",
            "devhub",
            "--state-dir",
            self.state,
            "--server-cert",
            self.certificate("localhost"),
            "--client-ca",
            self.ca,
            "--plugin",
            "containerbuild",
            "--plugin-path",
            PLUGINS,
            "--user",
            "kojiadmin::admin",
            "--policy",
            "container_build=" + "\n".join(CONTAINER_BUILD),
        ]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "python"), "CONTAINERBUILD_HUB_CONF": os.devnull}
        self.log = open(self.directory / "hub.log", "w")  # noqa: SIM115 (closed in stop)
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, env=environment
        )
        ready = wait_for(self._ready, "the development hub to start", lambda: (self.directory / "hub.log").read_text())
        self.url = f"https://localhost:{ready['https']}/kojihub"
        self.plain_url = f"http://localhost:{ready['http']}/kojihub"
        self.topurl = f"http://localhost:{ready['http']}/kojifiles"

    @property
    def state(self):
        return self.directory / "state"

    def _ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("the development hub ended: " + (self.directory / "hub.log").read_text())
        path = self.state / "ready.json"
        return json.loads(path.read_text()) if path.exists() else None

    def stop(self):
        if hasattr(self, "process"):
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
            self.log.close()

    def _make_certificates(self):
        directory = self.ca.parent
        directory.mkdir()

        def openssl(*args):
            subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)

        key = ("-newkey", "rsa:2048", "-nodes")
        openssl("req", "-x509", *key, "-days", "30", "-subj", "/O=test/CN=ca", "-keyout", "ca.key", "-out", "ca.crt")
        for user in USERS:
            openssl("req", *key, "-subj", f"/O=test/CN={user}", "-keyout", f"{user}.key", "-out", f"{user}.csr")
            (directory / f"{user}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            openssl(
                "x509",
                "-req",
                "-in",
                f"{user}.csr",
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "30",
                "-extfile",
                f"{user}.ext",
                "-out",
                f"{user}.crt",
            )
            (directory / f"{user}.pem").write_text(
                (directory / f"{user}.crt").read_text() + (directory / f"{user}.key").read_text()
            )

    def _sql(self, statement, *values):
        connection = sqlite3.connect(self.state / "hub.sqlite", timeout=30)
        with connection:
            connection.execute(statement, values)
        connection.close()

    def set_password(self, user, password):
        from devhub.users import hashed

        self._sql("UPDATE users SET password = ? WHERE name = ?", hashed(password), user)

    def expire_session(self, session_id):
        self._sql("UPDATE sessions SET start_time = start_time - 200000, renew_time = NULL WHERE id = ?", session_id)

    def silence_host(self, host, seconds):
        self._sql("UPDATE host SET update_time = ? WHERE name = ?", time.time() - seconds, host)


class RealHub(HubUnderTest):
    """Apache, mod_wsgi, PostgreSQL and Koji's own kojihub, started by the program of REAL_HUB_UP."""

    name = "real"

    def __init__(self, directory):
        # Apache's user must be able to read it, so it cannot be in pytest's own directory.
        self.outside = Path(tempfile.mkdtemp(prefix="containerbuild-contract-"))
        self.outside.chmod(0o755)
        super().__init__(self.outside / "hub")

    def start(self):
        shutil.copytree(PLUGINS, self.outside / "plugins")
        ports = {"PORT": str(free_port()), "SSLPORT": str(free_port()), "DBPORT": str(free_port())}
        self.environment = {
            **os.environ,
            **ports,
            "HUB": str(self.directory),
            "PLUGINS": "containerbuild",
            "PLUGINPATH": str(self.outside / "plugins"),
            "CERTS": " ".join(USERS),
            "EXTRA_PY": str(self._wheel()),
            "HUB_OPTIONS": "RunInterval = 0",
            "HUB_POLICY": "container_build =\n" + "".join(f"    {rule}\n" for rule in CONTAINER_BUILD),
        }
        subprocess.run([up_program()], env=self.environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.url = f"https://localhost:{ports['SSLPORT']}/kojihub"
        self.plain_url = f"http://localhost:{ports['PORT']}/kojihub"
        self.topurl = f"http://localhost:{ports['PORT']}/kojifiles"
        wait_for(self._answers, "the real hub to answer", lambda: (self.directory / "logs" / "error.log").read_text())

    def _answers(self):
        try:
            return requests.get(self.plain_url, timeout=10).status_code == 405
        except requests.ConnectionError:
            return False

    def _wheel(self):
        given = os.environ.get("CONTAINERBUILD_WHEEL")
        if given:
            return Path(given)
        out = self.outside / "wheel"
        manifest = REPOSITORY / "python" / "Cargo.toml"
        command = [sys.executable, "-m", "maturin", "build", "--quiet", "-m", manifest, "--out", out]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, env={**os.environ, "PYO3_PYTHON": "/usr/bin/python3"})
        return next(out.glob("*.whl"))

    def stop(self):
        if hasattr(self, "environment"):
            subprocess.run([up_program().with_name("down")], env=self.environment, check=False, stdin=subprocess.DEVNULL)
        shutil.rmtree(self.outside, ignore_errors=True)

    def _sql(self, statement, **values):
        variables = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
        command = ["psql", "-q", "-h", "/tmp", "-p", self.environment["DBPORT"], "-U", "koji", "koji", "-v", "ON_ERROR_STOP=1"]
        subprocess.run([*command, *variables], input=statement, text=True, check=True, capture_output=True)

    def set_password(self, user, password):
        self._sql("UPDATE users SET password = :'password' WHERE name = :'name'", name=user, password=password)

    def expire_session(self, session_id):
        self._sql(
            "UPDATE sessions SET start_time = start_time - interval '200000 seconds', renew_time = NULL WHERE id = :id",
            id=session_id,
        )

    def silence_host(self, host, seconds):
        statement = "UPDATE host SET update_time = NOW() - :'age'::interval WHERE name = :'name'"
        self._sql(statement, name=host, age=f"{seconds} seconds")


def wait_for(condition, what, explain=lambda: "", seconds=60):
    """What `condition` gives once it gives something true; fails with an explanation after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}\n{explain()}")
        time.sleep(0.05)
    return found
