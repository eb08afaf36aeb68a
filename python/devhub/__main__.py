"""`python -m devhub`: starts the development hub and serves until it is told to stop (SIGTERM, SIGINT)."""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from . import settings as config
from .hub import Hub
from .server import Server, tls_context

NOTICE = "This is containerbuild's development hub. It is for trying and testing; real builds belong on a real Koji hub."


def arguments():
    parser = argparse.ArgumentParser(prog="python -m devhub", description=NOTICE)
    parser.add_argument("--config", type=Path, help="INI file with these settings; flags override it")
    parser.add_argument("--state-dir", type=Path, help="directory of the database and (kojidir/) of all files")
    parser.add_argument("--topdir", type=Path, help="Koji's top directory, when not STATE_DIR/kojidir")
    parser.add_argument("--listen", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, help="HTTP port (default 0: a free one)")
    parser.add_argument("--ssl-port", type=int, help="HTTPS port (default 0: a free one); needs the certificates")
    parser.add_argument("--server-cert", type=Path, help="certificate of the server (PEM; may hold the key too)")
    parser.add_argument("--server-key", type=Path, help="key of the server certificate")
    parser.add_argument("--client-ca", type=Path, help="CA whose client certificates log users in by their common name")
    parser.add_argument("--plugin", action="append", dest="plugins", metavar="NAME", help="hub plugin to load")
    parser.add_argument("--plugin-path", action="append", type=Path, metavar="DIR", help="directory of hub plugins")
    parser.add_argument(
        "--user",
        action="append",
        dest="users",
        type=config.user,
        metavar="NAME[:PASSWORD[:PERMISSION...]]",
        help="user to have at start; - as the password means certificate only",
    )
    parser.add_argument("--policy", action="append", metavar="NAME=RULES", help="hub policy; rules separated by newlines")
    parser.add_argument(
        "--scheduler",
        action="append",
        type=config.scheduler_limit,
        metavar="KEY=SECONDS",
        help="one of " + ", ".join(config.SCHEDULER_KEYS),
    )
    parser.add_argument("--session-lifetime", type=float, metavar="SECONDS", help="0: sessions do not expire")
    parser.add_argument("--version", help="behave like an older release, as far as builder hosts notice (1.31 and later)")
    parser.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING"], help="default INFO")
    return parser.parse_args()


def load_settings(args):
    given = config.read_file(args.config) if args.config else {}
    flags = {key: value for key, value in vars(args).items() if value is not None and key != "config"}
    if "policy" in flags:
        flags["policies"] = dict(rule.partition("=")[::2] for rule in flags.pop("policy"))
    if "scheduler" in flags:
        flags["scheduler"] = dict(flags["scheduler"])
    if not ({"state_dir"} & (set(given) | set(flags))):
        raise config.SettingsError("--state-dir is required")
    return config.Settings(**{**given, **flags})


def main():
    args = arguments()
    try:
        settings = load_settings(args)
    except config.SettingsError as error:
        sys.exit(f"devhub: {error}")
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    print(NOTICE, flush=True)
    # Left by a hub that was killed.
    (settings.state_dir / "ready.json").unlink(missing_ok=True)
    hub = Hub(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    servers = [Server(hub, (settings.listen, settings.port))]
    ports = {"http": servers[0].start("http")}
    if settings.server_cert:
        servers.append(Server(hub, (settings.listen, settings.ssl_port), tls_context(settings)))
        ports["https"] = servers[1].start("https")
    announce(settings, ports)
    stop.wait()
    for server in servers:
        server.shutdown()
        server.server_close()
    hub.close()
    (settings.state_dir / "ready.json").unlink(missing_ok=True)


def announce(settings, ports):
    """Says where the hub is, and writes it to STATE_DIR/ready.json: its presence means that calls are answered."""
    for scheme, port in ports.items():
        print(f"hub:   {scheme}://{settings.listen}:{port}/kojihub", flush=True)
    print(f"files: http://{settings.listen}:{ports['http']}/kojifiles", flush=True)
    ready = settings.state_dir / "ready.json"
    part = ready.with_suffix(".part")
    part.write_text(json.dumps({"pid": os.getpid(), "listen": settings.listen, **ports}), encoding="utf-8")
    part.rename(ready)


if __name__ == "__main__":
    main()
