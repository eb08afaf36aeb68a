"""The configuration files of the real hub, as templates for str.format. Used by real_hub.py.

Two things differ from a production hub: the scheduler runs every second instead of every minute, so that nobody waits
for the demo's tasks, and the certificates come from the scene's own authority.
"""

# `kojira` is the user of Koji's repo manager and the default owner of repo tasks.
SQL = """\
insert into users (name, status, usertype) values ('{admin}', 0, 0);
insert into user_perms (user_id, perm_id, creator_id) values (1, 1, 1);
insert into users (name, status, usertype) values ('kojira', 0, 0);
insert into user_perms (user_id, perm_id, creator_id) select 2, id, 1 from permissions where name = 'repo';
"""

HUB = """\
[hub]
DBName = koji
DBUser = koji
DBHost = {hub}/run
DBPort = {db_port}
KojiDir = {kojidir}
LoginCreatesUser = On
KojiWebURL = {web_url}
DisableNotifications = True
KojiTraceback = normal
LogLevel = INFO
PluginPath = {plugins}
Plugins = containerbuild
RunInterval = 1

[policy]
{policy}"""

WEB = """\
[web]
SiteName = koji
KojiHubURL = {hub_url}
KojiFilesURL = {top_url}
LibPath = {koji_src}/www/lib
LoginDisabled = True
Secret = only-for-the-demo
PythonDebug = True
"""

HUB_WSGI = """\
import os
import sys
sys.path[:0] = ["{koji_src}", "{lib}"]
os.environ["CONTAINERBUILD_HUB_CONF"] = "{hub}/containerbuild.conf"
from kojihub.kojixmlrpc import application as hub


def application(environ, start_response):
    environ["koji.hub.ConfigFile"] = "{hub}/hub.conf"
    environ["koji.hub.ConfigDir"] = "{hub}/hub.conf.d"
    return hub(environ, start_response)
"""

# kojiweb looks for its templates beside the script it believes to be served as.
WEB_WSGI = """\
import sys
sys.path[:0] = ["{koji_src}", "{koji_src}/www/kojiweb", "{koji_src}/www/lib", "{koji_src}/cli"]
from wsgi_publisher import application as web


def application(environ, start_response):
    environ["koji.web.ConfigFile"] = "{hub}/web.conf"
    environ["SCRIPT_FILENAME"] = "{koji_src}/www/kojiweb/wsgi_publisher.py"
    return web(environ, start_response)
"""

APACHE = """\
ServerRoot /etc/apache2
PidFile {hub}/run/apache.pid
ServerName localhost
{modules}
TypesConfig /etc/mime.types
User www-data
Group www-data
Mutex file:{hub}/run default
ErrorLog {log}
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{ssl_port}
StartServers 4
MaxRequestWorkers 32
WSGIPythonHome {venv}
WSGISocketPrefix {hub}/run/wsgi
# pyo3 modules work in the main interpreter only; Koji's own httpd configuration says the same.
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptReloading Off
WSGIDaemonProcess web processes=1 threads=1 lang=C.UTF-8 python-home={venv}
WSGIScriptAlias /kojihub {hub}/hub.wsgi
Alias /kojifiles {kojidir}
Alias /koji-static {koji_src}/www/static
WSGIScriptAlias /koji {hub}/web.wsgi process-group=web application-group=%{{GLOBAL}}
<Directory />
 Options Indexes FollowSymLinks
 Require all granted
</Directory>
<VirtualHost 127.0.0.1:{ssl_port}>
 ServerName localhost
 SSLEngine on
 SSLCertificateFile {ca}/localhost.crt
 SSLCertificateKeyFile {ca}/localhost.key
 SSLCACertificateFile {ca}/ca.crt
 SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1 -TLSv1.3
 <Location /kojihub/ssllogin>
  SSLVerifyClient require
  SSLVerifyDepth 10
  SSLOptions +StdEnvVars
 </Location>
</VirtualHost>
"""
