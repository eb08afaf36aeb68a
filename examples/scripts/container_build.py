#!/usr/bin/env python3
"""Submits a container build, waits for it and prints what a script wants to know: plain XML-RPC, no Koji library.

    container_build.py --hub https://koji.example.org/kojihub --cert CLIENT.pem --ca CA.crt \\
        f40-container-candidate git+https://src.example.org/container/web.git#COMMIT --git-branch f40

Exit codes: 0 built, 1 the build failed (its reason is on standard error), 2 it was refused before there was a task.
docs/XML-RPC.md explains the calls.
"""

import argparse
import json
import ssl
import sys
import time
import urllib.request
import xmlrpc.client

CLOSED, CANCELED, FAILED = 2, 3, 5  # koji.TASK_STATES
PARAMETER_ERROR = 1019


class Hub:
    """A session of Koji's hub: login by client certificate, then three headers on every call."""

    def __init__(self, url, cert, ca):
        self.url = url
        self.tls = ssl.create_default_context(cafile=ca)
        self.tls.load_cert_chain(cert)
        self.headers = {"Content-Type": "text/xml", "User-Agent": "container-build-example"}
        self.number = 0
        session = self._post(url + "/ssllogin", "sslLogin", [None])
        self.headers |= {"Koji-Session-Id": str(session["session-id"]), "Koji-Session-Key": session["session-key"]}

    def call(self, method, *arguments, **named):
        """One call. Koji takes keyword arguments as a last struct that says so."""
        self.number += 1
        self.headers["Koji-Session-Callnum"] = str(self.number)
        return self._post(self.url, method, [*arguments, {"__starstar": True, **named}] if named else [*arguments])

    def _post(self, url, method, arguments):
        body = xmlrpc.client.dumps(tuple(arguments), method, allow_none=True).encode()
        request = urllib.request.Request(url, body, self.headers)
        with urllib.request.urlopen(request, context=self.tls) as answer:
            (value,), _ = xmlrpc.client.loads(answer.read(), use_builtin_types=True)
        return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target")
    parser.add_argument("source")
    for name in ("--hub", "--cert", "--ca", "--git-branch"):
        parser.add_argument(name, required=True)
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--poll", type=float, default=15, metavar="SECONDS")
    arguments = parser.parse_args()

    hub = Hub(arguments.hub, arguments.cert, arguments.ca)
    opts = {"git_branch": arguments.git_branch, "scratch": arguments.scratch}
    try:
        task = hub.call("buildContainer", arguments.source, arguments.target, opts)
    except xmlrpc.client.Fault as fault:
        print(fault.faultString, file=sys.stderr)
        return 2 if fault.faultCode == PARAMETER_ERROR else 1

    while (state := hub.call("getTaskInfo", task)["state"]) not in (CLOSED, CANCELED, FAILED):
        time.sleep(arguments.poll)
    if state != CLOSED:
        # With raise_fault=False the fault comes as a struct.
        fault = hub.call("getTaskResult", task, raise_fault=False)
        print(fault["faultString"] if fault else "cancelled", file=sys.stderr)
        return 1

    result = hub.call("getTaskResult", task)
    described = {"task": task, "repositories": result["repositories"], "builds": []}
    for build_id in map(int, result["koji_builds"]):
        build = hub.call("getBuild", build_id)
        archives = hub.call("listArchives", build_id, type="image")
        described["builds"].append(
            {
                "nvr": build["nvr"],
                "images": [
                    {
                        "arch": archive["extra"]["image"]["arch"],
                        "rpms": len(hub.call("listRPMs", imageID=archive["id"])),
                    }
                    for archive in archives
                ],
            }
        )
    print(json.dumps(described, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
