"""RPMs: what Koji knows about each, and its signatures."""

import os

import koji

from .database import db
from .registry import rpc
from .values import apply_query_opts, convert_value

RPM_COLUMNS = (
    "rpminfo.id, rpminfo.name, rpminfo.version, rpminfo.release, rpminfo.epoch, rpminfo.arch, rpminfo.draft, rpminfo.payloadhash,"
    " rpminfo.size, rpminfo.buildtime, rpminfo.build_id, rpminfo.buildroot_id, rpminfo.external_repo_id, rpminfo.metadata_only,"
    " rpminfo.extra"
)
JOINS = "LEFT JOIN external_repo ON external_repo.id = rpminfo.external_repo_id"
WITH_REPO = f"{RPM_COLUMNS}, COALESCE(external_repo.name, 'INTERNAL') AS external_repo_name"


def find_rpms(info):
    """All rows an id, N-V-R.A or struct can mean, the preferred one (internal, then newest) first."""
    if isinstance(info, str):
        info = {"id": int(info)} if info.isdigit() else koji.parse_NVRA(info)
    elif isinstance(info, int):
        info = {"id": info}
    if not isinstance(info, dict):
        raise koji.GenericError(f"Invalid type for rpminfo: {type(info)}")
    if "id" in info:
        clause, values = "rpminfo.id = :id", {"id": convert_value(info["id"], int)}
    else:
        missing = [key for key in ("name", "version", "release", "arch") if key not in info]
        if missing:
            raise koji.GenericError(f"did not provide {', '.join(missing)}")
        clause = "rpminfo.name = :name AND rpminfo.version = :version AND rpminfo.release = :release AND rpminfo.arch = :arch"
        values = {key: info[key] for key in ("name", "version", "release", "arch")}
    if info.get("location"):
        clause += " AND external_repo.name = :location"
        values["location"] = info["location"]
    return db().all(
        f"SELECT {WITH_REPO} FROM rpminfo {JOINS} WHERE {clause} ORDER BY rpminfo.external_repo_id != 0, rpminfo.id DESC",
        **values,
    )


@rpc
def getRPM(rpminfo, strict=False, multi=False):
    """One RPM by id, N-V-R.A or struct, or None; with `multi` all that match"""
    rows = find_rpms(rpminfo)
    if multi:
        return rows
    if rows:
        return rows[0]
    if strict:
        raise koji.GenericError(f"No such rpm: {rpminfo!r}")
    return None


@rpc
def listRPMs(
    buildID=None, buildrootID=None, imageID=None, componentBuildrootID=None, hostID=None, arches=None, queryOpts=None, draft=None
):
    """RPMs of a build, of a build's output from a buildroot, in an image archive, or in a buildroot"""
    joins, clauses, values, columns = JOINS, [], {}, WITH_REPO
    if buildID is not None:
        clauses.append("rpminfo.build_id = :build")
        values["build"] = buildID
    if buildrootID is not None:
        clauses.append("rpminfo.buildroot_id = :buildroot")
        values["buildroot"] = buildrootID
    if imageID is not None:
        joins += " JOIN archive_rpm_components AS part ON part.rpm_id = rpminfo.id"
        clauses.append("part.archive_id = :image")
        values["image"] = imageID
    if componentBuildrootID is not None:
        joins += " JOIN buildroot_listing AS listing ON listing.rpm_id = rpminfo.id"
        columns += ", listing.buildroot_id AS component_buildroot_id, listing.is_update"
        clauses.append("listing.buildroot_id = :component")
        values["component"] = componentBuildrootID
    if hostID is not None or draft:
        return apply_query_opts([], queryOpts)
    if arches is not None:
        clauses.append("rpminfo.arch IN :arches")
        values["arches"] = [arches] if isinstance(arches, str) else arches
    rows = db().all(
        f"SELECT {columns}, rpminfo.name || '-' || rpminfo.version || '-' || rpminfo.release AS nvr FROM rpminfo {joins}"
        f" WHERE {' AND '.join(clauses) or '1'} ORDER BY rpminfo.id",
        **values,
    )
    return apply_query_opts(rows, queryOpts)


@rpc
def listBuildRPMs(build):
    """RPMs of a build by id, N-V-R or struct"""
    from .builds import find_build

    return listRPMs(buildID=find_build(build, strict=True)["id"])


@rpc
def getRPMHeaders(rpmID=None, taskID=None, filepath=None, headers=None, strict=False):
    """Header fields (names in `headers`) of an imported RPM, or of an RPM file a task made; {} when there is no such file"""
    from .builds import find_build

    if rpmID is not None:
        rpm = getRPM(rpmID, strict=strict)
        if rpm is None or rpm["build_id"] is None:
            return {}
        path = os.path.join(koji.pathinfo.build(find_build(rpm["build_id"], strict=True)), koji.pathinfo.rpm(rpm))
    elif taskID is not None and filepath and ".." not in filepath:
        path = os.path.join(koji.pathinfo.work(), koji.pathinfo.taskrelpath(taskID), filepath)
    else:
        raise koji.GenericError("either rpmID or taskID and filepath must be specified")
    if not os.path.exists(path):
        if strict:
            raise koji.GenericError(f"Missing rpm file: {path}")
        return {}
    return koji.get_header_fields(koji.get_rpm_header(path), [name.lower() for name in headers or []])


@rpc
def queryRPMSigs(rpm_id=None, sigkey=None, queryOpts=None):
    """Known signatures: [{rpm_id, sigkey, sighash}]; sigkey "" is the unsigned copy"""
    if rpm_id is not None and not isinstance(rpm_id, int):
        found = getRPM(rpm_id)
        if found is None:
            return apply_query_opts([], queryOpts)
        rpm_id = found["id"]
    rows = db().all(
        "SELECT rpm_id, sigkey, sighash FROM rpmsigs WHERE (:rpm IS NULL OR rpm_id = :rpm)"
        " AND (:key IS NULL OR sigkey = :key) ORDER BY rpm_id, sigkey",
        rpm=rpm_id,
        key=None if sigkey is None else sigkey.lower(),
    )
    return apply_query_opts(rows, queryOpts)
