"""Workers that log in by Kerberos: real tickets of a real KDC, checked by httpd's mod_auth_gssapi before the hub."""

import os
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from demo import build, dist_git, processes, worker
from demo.koji_client import call, koji
from demo.scene import CONTENT_GENERATOR, REGISTRY_NAME

import hub_session
import kerberos_realm
from kerberos_realm import REALM
from watch import wait_for

CHANNEL = "kerberos"

pytestmark = pytest.mark.skipif(kerberos_realm.why_not() is not None, reason=str(kerberos_realm.why_not()))


@pytest.fixture(scope="module")
def site(scene):
    """A realm, an httpd before the hub, and builder hosts with principals."""
    # Not pytest's directory: httpd's user must be able to enter it.
    with tempfile.TemporaryDirectory(prefix="containerbuild-kerberos-") as directory:
        where = Path(directory)
        where.chmod(0o755)
        (where / "httpd").mkdir(mode=0o777)
        (where / "httpd").chmod(0o1777)
        with kerberos_realm.Realm(scene, where) as realm, kerberos_realm.httpd(realm, where / "httpd") as url:
            koji(scene, "add-channel", CHANNEL)
            yield SimpleNamespace(scene=scene, realm=realm, url=url, where=where)


def add_host(site, name, *options):
    """A builder host that is known by its principal; its keytab."""
    scene, principal = site.scene, f"compile/{name}"
    keytab = site.realm.keytab(principal, *options)
    koji(scene, "add-host", "--krb-principal", f"{principal}@{REALM}", name, os.uname().machine)
    koji(scene, "add-host-to-channel", name, CHANNEL)
    koji(scene, "remove-host-from-channel", name, "default")
    koji(scene, "edit-host", "--capacity", "8", name)
    koji(scene, "grant-cg-access", name, CONTENT_GENERATOR)
    return keytab


def start(site, monkeypatch, name, login, **environment):
    """A worker that logs in this way; returns when the hub has seen it."""
    for key, value in {**site.realm.environment, **environment}.items():
        monkeypatch.setenv(key, str(value))
    which = worker.Worker(name, name, (("max_jobs", 1), ("poll_seconds", 0.5)), site.url, login=login)
    return worker.start(site.scene, which)


def session_types(site, name):
    """How the open sessions of a host's user were made (koji.AUTHTYPES: 3 is GSSAPI)."""
    user = call(site.scene, "getHost", name)["user_id"]
    return {row["authtype"] for row in call(site.scene, "getSessionInfo", True, user)}


def test_a_worker_with_a_keytab_logs_in_builds_and_renews_its_session(site, monkeypatch, tmp_path):
    keytab = add_host(site, "kerb0")
    login = f'keytab = "{keytab}"\nprincipal = "compile/kerb0@{REALM}"'
    service = start(site, monkeypatch, "kerb0", login)
    try:
        assert session_types(site, "kerb0") == {3}
        log = site.scene.logs / "kerb0.log"
        user = call(site.scene, "getHost", "kerb0")["user_id"]
        hub_session.expire_sessions(site.scene, user)
        wait_for("renewal", lambda: "has expired; renewing it" in log.read_text())
        (tmp_path / "Dockerfile").write_text(
            f"FROM {REGISTRY_NAME}/f40/base:40\n"
            'LABEL com.redhat.component="webserver" name="f40/kerberos" version="kerberos"\nRUN true\n'
        )
        dist_git.create(site.scene, "kerberos", tmp_path)
        done = build.outcome(site.scene, build.submit(site.scene, "kerberos", "--channel-override", CHANNEL))
        assert done.succeeded, done.fault
        # Tickets are kept in memory: nothing is written that another program could use.
        assert not list(site.where.glob("krb5cc*")) and not Path(f"/tmp/krb5cc_{os.getuid()}").exists()
    finally:
        processes.stop(site.scene, service)


def test_a_worker_with_a_credential_cache_that_somebody_else_fills_logs_in(site, monkeypatch):
    keytab = add_host(site, "kerb1")
    cache = site.where / "cache"
    site.realm.run("kinit", "-k", "-t", str(keytab), "-c", f"FILE:{cache}", f"compile/kerb1@{REALM}")
    service = start(site, monkeypatch, "kerb1", f'ccache = "{cache}"')
    try:
        assert session_types(site, "kerb1") == {3}
    finally:
        processes.stop(site.scene, service)


@pytest.mark.parametrize(
    ("case", "reason"),
    [("expired", "client's entry in database has expired"), ("stranger", "not found in Kerberos database")],
)
def test_a_login_that_kerberos_refuses_is_told_in_its_words_with_what_to_do(site, monkeypatch, case, reason):
    keytab = site.realm.keytab(f"compile/{case}", *(("-expire", "yesterday") if case == "expired" else ()))
    if case == "stranger":
        site.realm.run("kadmin.local", "-r", REALM, "delprinc", "-force", f"compile/{case}@{REALM}")
    text = refused(site, monkeypatch, f'keytab = "{keytab}"\nprincipal = "compile/{case}@{REALM}"')
    assert "by Kerberos" in text and "hint: try it by hand" in text
    assert reason in text.replace("Client's", "client's"), text


def test_a_hub_that_does_not_take_the_ticket_is_told_apart_from_a_kdc_that_gives_none(site, monkeypatch):
    keytab = site.realm.keytab("compile/unwanted")
    site.realm.run("kadmin.local", "-r", REALM, "cpw", "-randkey", f"HTTP/localhost@{REALM}")
    try:
        text = refused(site, monkeypatch, f'keytab = "{keytab}"\nprincipal = "compile/unwanted@{REALM}"')
        assert "HTTP status 401" in text, text
    finally:
        # The new key goes beside the old one, so that the tests after this one have a hub again.
        http = site.where / "HTTP-localhost.keytab"
        site.realm.run("kadmin.local", "-r", REALM, "ktadd", "-k", str(http), f"HTTP/localhost@{REALM}")


def refused(site, monkeypatch, login):
    """What a worker says that cannot log in."""
    which = worker.Worker("kerbless", "kerbless", (), site.url, login=login)
    config = worker.write_config(site.scene, which)
    command = [str(worker.binary()), "worker", "--config", str(config)]
    environment = {**os.environ, **site.realm.environment}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert done.returncode == 2
    return done.stderr
