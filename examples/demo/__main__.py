"""The command line of the demo, behind `make demo` and `make demo-down`.

python3 -m demo run        everything: up, build, show, refusals (what `make demo` does)
python3 -m demo up         acts 1 to 3: the distribution, the services, Koji, the worker
python3 -m demo build      act 4: build the image of examples/dist-git/webserver
python3 -m demo show       act 5: the result: task, build, registry, the image running, the provenance report
python3 -m demo refusals   act 6: the builds that must fail, and why they do
python3 -m demo down       stop everything
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import acts
from .scene import DEFAULT_PORT, DEFAULT_STATE, Scene, SceneError, load

EXIT_FAILED = 1


def arguments() -> argparse.Namespace:
    """Options and command; the environment gives the defaults that make passes on."""
    parser = argparse.ArgumentParser(
        prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["run", "up", "build", "show", "refusals", "down"])
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(os.environ.get("DEMO_STATE") or DEFAULT_STATE),
        help="directory of the scene (default: .demo in the repository)",
    )
    parser.add_argument(
        "--base-port",
        type=int,
        default=int(os.environ.get("DEMO_BASE_PORT") or DEFAULT_PORT),
        help=f"first of six consecutive ports on 127.0.0.1 (default: {DEFAULT_PORT})",
    )
    parser.add_argument(
        "--koji-src",
        type=Path,
        default=os.environ.get("KOJI_SRC") or None,
        help="Koji's source: set the scene on a real hub instead of the development hub",
    )
    return parser.parse_args()


def play(command: str, scene: Scene) -> None:
    """One command on an existing scene, or the whole play."""
    # Imported late, so that `down` needs nothing but the standard library.
    from . import build, refusals, show

    if command in ("run", "build"):
        build.build(scene)
    if command in ("run", "show"):
        show.show(scene)
    if command in ("run", "refusals"):
        refusals.refusals(scene)
    if command == "run":
        show.summary(scene)


def main() -> int:
    """Run the command; exit 1 with one message when the scene does not play."""
    options = arguments()
    state = options.state.resolve()
    try:
        if os.geteuid() != 0:
            raise SceneError("the demo needs root: it makes mounts and network namespaces for builds")
        if options.command == "down":
            from .down import down

            down(load(state))
            return 0
        if options.command in ("run", "up"):
            from .up import up

            source = options.koji_src.resolve() if options.koji_src else None
            scene = up(Scene(state, options.base_port, source))
        else:
            scene = load(state)
        if options.command != "up":
            play(options.command, scene)
        print("\n" + acts.times())
    except SceneError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        if options.command in ("run", "up") and (state / "scene.json").exists():
            print(f"The logs are in {state / 'logs'}; `make demo-down` stops what runs.", file=sys.stderr)
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
