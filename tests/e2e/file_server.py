"""A web server over a directory that notes what is asked of it: the place of a repository's mirror in a test."""

import contextlib
import functools
import http.server
import threading


class Recorder(http.server.SimpleHTTPRequestHandler):
    """A file server; the paths asked for are in `asked` of the server."""

    def log_message(self, *_):
        self.server.asked.append(self.path)


@contextlib.contextmanager
def serving(directory):
    handler = functools.partial(Recorder, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
