"""A detour to a TCP service on which a request can be held: dist-git and registries that are slow at the wrong moment.

Used by test_faults.py. It knows no protocol: what the client sends is searched for a pattern.
"""

import contextlib
import re
import select
import socket
import socketserver
import threading


class Detour:
    """Listens on a port of its own and passes everything on to `port`."""

    def __init__(self, port):
        self.target = port
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"detour": self}))
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self._pattern = None
        self._reached = threading.Event()
        self._open = threading.Event()

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._open.set()
        self.server.shutdown()
        self.server.server_close()

    @contextlib.contextmanager
    def hold(self, pattern):
        """Inside the block, what matches `pattern` (bytes) is not passed on; gives a function that waits for it."""
        self._reached.clear()
        self._open.clear()
        self._pattern = re.compile(pattern)

        def reached(seconds=120):
            assert self._reached.wait(seconds), f"nothing matched {pattern}"

        try:
            yield reached
        finally:
            self._pattern = None
            self._open.set()

    def wait_for_leave(self, data):
        """Holds `data` where it is to be held."""
        if self._pattern is not None and self._pattern.search(data):
            self._reached.set()
            self._open.wait(600)


class _Handler(socketserver.BaseRequestHandler):
    detour = None

    def handle(self):
        with socket.create_connection(("127.0.0.1", self.detour.target)) as upstream:
            pair = {self.request: upstream, upstream: self.request}
            while pair:
                for source in select.select(list(pair), [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is self.request:
                        self.detour.wait_for_leave(data)
                    pair[source].sendall(data)
