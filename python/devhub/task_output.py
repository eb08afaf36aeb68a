"""The files of a task: listing and downloading them (`koji watch-logs`, `koji download-logs`)."""

import base64
import os

import koji

from .registry import rpc
from .tasks import Task
from .values import convert_value


def _directory(task_id):
    return os.path.join(koji.pathinfo.work(), koji.pathinfo.taskrelpath(task_id))


@rpc
def listTaskOutput(taskID, stat=False, all_volumes=False, strict=False):
    """Paths of a task's files; with `stat` a map to their sizes (text) and times, with `all_volumes` to their volumes"""
    if strict and Task(taskID).info(strict=False) is None:
        raise koji.GenericError("Task doesn't exist")
    top = _directory(convert_value(taskID, int))
    found = {}
    for path, _, names in os.walk(top):
        for name in names:
            full = os.path.join(path, name)
            info = os.stat(full)
            times = {key: getattr(info, key) for key in ("st_atime", "st_mtime", "st_ctime")}
            found[os.path.relpath(full, top)] = {"st_size": str(info.st_size), **times}
    if all_volumes:
        return {name: {"DEFAULT": info} if stat else ["DEFAULT"] for name, info in found.items()}
    return found if stat else list(found)


@rpc
def downloadTaskOutput(taskID, fileName, offset=0, size=-1, volume=None):
    """Part of a task's file as base64 text; a negative offset counts from the end"""
    task_id, size = convert_value(taskID, int), convert_value(size, int)
    if ".." in fileName:
        raise koji.GenericError(f"Invalid file name: {fileName}")
    path = os.path.normpath(os.path.join(_directory(task_id), fileName))
    if not os.path.isfile(path):
        raise koji.GenericError(f'no file "{fileName}" output by task {task_id}')
    with open(path, "rb") as file:
        offset = int(offset or 0)
        if offset < 0:
            offset = max(0, os.fstat(file.fileno()).st_size + offset)
        file.seek(offset)
        return base64.b64encode(file.read(size)).decode("ascii")
