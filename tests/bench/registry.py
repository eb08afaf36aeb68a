"""A docker-registry of our own on a free loopback port, with its blobs on the measured file system."""

from __future__ import annotations

import socket
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

from .errors import BenchError

CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {blobs}}}
http:
  addr: {host}
"""
PATIENCE = 20.0


class LocalRegistry:
    """Runs while the object is entered. Both engines push to it and pull from it over plain http."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        self.config = directory / "config.yml"
        self.config.write_text(CONFIG.format(blobs=directory / "blobs", host=self.host), encoding="utf-8")
        self.log = directory / "log"

    def __enter__(self) -> LocalRegistry:
        with self.log.open("wb") as log:
            command = ["docker-registry", "serve", self.config]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"docker-registry does not answer: {self.log.read_text(encoding='utf-8')[-1000:]}")
            time.sleep(0.05)  # it has no other way to say that it listens
        return self

    def _answers(self) -> bool:
        connection = HTTPConnection(self.host, timeout=5)
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()
