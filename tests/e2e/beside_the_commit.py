"""What a dist-git repository has besides the files of its commit: a lookaside cache, and submodules."""

import contextlib
import hashlib
import subprocess

from demo import dist_git
from file_server import serving

PATTERN = "/{namespace}/{name}/{file}/{hashtype}/{hash}/{file}"
# For the configuration of a worker.
LOOKASIDE = '[lookaside]\nurl = "{url}' + PATTERN.replace("{", "{{").replace("}", "}}") + '"\n{more}'


@contextlib.contextmanager
def lookaside_cache(root):
    """A lookaside cache: a function that puts a file where rpkg would and gives its line in `sources`."""

    def put(package, name, kind, content, claimed=None):
        digest = hashlib.new(kind, content if claimed is None else claimed).hexdigest()
        directory = root / "container" / package / name / kind / digest
        directory.mkdir(parents=True)
        (directory / name).write_bytes(content)
        return f"{kind.upper()} ({name}) = {digest}\n" if kind != "md5" else f"{digest}  {name}\n"

    with serving(root) as server:
        put.url = server.url
        yield put


def add_submodule(scene, name, url, path="vendor/lib", module="libmodule"):
    """A submodule at the commit of `module` in the repository `name`; by hand, as git refuses some addresses."""
    bare = dist_git.directory(scene, name)
    work = bare.with_suffix(".work")

    def git(*arguments):
        identity = ["-c", "user.name=P", "-c", "user.email=p@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=work, check=True, capture_output=True)

    subprocess.run(["git", "clone", "-q", "-b", dist_git.BRANCH, str(bare), str(work)], check=True, capture_output=True)
    (work / ".gitmodules").write_text(f'[submodule "lib"]\n\tpath = {path}\n\turl = {url}\n')
    commit = dist_git.commit(scene, module)
    git("add", ".gitmodules")
    git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    git("commit", "-q", "-m", "a submodule")
    git("push", "-q", "origin", dist_git.BRANCH)
