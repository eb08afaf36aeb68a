"""A Kerberos realm of its own: a KDC (MIT krb5), keytabs, and an httpd with mod_auth_gssapi before the hub of a scene.

Before the development hub httpd is a proxy that tells who has logged in; before the real one it serves Koji's own hub
from the scene's WSGI script, as sites with Kerberos do. Used by test_kerberos.py.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from demo import processes

REALM = "DEMO.EXAMPLE"
KRB5 = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = {realm}
"""
KDC = """\
[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {where}/principal
  key_stash_file = {where}/stash
  acl_file = {where}/acl
 }}
"""
GSSAPI = """\
 <Location /kojihub/ssllogin>
  AuthType GSSAPI
  AuthName "Koji"
  GssapiSSLonly On
  GssapiLocalName Off
  GssapiCredStore keytab:{keytab}
  Require valid-user
{more}
 </Location>
"""
FRONT = """\
ServerRoot /etc/apache2
PidFile {where}/httpd.pid
ServerName localhost
{modules}
TypesConfig /etc/mime.types
User www-data
Group www-data
Mutex file:{where} default
ErrorLog {where}/httpd-error.log
Listen 127.0.0.1:{port}
StartServers 2
<Directory />
 Require all granted
</Directory>
<VirtualHost 127.0.0.1:{port}>
 SSLEngine on
 SSLCertificateFile {ca}/localhost.crt
 SSLCertificateKeyFile {ca}/localhost.key
 RequestHeader unset {header}
 ProxyPass /kojihub http://127.0.0.1:{hub_port}/kojihub
{gssapi}
</VirtualHost>
"""
MODULES = ("mpm_prefork", "authn_core", "authz_core", "authz_user", "mime", "ssl", "socache_shmcb", "headers")


def why_not():
    """None when a realm can be made here, else what is missing."""
    missing = [name for name in ("krb5kdc", "kdb5_util", "kadmin.local") if not shutil.which(name, path=_PATH)]
    if not Path("/usr/lib/apache2/modules/mod_auth_gssapi.so").exists():
        missing.append("mod_auth_gssapi")
    return f"not installed: {', '.join(missing)}" if missing else None


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def free_port():
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Realm:
    """The KDC and its principals; `environment` makes programs find it."""

    def __init__(self, scene, where):
        self.scene, self.where, self.port = scene, where, free_port()
        self.environment = {"KRB5_CONFIG": f"{where}/krb5.conf", "KRB5_KDC_PROFILE": f"{where}/kdc.conf"}
        values = {"realm": REALM, "port": self.port, "where": where}
        (where / "krb5.conf").write_text(KRB5.format(**values))
        (where / "kdc.conf").write_text(KDC.format(**values))
        (where / "acl").write_text("")

    def run(self, *command, **options):
        """Runs a program of the realm."""
        environment = {**os.environ, **self.environment, "PATH": _PATH}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, **options)

    def __enter__(self):
        self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "only for a test")
        kdc = [shutil.which("krb5kdc", path=_PATH), "-n"]
        self.service = processes.start(self.scene, "kdc", kdc, self.environment)
        processes.wait_until(self.scene, self.service, lambda: processes.answers(self.port))
        return self

    def __exit__(self, *exception):
        processes.stop(self.scene, self.service)

    def keytab(self, name, *options):
        """A principal with a random key, in a keytab of its own."""
        path = self.where / f"{name.replace('/', '-')}.keytab"
        self.run("kadmin.local", "-r", REALM, "addprinc", "-randkey", *options, f"{name}@{REALM}")
        self.run("kadmin.local", "-r", REALM, "ktadd", "-k", str(path), f"{name}@{REALM}")
        return path


@contextlib.contextmanager
def httpd(realm, where):
    """An httpd that lets in who has a ticket, before the scene's hub; gives the hub's address there."""
    scene, port = realm.scene, free_port()
    keytab = realm.keytab("HTTP/localhost")
    shutil.chown(keytab, "www-data")
    config = where / "httpd.conf"
    config.write_text(_real(scene, where, port, keytab) if scene.koji_src else _proxy(scene, where, port, keytab))
    caches = {"KRB5RCACHENAME": f"file2:{where}/replays"}
    environment = {**realm.environment, **caches, "APACHE_RUN_DIR": str(where)}
    service = processes.start(scene, "gssapi-httpd", ["apache2", "-f", str(config), "-D", "FOREGROUND"], environment)
    processes.wait_until(scene, service, lambda: processes.answers(port))
    try:
        yield f"https://localhost:{port}/kojihub"
    finally:
        processes.stop(scene, service)


def _load(names):
    return "\n".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in names)


def _proxy(scene, where, port, keytab):
    header = re.search(r"^login_header = (\S+)$", (scene.hub_dir / "devhub.conf").read_text(), re.M)[1]
    return FRONT.format(
        where=where,
        modules=_load([*MODULES, "proxy", "proxy_http", "auth_gssapi"]),
        port=port,
        ca=scene.ca,
        header=header,
        hub_port=scene.port("hub_http"),
        gssapi=GSSAPI.format(keytab=keytab, more=f"  RequestHeader set {header} expr=%{{REMOTE_USER}}"),
    )


def _real(scene, where, port, keytab):
    """The scene's own configuration of httpd, with the other way to log in and ports of its own."""
    text = (scene.hub_dir / "apache.conf").read_text()
    ssl_port = str(scene.port("hub_https"))
    text = re.sub(rf"^Listen 127.0.0.1:(?!{ssl_port}).*\n", "", text, flags=re.M).replace(ssl_port, str(port))
    text = re.sub(r"^PidFile .*$", f"PidFile {where}/httpd.pid", text, flags=re.M)
    text = re.sub(r"^ErrorLog .*$", f"ErrorLog {where}/httpd-error.log", text, flags=re.M)
    text = re.sub(r"^WSGISocketPrefix .*$", f"WSGISocketPrefix {where}/wsgi", text, flags=re.M)
    text = re.sub(r"^Mutex .*$", f"Mutex file:{where} default", text, flags=re.M)
    modules = _load(["authz_user", "auth_gssapi"])
    location = GSSAPI.format(keytab=keytab, more="")
    text = re.sub(r" <Location /kojihub/ssllogin>.*?</Location>\n", lambda _: location, text, flags=re.S)
    return text.replace("TypesConfig", modules + "\nTypesConfig", 1)
