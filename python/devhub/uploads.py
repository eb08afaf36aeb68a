"""Uploads into the work directory: chunks as raw POST bodies (koji.ClientSession.fastUpload), or base64 in old calls.

A task's directory is writable only for the host that has the task open; any other directory belongs to its first uploader.
"""

import base64
import fcntl
import hashlib
import os
import stat
from urllib.parse import parse_qs

import koji
import koji.util
from koji.context import context

from .registry import rpc
from .values import convert_value

CHUNK = 1 << 16


def upload_path(directory, name, create=False):
    """The file an upload goes to. With `create`, checks who may write there and makes the directory."""
    if "/" in name or name.startswith(".") or not name:
        raise koji.GenericError(f"Invalid upload filename: {name}")
    relative = os.path.normpath(directory)
    if not relative or relative.startswith(("..", "/")):
        raise koji.GenericError(f"Invalid upload directory: {directory}")
    full = os.path.join(koji.pathinfo.work(), relative)
    if create:
        parts = relative.split("/")
        if parts[0] == "tasks":
            from .host_calls import held_task

            if len(parts) < 3 or not parts[2].isdigit():
                raise koji.GenericError(f"Invalid task upload directory: {directory}")
            held_task(int(parts[2]))
            koji.ensuredir(full)
        else:
            koji.ensuredir(full)
            _claim(full, directory)
    return os.path.join(full, name)


def _claim(full, directory):
    mark = os.path.join(full, ".user")
    user = str(context.session.user_id)
    try:
        with open(mark, "x", encoding="ascii") as file:
            file.write(user)
    except FileExistsError:
        with open(mark, encoding="ascii") as file:
            if file.read() != user:
                raise koji.GenericError(f"Invalid upload directory, not owner: {directory}") from None


def checksum(name):
    """A new checksum object: md5, adler32 or sha256; None for an empty name."""
    if not name:
        return None
    if name == "adler32":
        return koji.util.adler32_constructor()
    if name in ("md5", "sha256"):
        return hashlib.new(name)
    raise koji.GenericError(f"Unsupported verify type: {name}")


class Upload:
    """One raw upload request: checked inside the call's transaction, written outside of it."""

    def __init__(self, query):
        if not context.session.logged_in:
            raise koji.ActionNotAllowed("you must be logged-in to upload a file")
        args = {key: values[0] for key, values in parse_qs(query).items()}
        if "filename" not in args:
            raise koji.GenericError("upload without filename")
        self.verify = args.get("fileverify", "")
        self.sum = checksum(self.verify)
        if self.sum is None:
            raise koji.GenericError("upload without fileverify")
        self.overwrite = bool(args.get("overwrite"))
        self.offset = convert_value(args.get("offset", "0"), int)
        self.path = upload_path(args.get("filepath", ""), args["filename"], create=True)
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return
        if stat.S_ISLNK(found.st_mode):
            raise koji.GenericError(f"destination is a symlink: {self.path}")
        if not stat.S_ISREG(found.st_mode):
            raise koji.GenericError(f"destination not a file: {self.path}")
        if self.offset == 0 and not self.overwrite:
            raise koji.GenericError(f"upload path exists: {self.path}")

    def receive(self, body):
        """Writes the body; {size, fileverify, offset, hexdigest}."""
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise koji.LockError(str(error)) from error
            offset = os.lseek(fd, 0, os.SEEK_END) if self.offset == -1 else self.offset
            if self.overwrite:
                os.ftruncate(fd, offset)
            os.lseek(fd, offset, os.SEEK_SET)
            size = 0
            while chunk := body.read(CHUNK):
                size += len(chunk)
                self.sum.update(chunk)
                os.write(fd, chunk)
            length = os.lseek(fd, 0, os.SEEK_END)
            if not self.overwrite and length != offset + size:
                raise koji.GenericError(f"Incorrect upload length for {self.path} - Expected {offset + size}, actual {length}")
        finally:
            os.close(fd)
        return {"size": size, "fileverify": self.verify, "offset": offset, "hexdigest": self.sum.hexdigest()}


@rpc
def checkUpload(path, name, verify=None, tail=None, volume=None):
    """About an uploaded file: {size, mtime}, with `verify` {sumlength, hexdigest} of it or its last `tail` bytes"""
    try:
        file = open(upload_path(path, name), "rb")  # noqa: SIM115 (closed below; a missing file is an answer)
    except FileNotFoundError:
        return None
    with file:
        found = os.fstat(file.fileno())
        answer = {"size": found.st_size, "mtime": found.st_mtime}
        if verify:
            if tail is not None:
                if tail < 0:
                    raise koji.GenericError(f"Invalid tail value: {tail!r}")
                file.seek(max(found.st_size - tail, 0))
            total, count = checksum(verify), 0
            while chunk := file.read(CHUNK):
                count += len(chunk)
                total.update(chunk)
            answer.update(sumlength=count, hexdigest=total.hexdigest())
        return answer


@rpc
def uploadFile(path, name, size, md5sum, offset, data, volume=None, checksum=None):
    """The old way: a base64 chunk at an offset; offset -1 ends the file with its whole size and checksum"""
    context.session.assertLogin()
    contents = base64.b64decode(data)
    offset, size = koji.decode_int(offset), koji.decode_int(size)
    given = checksum if checksum is not None else md5sum
    kind, digest = ("md5", given) if isinstance(given, str) else given or (None, None)
    if offset != -1 and (size not in (None, len(contents)) or not _has_digest(contents, kind, digest)):
        return False
    target = upload_path(path, name, create=True)
    if os.path.lexists(target) and (not os.path.isfile(target) or os.path.islink(target)):
        raise koji.GenericError(f"destination not a file: {target}")
    if os.path.exists(target) and offset == 0 and not target.endswith(".log"):
        raise koji.GenericError(f"file already exists: {target}")
    fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with os.fdopen(fd, "r+b") as file:
        if offset == 0 or (offset == -1 and size == len(contents)):
            file.truncate(0)
        file.seek(0 if offset == -1 else offset, os.SEEK_END if offset == -1 else os.SEEK_SET)
        file.write(contents)
        if offset == -1:
            if size is not None:
                file.truncate(size)
            file.seek(0)
            return _has_digest(file.read(), kind, digest)
    return True


def _has_digest(contents, kind, digest):
    if kind is None:
        return True
    found = checksum(kind)
    found.update(contents)
    return found.hexdigest() == digest
