"""Users and their permissions."""

import hashlib
import hmac
import os

import koji
from koji.context import context

from .database import db
from .events import add_version, revoke_version
from .lookups import lookup_name
from .registry import rpc
from .values import apply_query_opts, convert_value

NORMAL = koji.USERTYPES["NORMAL"]


def find_user(info):
    """The row of a user by id, name, or struct with either; None when there is none."""
    if isinstance(info, dict):
        info = info.get("id") if info.get("id") is not None else info.get("name") or info.get("krb_principal")
    if isinstance(info, bool) or not isinstance(info, (int, str)):
        raise koji.GenericError(f"Invalid type for userInfo: {type(info)}")
    column = "id" if isinstance(info, int) else "name"
    return db().one(f"SELECT id, name, status, usertype FROM users WHERE {column} = :info", info=info)


def find_principal(principal):
    """The row of the user with a Kerberos principal; None when there is none."""
    user_id = db().value("SELECT id FROM users WHERE krb_principal = :principal", principal=principal)
    return find_user(user_id) if user_id else None


def principals(user_id):
    """The Kerberos principals of a user: at most one here."""
    principal = db().value("SELECT krb_principal FROM users WHERE id = :id", id=user_id)
    return [principal] if principal else []


def create_user(name, usertype=NORMAL, password=None, krb_principal=None):
    """Adds a user; its id."""
    stored = hashed(password) if password else None
    return db().insert("users", name=name, usertype=usertype, password=stored, krb_principal=krb_principal)


def hashed(password):
    """A salted hash for the password column."""
    salt = os.urandom(16)
    return salt.hex() + ":" + hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1).hex()


def password_matches(stored, password):
    """Whether a password is the one whose hash is stored."""
    salt, _, digest = (stored or ":").partition(":")
    found = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=2**12, r=8, p=1).hex()
    return bool(digest) and hmac.compare_digest(found, digest)


def user_permissions(user_id):
    """Names of a user's permissions."""
    rows = db().all(
        "SELECT permissions.name FROM user_perms JOIN permissions ON permissions.id = perm_id"
        " WHERE user_id = :user_id AND revoke_event IS NULL ORDER BY permissions.name",
        user_id=user_id,
    )
    return [row["name"] for row in rows]


def grant(user_id, permission):
    """Gives a permission, without asking who may."""
    perm_id = lookup_name("permissions", permission, strict=True)["id"]
    add_version("user_perms", {"user_id": user_id, "perm_id": perm_id})


@rpc
def getUser(userInfo=None, strict=False, krb_princs=True, groups=False):
    """One user: {id, name, status, usertype, krb_principals}; the caller when none is named"""
    if userInfo is None:
        userInfo = context.session.user_id
        if userInfo is None:
            raise koji.GenericError("No user provided")
    user = find_user(userInfo)
    if user is None:
        if strict:
            raise koji.GenericError(f"No such user: {userInfo!r}")
        return None
    if krb_princs:
        user["krb_principals"] = principals(user["id"])
    if groups:
        user["groups"] = []
    return user


@rpc
def getLoggedInUser():
    """The caller, or None"""
    if not context.session.logged_in:
        return None
    user = getUser(context.session.user_id)
    user["authtype"] = context.session.authtype
    user["krb_principal"] = (user["krb_principals"] or [None])[0]
    return user


@rpc
def listUsers(userType=NORMAL, prefix=None, queryOpts=None, perm=None, inherited_perm=False):
    """Users: [{id, name, status, usertype, krb_principals}]"""
    rows = db().all("SELECT id, name, status, usertype FROM users ORDER BY id")
    kinds = userType if isinstance(userType, list) else [userType]
    rows = [row for row in rows if userType is None or row["usertype"] in kinds]
    rows = [row for row in rows if not prefix or row["name"].lower().startswith(prefix.lower())]
    if perm:
        rows = [row for row in rows if perm in user_permissions(row["id"])]
    for row in rows:
        row["krb_principals"] = principals(row["id"])
    return apply_query_opts(rows, queryOpts)


@rpc
def createUser(username, status=None, krb_principal=None):
    """Adds a user; its id"""
    context.session.assertPerm("admin")
    convert_value(username, str, check_only=True)
    if find_user(username):
        raise koji.GenericError(f"user already exists: {username}")
    user_id = create_user(username, krb_principal=krb_principal)
    if status is not None:
        db().update("users", user_id, status=convert_value(status, int))
    return user_id


def _set_status(username, status):
    context.session.assertPerm("admin")
    db().update("users", getUser(username, strict=True)["id"], status=koji.USER_STATUS[status])


@rpc
def enableUser(username):
    """Lets a user log in"""
    _set_status(username, "NORMAL")


@rpc
def disableUser(username):
    """Stops a user from logging in"""
    _set_status(username, "BLOCKED")


@rpc
def hasPerm(perm, strict=False):
    """Whether the caller has a permission"""
    if strict:
        lookup_name("permissions", perm, strict=True)
    return context.session.hasPerm(perm)


@rpc
def getPerms():
    """The caller's permissions"""
    return context.session.getPerms()


@rpc
def getUserPerms(userID=None, with_groups=True):
    """A user's permissions"""
    return user_permissions(getUser(userID, strict=True)["id"])


@rpc
def getUserPermsInheritance(userID):
    """A user's permissions with the groups they come from (no groups here): {permission: [None]}"""
    return {name: [None] for name in getUserPerms(userID)}


@rpc
def getUserGroups(user):
    """A user's groups; there are none here"""
    getUser(user, strict=True)
    return []


@rpc
def getAllPerms():
    """All permissions: [{id, name, description}]"""
    return db().all("SELECT id, name, description FROM permissions ORDER BY id")


@rpc
def grantPermission(userinfo, permission, create=False, description=None):
    """Gives a user a permission"""
    context.session.assertPerm("admin")
    user = getUser(userinfo, strict=True)
    if not lookup_name("permissions", permission) and create:
        db().insert("permissions", name=permission, description=description)
    name = lookup_name("permissions", permission, strict=True)["name"]
    if name in user_permissions(user["id"]):
        raise koji.GenericError(f"user {user['name']} already has permission: {permission}")
    grant(user["id"], name)


@rpc
def revokePermission(userinfo, permission):
    """Takes a permission from a user"""
    context.session.assertPerm("admin")
    user = getUser(userinfo, strict=True)
    perm_id = lookup_name("permissions", permission, strict=True)["id"]
    if not revoke_version("user_perms", user_id=user["id"], perm_id=perm_id):
        raise koji.GenericError(f"user {user['name']} does not have permission: {permission}")
