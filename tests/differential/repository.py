"""A git repository for ADD: two commits, a tag on the first, served by whoever needs it."""

import os
import subprocess

import context


def make(work, bare):
    """Makes it at `work` and, as servers have it, at `bare`."""
    work.mkdir()
    context.write(work, {"docs/read.me": "read me", "tool": {"text": "#!/bin/sh\n", "mode": "0755"}})
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "one")
    git(work, "tag", "-a", "v1", "-m", "one")
    context.write(work, {"late": "late"})
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "two")
    git(work.parent, "clone", "--quiet", "--bare", str(work), str(bare))
    # What servers without git of their own need ("dumb http").
    git(bare, "update-server-info")


def git(directory, *arguments):
    """Git, away from whoever runs the tests; what it says."""
    stamp = f"{context.STAMP} +0000"
    identity = {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
    for who in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{who}_NAME": "packager", f"GIT_{who}_EMAIL": "packager@example.org"}
    clean = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(["git", *arguments], cwd=directory, env=clean | identity, check=True, capture_output=True, text=True)
    return done.stdout.strip()
