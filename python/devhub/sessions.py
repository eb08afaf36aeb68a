"""Sessions: login, the headers of later calls, call numbers, exclusive sessions and sub-sessions.

The rules are the real hub's: a session renews itself with its old headers and gets a new key; a call number lower than the stored
one is a SequenceError, an equal one a RetryError (the first try did its work, its answer was lost); a number is stored only with
a call that wrote something; one session of a user can be exclusive and then locks out the others.
"""

import secrets
import time

import koji
from koji.context import context

from . import older
from .database import db
from .registry import rpc
from .users import create_user, find_principal, find_user, password_matches, user_permissions

# Repeating these does no harm, so an equal call number is let through.
REPEATABLE = {
    "host.taskWait",
    "host.taskUnwait",
    "host.taskSetWait",
    "host.updateHost",
    "host.setBuildRootState",
    "repoExpire",
    "repoDelete",
    "repoProblem",
}
LOGIN_METHODS = {"login", "sslLogin"}
UNLOCKED_METHODS = {"exclusiveSession", "login", "logout"}


class Session:
    """Who is calling. Made from the headers of a request before its method runs; `context.session` for plugins."""

    def __init__(self, headers, method, lifetime):
        self.id = self.key = self.user_id = self.authtype = self.master = self.callnum = None
        self.user_data = {}
        self.session_data = {}
        self.logged_in = False
        self.exclusive = False
        self.lockerror = None
        self._perms = None
        self._host_id = None
        if headers.get("Koji-Session-Id") is not None:
            self._load(headers, method, lifetime)

    def _load(self, headers, method, lifetime):
        row = db().one(
            "SELECT *, start_time * 1.0 AS start_ts, renew_time * 1.0 AS renew_ts FROM sessions"
            " WHERE id = :id AND key = :key AND NOT closed",
            id=_number(headers["Koji-Session-Id"]),
            key=headers.get("Koji-Session-Key", ""),
        )
        if row is None:
            raise koji.AuthError("Invalid session or bad credentials")
        self.id, self.key, self.master = row["id"], row["key"], row["master"]
        expired = row["expired"]
        if not expired and lifetime and time.time() > (row["renew_ts"] or row["start_ts"]) + lifetime:
            expired = True
            db().run("UPDATE sessions SET expired = 1 WHERE id = :id OR master = :id", id=self.id)
            db().commit()
        if expired and method not in LOGIN_METHODS:
            raise koji.AuthExpired(f'session "{self.id}" has expired')
        self._check_callnum(headers, row["callnum"], method)
        if expired:
            # A renewal: its number is not kept, as on a real hub. The stock client counts from 0 again after it.
            self.callnum = None
            return
        user = find_user(row["user_id"])
        _check_allowed(user)
        holder = db().value("SELECT id FROM sessions WHERE user_id = :user AND exclusive AND NOT closed", user=row["user_id"])
        self.exclusive = holder is not None and holder in (self.id, row["master"])
        if holder is not None and not self.exclusive:
            self.lockerror = "User locked by another session"
        db().update("sessions", self.id, update_time=time.time())
        db().commit()
        self.user_id, self.authtype, self.user_data, self.session_data = user["id"], row["authtype"], user, row
        self.logged_in = True

    def _check_callnum(self, headers, last, method):
        text = older.callnum_header(headers)
        if text is None:
            return
        self.callnum = _number(text)
        if last is None or last < self.callnum:
            return
        if last > self.callnum:
            raise koji.SequenceError(f"{last} > {self.callnum} (session {self.id})")
        if method not in REPEATABLE:
            raise koji.RetryError(f"unable to retry call {self.callnum} (method {method}) for session {self.id}")

    def store_callnum(self):
        """Remembers the call as done; called when it wrote something."""
        if self.id is not None and self.callnum is not None:
            db().update("sessions", self.id, callnum=self.callnum)

    def validate(self):
        """Refuses a session that another, exclusive one locks out."""
        if self.lockerror:
            raise koji.AuthLockError(self.lockerror)
        return True

    @property
    def host_id(self):
        """The host whose user the caller is, or None."""
        if self._host_id is None and self.user_id is not None:
            self._host_id = db().value("SELECT id FROM host WHERE user_id = :user", user=self.user_id)
        return self._host_id

    def getHostId(self):
        return self.host_id

    def getPerms(self):
        if not self.logged_in:
            return []
        if self._perms is None:
            self._perms = user_permissions(self.user_id)
        return self._perms

    def hasPerm(self, name):
        return name in self.getPerms()

    def assertPerm(self, name):
        if not (self.hasPerm(name) or self.hasPerm("admin")):
            who = f"logged in as {self.user_data['name']}" if self.logged_in else "user not logged in"
            raise koji.ActionNotAllowed(f"{name} permission required ({who})")

    def assertLogin(self):
        if not self.logged_in:
            raise koji.ActionNotAllowed("you must be logged in for this operation")

    def isUser(self, user_id):
        return self.logged_in and self.user_id == user_id

    def assertUser(self, user_id):
        if not self.isUser(user_id) and not self.hasPerm("admin"):
            raise koji.ActionNotAllowed("not owner")

    def __str__(self):
        return f"session {self.id} of {self.user_data.get('name')}" if self.logged_in else "session: not logged in"


def _number(text):
    try:
        return int(text)
    except ValueError:
        raise koji.AuthError(f"Invalid session header: {text!r}") from None


def _check_allowed(user):
    if user["status"] != koji.USER_STATUS["NORMAL"]:
        raise koji.AuthError(f"logins by {user['name']} are not allowed")


