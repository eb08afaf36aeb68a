"""What a dist-git repository has besides the files of its commit: a lookaside cache, and submodules."""

import contextlib
import functools
import hashlib
import http.server
import subprocess
import threading

from demo import dist_git

PATTERN = "/{namespace}/{name}/{file}/{hashtype}/{hash}/{file}"
# For the configuration of a worker.
LOOKASIDE = '[lookaside]\nurl = "{url}' + PATTERN.replace("{", "{{").replace("}", "}}") + '"\n{more}'


@contextlib.contextmanager
def lookaside_cache(root):
    """A lookaside cache: a function that puts a file where rpkg would and gives its line in `sources`."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=root)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def put(package, name, kind, content, claimed=None):
        digest = hashlib.new(kind, content if claimed is None else claimed).hexdigest()
        directory = root / "container" / package / name / kind / digest
        directory.mkdir(parents=True)
        (directory / name).write_bytes(content)
        return f"{kind.upper()} ({name}) = {digest}\n" if kind != "md5" else f"{digest}  {name}\n"

    put.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield put
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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
