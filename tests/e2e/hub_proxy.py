"""A proxy between a worker and its hub, which counts calls and does what networks and hubs do at the worst moment.

Plain HTTP, so the worker behind it logs in with a password. Used by test_lost_answers.py, test_faults.py and scale.py.
"""

import collections
import contextlib
import http.client
import os
import sqlite3
import subprocess
import threading
import time
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from demo import koji_setup
from demo.koji_client import koji
from demo.scene import CONTENT_GENERATOR
from devhub.users import hashed

PASSWORD = "for a test"

# Without these a hub cannot tell a repeated call from a new one, as hubs 1.31 to 1.35 cannot for the stock client.
CALL_NUMBERS = {"koji-session-callnum", "koji-callnum"}


class Held:
    """Requests that are kept from the hub until they are let go."""

    def __init__(self, method, number):
        self.method, self.number = method, number
        self.waiting = 0
        self._changed = threading.Condition()
        self._open = False

    def reached(self, seconds=120):
        """Returns when as many requests as were to be held have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.waiting >= self.number, seconds), f"no {self.method}"

    def let_go(self):
        """Lets them all through, and those that come later."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def pass_through(self):
        """Called by a request: waits until it may go on."""
        with self._changed:
            self.waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open, 600)


class HubProxy:
    """The proxy. `drop`, `hold` and `away` arm it; `calls` counts by method, `requests` keeps what was asked."""

    def __init__(self, hub_url, numbered=True):
        self.hub = urlsplit(hub_url)
        self.numbered = numbered
        self.calls = collections.Counter()
        self.dropped = []
        self.requests = []
        self.posts = 0
        # (when it came, when it was answered, methods), on the clock of the hub
        self.timeline = []
        self._drop = collections.Counter()
        self._away = False
        self._held = []
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{self.hub.path}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()

    def drop(self, method, times=1):
        """The next `times` answers to `method` are lost; the hub has done what was asked."""
        with self._lock:
            self._drop[method] += times

    @contextlib.contextmanager
    def hold(self, method, number=1):
        """Inside the block requests of this method wait; gives what tells when, and lets them go."""
        held = Held(method, number)
        self._held.append(held)
        try:
            yield held
        finally:
            self._held.remove(held)
            held.let_go()

    def wait_for_leave(self, methods):
        """Holds a request of these methods where it is to be held."""
        for held in [held for held in self._held if held.method in methods]:
            held.pass_through()

    @contextlib.contextmanager
    def away(self):
        """Inside the block the hub cannot be reached."""
        self._away = True
        try:
            yield
        finally:
            self._away = False

    def takes_part(self):
        """Whether requests come through."""
        return not self._away

    def counts(self, methods):
        """Notes a request of these methods; whether its answer is to be lost."""
        with self._lock:
            self.calls.update(methods)
            for method in methods:
                if self._drop[method] > 0:
                    self._drop[method] -= 1
                    self.dropped.append(method)
                    return True
        return False

    def reset(self):
        """Forgets the counts."""
        with self._lock:
            self.calls.clear()
            self.timeline.clear()
            self.posts = 0


def calls_of(content_type, body):
    """The calls of a request with their parameters: one, those of a multicall with it, or an upload."""
    if content_type.startswith("application/octet-stream"):
        return [("rawUpload", ())]
    params, method = xmlrpc.client.loads(body, use_builtin_types=True)
    if method != "multiCall":
        return [(method, params)]
    return [(method, ()), *((call["methodName"], call["params"]) for call in params[0])]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: the second one would wait for the answer to the first, 40 ms a call.
    disable_nagle_algorithm = True
    proxy = None

    def log_message(self, format, *args):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.proxy.takes_part():
            self._hang_up()
            return
        calls = calls_of(self.headers["Content-Type"], body)
        self.proxy.requests.extend(calls)
        self.proxy.posts += 1
        methods = [method for method, _ in calls]
        self.proxy.wait_for_leave(methods)
        lost = self.proxy.counts(methods)
        hub = self.proxy.hub
        left_out = {"host"} | (set() if self.proxy.numbered else CALL_NUMBERS)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in left_out}
        headers["Host"] = hub.netloc
        connection = http.client.HTTPConnection(hub.hostname, hub.port, timeout=600)
        came = time.time()
        try:
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        self.proxy.timeline.append((came, time.time(), methods))
        if lost:
            self._hang_up()
            return
        self.send_response(answer.status)
        for name in ("Content-Type", "Koji-Version"):
            if answer.getheader(name):
                self.send_header(name, answer.getheader(name))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _hang_up(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(2)


def add_host(scene, name, channel, new_channel, arch=None):
    """A builder host whose worker may log in with PASSWORD over plain HTTP."""
    koji_setup.host(scene, name, channel, arch or os.uname().machine, new_channel=new_channel)
    koji(scene, "edit-host", "--capacity", "20", name)
    koji(scene, "grant-cg-access", name, CONTENT_GENERATOR)
    if scene.koji_src:
        sockets, port = str(scene.hub_dir / "run"), str(scene.port("database"))
        psql = ["psql", "-q", "-h", sockets, "-p", port, "-U", "koji", "koji"]
        psql += ["-v", f"name={name}", "-v", f"pw={PASSWORD}"]
        statement = "UPDATE users SET password = :'pw' WHERE name = :'name'"
        subprocess.run(psql, input=statement, text=True, check=True, capture_output=True)
        return
    connection = sqlite3.connect(scene.hub_dir / "hub.sqlite", timeout=30)
    with connection:
        connection.execute("UPDATE users SET password = ? WHERE name = ?", (hashed(PASSWORD), name))
    connection.close()


def plain_url(scene):
    """The hub over plain HTTP."""
    return f"http://localhost:{scene.port('hub_http')}/kojihub"
