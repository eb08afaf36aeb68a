"""The scene: every service of a container build on one machine, and the play that `make demo` shows in it.

`python3 -m demo --help` (with examples/ on PYTHONPATH) lists the acts. Each module is one service or one act; scene.py
holds the addresses and paths they share. The scene can be set on the development hub or on a real Koji hub
(`KOJI_SRC`), by the same code: only dev_hub.py and real_hub.py differ.
"""
