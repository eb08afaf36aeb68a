"""Content generators: who may import for which, and reservations of builds (CGInitBuild, CGRefundBuild)."""

import secrets

import koji
from koji.context import context

from . import older
from .builds import BUILD_CANCELED, BUILD_FAILED, BUILDING, find_build, new_build, set_state
from .database import db
from .events import add_version, revoke_version
from .lookups import lookup_name
from .registry import rpc
from .users import getUser


def assert_cg(cg):
    """The content generator; AuthError unless the caller may import for it (being an admin is not enough)."""
    found = lookup_name("content_generator", cg, strict=True)
    context.session.assertLogin()
    granted = db().value(
        "SELECT count(*) FROM cg_users WHERE cg_id = :cg AND user_id = :user AND revoke_event IS NULL",
        cg=found["id"],
        user=context.session.user_id,
    )
    if not granted:
        raise koji.AuthError(f"Content generator access required ({found['name']})")
    return found


def reservation(build_id):
    """The token of a reserved build, or None."""
    return db().value("SELECT token FROM build_reservations WHERE build_id = :id", id=build_id)


@rpc
def listCGs():
    """{name: {id, users}} of all content generators that somebody may import for"""
    rows = db().all(
        "SELECT content_generator.id, content_generator.name, users.name AS user FROM cg_users"
        " JOIN content_generator ON content_generator.id = cg_id JOIN users ON users.id = user_id"
        " WHERE revoke_event IS NULL ORDER BY content_generator.id, users.name"
    )
    found = {}
    for row in rows:
        found.setdefault(row["name"], {"id": row["id"], "users": []})["users"].append(row["user"])
    return found


@rpc
def grantCGAccess(user, cg, create=False):
    """Lets a user import for a content generator (admins)"""
    context.session.assertPerm("admin")
    user_id = getUser(user, strict=True)["id"]
    found = lookup_name("content_generator", cg, strict=not create, create=create)
    if user_id in _users(found["id"]):
        raise koji.GenericError(f"User already has access to content generator {found['name']}")
    add_version("cg_users", {"cg_id": found["id"], "user_id": user_id})


def _users(cg_id):
    rows = db().all("SELECT user_id FROM cg_users WHERE cg_id = :cg AND revoke_event IS NULL", cg=cg_id)
    return [row["user_id"] for row in rows]


@rpc
def revokeCGAccess(user, cg):
    """Ends a user's right to import for a content generator (admins)"""
    context.session.assertPerm("admin")
    revoke_version(
        "cg_users", cg_id=lookup_name("content_generator", cg, strict=True)["id"], user_id=getUser(user, strict=True)["id"]
    )


@rpc
def CGInitBuild(cg, data):
    """Reserves a name, version and release for an import: {build_id, token}"""
    found = assert_cg(cg)
    if data.get("draft"):
        raise koji.GenericError("draft builds are not supported by the development hub")
    keys = ("name", "version", "release", "epoch", "task_id", "source", "extra")
    row = {key: data.get(key) for key in keys}
    if older.is_before(1, 33):
        row["task_id"] = None  # not kept with a reservation
    build_id = new_build({**row, "cg_id": found["id"], "owner": context.session.user_id}, BUILDING)
    token = secrets.token_hex(32)
    db().insert("build_reservations", build_id=build_id, token=token)
    return {"build_id": build_id, "token": token}


@rpc
def CGRefundBuild(cg, build_id, token, state=BUILD_FAILED):
    """Gives a reservation back; the build becomes FAILED or CANCELED"""
    found = assert_cg(cg)
    build = find_build(build_id, strict=True)
    if build["state"] != BUILDING:
        raise koji.GenericError(f"Build ID {build['id']} is not in BUILDING state")
    if state not in (BUILD_FAILED, BUILD_CANCELED):
        raise koji.GenericError(f"State {state} not allowed for refund")
    if not token or reservation(build["id"]) != token:
        raise koji.GenericError(f"Token doesn't match build ID {build['id']}")
    if build["cg_id"] != found["id"]:
        raise koji.GenericError(f"Build ID {build['id']} is not reserved by this CG")
    set_state(build["id"], state)
    db().run("DELETE FROM build_reservations WHERE build_id = :id", id=build["id"])
