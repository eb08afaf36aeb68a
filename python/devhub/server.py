"""HTTP and HTTPS: the hub at /kojihub, its files at /kojifiles, one page at /koji.

Client certificates are asked for but not demanded; only `sslLogin` needs one. TLS handshakes happen in the request's own thread,
so that a client that connects and says nothing blocks nobody.
"""

import logging
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import koji.xmlrpcplus

from . import files, pages
from .hub import BadRequest, as_fault
from .uploads import Upload

logger = logging.getLogger(__name__)
# Bytes of an XML-RPC request; the real hub's default.
MAX_REQUEST = 4 << 20
# Seconds a connection may be silent.
IDLE = 600


class Server(ThreadingHTTPServer):
    """One listening port."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, hub, address, tls=None):
        self.hub = hub
        self.tls = tls
        super().__init__(address, Handler)

    def start(self, name):
        thread = threading.Thread(target=self.serve_forever, name=name, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        return self.server_address[1]

    def get_request(self):
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(IDLE)
        if self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address):
        logger.debug("connection from %s ended early", client_address, exc_info=True)


def tls_context(settings):
    """Server certificate, and trust in client certificates of the site's CA."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(settings.server_cert, settings.server_key)
    tls.load_verify_locations(settings.client_ca)
    tls.verify_mode = ssl.CERT_OPTIONAL
    return tls


class Body:
    """The request's body: at most Content-Length bytes."""

    def __init__(self, stream, length):
        self._stream = stream
        self.left = length

    def read(self, size):
        data = self._stream.read(min(size, self.left)) if self.left else b""
        self.left -= len(data)
        return data

    def drain(self):
        """Reads what nobody wanted, so that the connection can be used again."""
        while self.left and self.read(1 << 16):
            pass


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "containerbuild-devhub"
    sys_version = ""

    def setup(self):
        if self.server.tls is not None:
            self.request.do_handshake()
        super().setup()

    def log_message(self, format, *args):
        logger.debug("%s %s", self.address_string(), format % args)

    def environ(self):
        """What plugins and login find in `context.environ`."""
        known = {"REMOTE_ADDR": self.client_address[0], "QUERY_STRING": urlsplit(self.path).query}
        login_header = self.server.hub.settings.login_header
        if login_header and self.headers.get(login_header):
            known["REMOTE_USER"] = self.headers[login_header]
        if self.server.tls is not None:
            certificate = self.connection.getpeercert() or {}
            subject = {key: value for part in certificate.get("subject", ()) for key, value in part}
            if "commonName" in subject:
                known.update(SSL_CLIENT_VERIFY="SUCCESS", SSL_CLIENT_S_DN_CN=subject["commonName"])
        return known

    def do_POST(self):
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            self.close_connection = True
            self.send_text(411, "Content-Length is required")
            return
        body = Body(self.rfile, length)
        try:
            self.answer(body)
        finally:
            body.drain()

    def answer(self, body):
        path = urlsplit(self.path).path
        if path not in ("/kojihub", "/kojihub/", "/kojihub/ssllogin"):
            self.send_text(404, "not found")
        elif self.headers.get("Content-Type", "").startswith("application/octet-stream"):
            self.send_xml(self.upload(body))
        elif body.left > MAX_REQUEST:
            self.send_text(400, "Invalid request: Request too long")
        elif path.endswith("/ssllogin") and not {"SSL_CLIENT_S_DN_CN", "REMOTE_USER"} & set(self.environ()):
            # httpd refuses such a connection while it is made
            self.send_text(403, "a client certificate is required here")
        else:
            try:
                self.send_xml(self.server.hub.call(body.read(body.left), self.headers, self.environ()))
            except BadRequest as error:
                self.send_text(400, str(error))

    def upload(self, body):
        """Session and destination are checked in a transaction, the bytes are written after it."""
        try:
            with self.server.hub.call_context(None, self.headers, self.environ()) as session:
                session.validate()
                upload = Upload(urlsplit(self.path).query)
            return koji.xmlrpcplus.dumps((upload.receive(body),), methodresponse=1).encode("utf-8")
        except Exception as error:  # noqa: BLE001 (every exception is a fault for the caller)
            return koji.xmlrpcplus.dumps(as_fault(error, "rawUpload")).encode("utf-8")

    def do_GET(self):
        path = urlsplit(self.path).path
        if path == "/kojihub" or path.startswith("/kojihub/"):
            self.send_response(405)
            self.send_header("Allow", "POST")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/kojifiles" or path.startswith("/kojifiles/"):
            files.send(self, self.server.hub.settings.topdir, path[len("/kojifiles") :])
        elif path == "/koji" or path.startswith("/koji/"):
            pages.send(self, path[len("/koji") :], urlsplit(self.path).query)
        else:
            self.send_text(404, "not found")

    do_HEAD = do_GET

    def send_xml(self, document):
        self.send_body(200, "text/xml", document)

    def send_text(self, status, text):
        self.send_body(status, "text/plain; charset=utf-8", (text + "\n").encode("utf-8"))

    def send_body(self, status, content_type, data):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