def _create(user_id, authtype, master=None, renew=False, exclusive=False):
    session = context.session
    now = time.time()
    key = f"{user_id}-{secrets.token_urlsafe(24)}"
    if renew and session.id is not None:
        if session.master is not None and not db().value(
            "SELECT count(*) FROM sessions WHERE id = :id AND NOT closed", id=session.master
        ):
            return None
        session_id = session.id
        db().update("sessions", session_id, key=key, expired=False, update_time=now, renew_time=now)
    else:
        session_id = db().insert(
            "sessions", user_id=user_id, key=key, authtype=authtype, start_time=now, update_time=now, master=master
        )
    if exclusive and not db().value("SELECT exclusive FROM sessions WHERE id = :id", id=session_id):
        _make_exclusive(session_id, user_id)
    return {"session-id": session_id, "session-key": key, "header-auth": True}


def _make_exclusive(session_id, user_id, force=False):
    holder = db().value("SELECT id FROM sessions WHERE user_id = :user AND exclusive AND NOT closed", user=user_id)
    if holder is not None:
        if not force:
            raise koji.AuthLockError("Cannot get exclusive session")
        db().update("sessions", holder, expired=True, exclusive=False, closed=True)
    db().update("sessions", session_id, exclusive=True)


def _close(where, **values):
    db().run(f"UPDATE sessions SET expired = 1, exclusive = 0, closed = 1 WHERE {where}", **values)


@rpc
def login(user, password, opts=None, renew=False, exclusive=False):
    """Logs in with a password: {session-id, session-key, header-auth}"""
    session = context.session
    if session.logged_in:
        raise koji.AuthError("Already logged in")
    found = find_user(user) if isinstance(user, str) else None
    stored = db().value("SELECT password FROM users WHERE id = :id", id=found["id"]) if found else None
    if not isinstance(password, str) or not stored or not password_matches(stored, password):
        raise koji.AuthError("invalid username or password")
    _check_allowed(found)
    return _create(found["id"], koji.AUTHTYPES["NORMAL"], renew=renew, exclusive=exclusive)


@rpc
def sslLogin(proxyuser=None, proxyauthtype=None, renew=False, exclusive=None):
    """Logs in as the client certificate's common name, or as who a proxy says; an unknown user is created"""
    session = context.session
    if session.logged_in:
        raise koji.AuthError("Already logged in")
    principal = context.environ.get("REMOTE_USER")
    name = principal or context.environ.get("SSL_CLIENT_S_DN_CN")
    if not name:
        raise koji.AuthError("could not verify client: NONE")
    if proxyuser:
        raise koji.AuthError(f"{name} is not authorized to login other users")
    if principal and "@" in principal:
        found = find_principal(principal)
        user_id = found["id"] if found else create_user(principal.partition("@")[0], krb_principal=principal)
    else:
        found = find_user(name)
        user_id = found["id"] if found else create_user(name)
    _check_allowed(find_user(user_id))
    authtype = koji.AUTHTYPES["GSSAPI" if principal else "SSL"]
    return _create(user_id, authtype, renew=renew, exclusive=exclusive)


def _assert_logged_in():
    if not context.session.logged_in:
        raise koji.AuthError("Not logged in")


@rpc
def logout(session_id=None):
    """Closes the caller's session and its sub-sessions, or (owner and admins) another one"""
    _assert_logged_in()
    session = context.session
    if session_id and not session.hasPerm("admin"):
        owner = db().value("SELECT user_id FROM sessions WHERE id = :id", id=session_id)
        if owner != session.user_id:
            raise koji.ActionNotAllowed("only admins or owner may logout other session")
    _close("id = :id OR master = :id", id=session_id or session.id)
    if not session_id:
        session.logged_in = False


@rpc
def logoutChild(session_id):
    """Closes a sub-session of the caller's"""
    _assert_logged_in()
    _close("id = :id AND master = :master", id=session_id, master=context.session.id)


@rpc
def subsession():
    """Opens a sub-session of the caller's session"""
    _assert_logged_in()
    session = context.session
    return _create(session.user_id, session.authtype, master=session.master or session.id)


@rpc
def exclusiveSession(force=False):
    """Makes the caller's session its user's exclusive one; `force` closes the one that is"""
    _assert_logged_in()
    session = context.session
    if session.master is not None:
        raise koji.GenericError("subsessions cannot become exclusive")
    if session.exclusive:
        raise koji.GenericError("session is already exclusive")
    _make_exclusive(session.id, session.user_id, force)


@rpc
def sharedSession():
    """Ends the caller's exclusive hold"""
    _assert_logged_in()
    db().update("sessions", context.session.id, exclusive=False)


@rpc
def getSessionInfo(details=False, user_id=None):
    """About the caller's session, None when not logged in; with details: all of a user's sessions"""
    session = context.session
    if not session.logged_in:
        return None
    if details:
        if user_id is not None and user_id != session.user_id:
            session.assertPerm("admin")
        return db().all(
            "SELECT id, user_id, authtype, callnum, start_time, update_time, start_time * 1.0 AS start_ts,"
            " exclusive, expired, master FROM sessions WHERE user_id = :user AND NOT closed ORDER BY id",
            user=user_id or session.user_id,
        )
    known = session.session_data
    return {
        "id": session.id,
        "user_id": session.user_id,
        "authtype": session.authtype,
        "callnum": known["callnum"],
        "exclusive": known["exclusive"],
        "expired": known["expired"],
        "master": session.master,
        "start_time": known["start_time"],
        "start_ts": known["start_ts"],
        "update_time": known["update_time"],
        "user_data": session.user_data,
        "logged_in": True,
        "message": "",
        "lockerror": session.lockerror,
    }


@rpc
def showSession():
    """The caller's session as text"""
    return str(context.session)
