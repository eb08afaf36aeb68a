"""The hub as a whole: database, policy, plugins, and the run of one call."""

import logging
import traceback
from xmlrpc.client import Fault

import koji
import koji.plugin
import koji.util
import koji.xmlrpcplus
from koji.context import context

from . import calls, older, plugins, policy, registry, scheduler  # noqa: F401 (calls: importing registers the methods)
from .database import Database
from .repo_maker import RepoMaker
from .sessions import UNLOCKED_METHODS, Session
from .users import create_user, find_user, grant, hashed

logger = logging.getLogger(__name__)


class Hub:
    """Answers calls. One per process: Koji's plugin registry and path settings are global."""

    def __init__(self, settings):
        self.settings = settings
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        koji.pathinfo.topdir = str(settings.topdir)
        for name in ("packages", "repos", "work", "scratch"):
            (settings.topdir / name).mkdir(parents=True, exist_ok=True)
        self.database = Database(str(settings.state_dir / "hub.sqlite"))
        scheduler.LIMITS.update(settings.scheduler)
        older.pretend(settings.version)
        loaded = plugins.load_plugins(settings.plugins, [str(path) for path in settings.plugin_path])
        self.policies = policy.load(settings.policies, loaded)
        self._add_users()
        self.repo_maker = RepoMaker(self)
        self.repo_maker.start()

    def _add_users(self):
        with self.call_context("startup", {}, {}):
            for name, password, permissions in self.settings.users:
                found = find_user(name)
                user_id = found["id"] if found else create_user(name)
                if password:
                    context.db.update("users", user_id, password=hashed(password))
                from .users import user_permissions

                for permission in set(permissions) - set(user_permissions(user_id)):
                    grant(user_id, permission)

    def close(self):
        """Ends background work and closes the database."""
        self.repo_maker.stop()
        self.database.close()

    def call_context(self, method, headers, environ):
        """A transaction with `koji.context` set up for one call."""
        return _CallContext(self, method, headers, environ)

    def call(self, body, headers, environ):
        """Answers one XML-RPC request document with a response document (bytes). BadRequest for what is no request."""
        try:
            params, method = koji.xmlrpcplus.loads(body)
        except Fault as fault:
            raise BadRequest("Invalid request: a fault is not a request") from fault
        except Exception as error:  # noqa: BLE001 (whatever the parser raises, the request is bad)
            raise BadRequest(f"Invalid request: {error}") from error
        try:
            with self.call_context(method, headers, environ) as session:
                changes = self.database.changes()
                result = koji.xmlrpcplus.dumps((self.dispatch(method, params),), methodresponse=1)
                if self.database.changes() != changes:
                    session.store_callnum()
                wake = getattr(context, "after_commit", None)
            if wake:
                self.repo_maker.wake()
        except Fault as fault:
            result = koji.xmlrpcplus.dumps(fault)
        except Exception as error:  # noqa: BLE001 (every exception of a method is a fault for the caller)
            result = koji.xmlrpcplus.dumps(as_fault(error, method))
        return result.encode("utf-8")

    def dispatch(self, method, params):
        """Runs one method with decoded parameters."""
        if method in ("multiCall", "system.multicall"):
            return self.multicall(*params)
        context.method = method
        function = registry.handler(method)
        if method not in UNLOCKED_METHODS:
            context.session.validate()
        args, kwargs = koji.decode_args(*params)
        result = koji.util.call_with_argcheck(function, args, kwargs)
        # subsequent calls of a multicall make events of their own
        context.event_id = None
        return result

    def multicall(self, requests):
        """Runs several calls in one transaction; a failing one is undone alone."""
        results = []
        for call in requests:
            try:
                with self.database.savepoint():
                    results.append([self.dispatch(call["methodName"], call["params"])])
            except Fault as fault:
                results.append({"faultCode": fault.faultCode, "faultString": fault.faultString})
            except Exception as error:  # noqa: BLE001 (as in call)
                fault = as_fault(error, call.get("methodName"))
                results.append({"faultCode": fault.faultCode, "faultString": fault.faultString, "traceback": []})
        return results


class BadRequest(Exception):
    """The request is no XML-RPC call: HTTP 400, as the real hub answers."""


def as_fault(error, method):
    """The fault for an exception: Koji's own code, else 1 with the traceback."""
    if isinstance(error, koji.GenericError):
        logger.info("%s: fault %s: %s", method, error.faultCode, error)
        return Fault(error.faultCode, str(error))
    logger.exception("%s failed", method)
    return Fault(1, "".join(traceback.format_exception(type(error), error, error.__traceback__)))


class _CallContext:
    """Fills `koji.context` for one call and empties it afterwards."""

    def __init__(self, hub, method, headers, environ):
        self.hub, self.method, self.headers, self.environ = hub, method, headers, environ
        self.transaction = hub.database.transaction()

    def __enter__(self):
        self.transaction.__enter__()
        try:
            context.opts = {"KojiDir": str(self.hub.settings.topdir), "MissingPolicyOk": True}
            context.policy = self.hub.policies if hasattr(self.hub, "policies") else {}
            context.handlers = registry.HandlerAccess()
            context.environ = self.environ
            context.method = self.method
            context.event_id = None
            context.session = Session(self.headers, self.method, self.hub.settings.session_lifetime)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return context.session

    def __exit__(self, *exception):
        try:
            handled = self.transaction.__exit__(*exception)
            if exception[0] is None:
                koji.plugin.run_callbacks("postCommit")
            return handled
        finally:
            context._threadclear()
