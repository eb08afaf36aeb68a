"""Tasks the development hub does itself, at once. On a real hub any kojid does them; here there is none."""

import koji
import koji.plugin
import koji.xmlrpcplus

from .database import db


def run(task_id, method, arglist):
    """Does the task when it is one of these, and ends it with its result or fault."""
    if method != "tagBuild":
        return
    from .tagging import tag_as
    from .tasks import CLOSED, FAILED, OPEN, Task

    task = Task(task_id)
    info = task.info()
    tag, build, force, fromtag = (list(arglist) + [False, None])[:4]
    task.change("state", state=OPEN, start_time=info["create_ts"])
    try:
        with db().savepoint():
            tag_as(info["owner"], tag, build, force=bool(force), fromtag=fromtag)
    except koji.GenericError as error:
        fault = koji.xmlrpcplus.Fault(error.faultCode, str(error))
        task.end(koji.xmlrpcplus.dumps(fault, methodresponse=1), FAILED)
    else:
        task.end(koji.xmlrpcplus.dumps((None,), methodresponse=1), CLOSED)
