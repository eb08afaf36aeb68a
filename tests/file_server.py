"""A web server over a directory that notes what is asked of it: a mirror, a lookaside cache or a compose in a test.

Used by the suites here and by the benchmarks. It says nothing, and is gone with the block that started it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Files(SimpleHTTPRequestHandler):
    """The files of a directory."""

    def log_request(self, *_: object) -> None:
        """Note the path, once an answer."""
        self.server.asked.append(self.path)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class FileServer(ThreadingHTTPServer):
    """Listens on loopback. `asked` are the paths asked for, in the order of the answers."""

    def __init__(self, directory: Path, answers: type[Files]) -> None:
        """Listen, without answering yet."""
        super().__init__(("127.0.0.1", 0), functools.partial(answers, directory=directory))
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(directory: Path, answers: type[Files] = Files) -> Iterator[FileServer]:
    """Serve a directory in the block."""
    with FileServer(directory, answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
