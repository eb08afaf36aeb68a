"""Archives: the files of builds that are not RPMs, like container images; and a build's logs."""

import os

import koji

from .builds import find_build
from .database import db
from .lookups import lookup_name
from .registry import rpc
from .values import apply_query_opts, convert_value

COLUMNS = (
    "archiveinfo.id, archiveinfo.type_id, archiveinfo.btype_id, btype.name AS btype, archiveinfo.build_id,"
    " archiveinfo.buildroot_id, archiveinfo.filename, archiveinfo.size, archiveinfo.checksum, archiveinfo.checksum_type,"
    " archiveinfo.metadata_only, archiveinfo.extra, archivetypes.name AS type_name,"
    " archivetypes.description AS type_description, archivetypes.extensions AS type_extensions, archivetypes.compression_type"
)
JOINS = "JOIN archivetypes ON archivetypes.id = archiveinfo.type_id JOIN btype ON btype.id = archiveinfo.btype_id"


def find_archives(**wanted):
    """Archives whose columns (id, build_id, filename, size, checksum, checksum_type …) have the given values."""
    clauses = [f"archiveinfo.{name} = :{name}" for name in wanted] or ["1"]
    return db().all(f"SELECT {COLUMNS} FROM archiveinfo {JOINS} WHERE {' AND '.join(clauses)} ORDER BY archiveinfo.id", **wanted)


@rpc
def listArchives(
    buildID=None,
    buildrootID=None,
    componentBuildrootID=None,
    hostID=None,
    type=None,
    filename=None,
    size=None,
    checksum=None,
    checksum_type=None,
    typeInfo=None,
    queryOpts=None,
    imageID=None,
    archiveID=None,
    strict=False,
):
    """Archives of a build, from or in a buildroot, or inside another archive; with `type` those of a build type only"""
    given = {
        "build_id": buildID,
        "buildroot_id": buildrootID,
        "filename": filename,
        "size": size,
        "checksum": checksum,
        "checksum_type": checksum_type,
        "id": archiveID,
    }
    rows = find_archives(**{name: value for name, value in given.items() if value is not None})
    for component, table, column in (
        (componentBuildrootID, "buildroot_archives", "buildroot_id"),
        (imageID, "archive_components", "archive_id"),
    ):
        if component is not None:
            inside = "archive_id" if table == "buildroot_archives" else "component_id"
            found = db().all(f"SELECT {inside} AS id FROM {table} WHERE {column} = :component", component=component)
            rows = [row for row in rows if row["id"] in {entry["id"] for entry in found}]
    if hostID is not None:
        rows = []
    if type is not None:
        btype = lookup_name("btype", type)
        if btype is None:
            raise koji.GenericError(f"unsupported archive type: {type}")
        rows = [row for row in rows if row["btype_id"] == btype["id"]]
    if type == "image":
        rows = [{**row, "arch": _image_arch(row["id"])} for row in rows]
        if typeInfo and "arch" in typeInfo:
            wanted = typeInfo["arch"] if isinstance(typeInfo["arch"], list) else [typeInfo["arch"]]
            rows = [row for row in rows if row["arch"] in wanted]
    if not rows and strict:
        raise koji.GenericError("No archives found.")
    return apply_query_opts(rows, queryOpts)


def _image_arch(archive_id):
    return db().value("SELECT arch FROM image_archives WHERE archive_id = :id", id=archive_id)


@rpc
def getArchive(archive_id, strict=False):
    """One archive; an image has its arch, and rootid true when its RPMs are known"""
    rows = find_archives(id=convert_value(archive_id, int))
    if not rows:
        if strict:
            raise koji.GenericError(f"No such archive: {archive_id}")
        return None
    arch = _image_arch(rows[0]["id"])
    if arch is None:
        return rows[0]
    rpms = db().value("SELECT count(*) FROM archive_rpm_components WHERE archive_id = :id", id=rows[0]["id"])
    return {**rows[0], "arch": arch, "rootid": bool(rpms)}


@rpc
def getImageArchive(archive_id, strict=False):
    """{archive_id, arch, rootid} of an image archive"""
    found = getArchive(archive_id)
    if found is None or "arch" not in found:
        if strict:
            raise koji.GenericError(f"no such image archive: {archive_id}")
        return None
    return {"archive_id": found["id"], "arch": found["arch"], "rootid": found["rootid"]}


@rpc
def getImageBuild(buildInfo, strict=False):
    """{build_id} of a build that has images, or None"""
    build = find_build(buildInfo)
    found = build and db().one("SELECT build_id FROM image_builds WHERE build_id = :id", id=build["id"])
    if not found and strict:
        raise koji.GenericError(f"no such image build: {buildInfo}")
    return found or None


@rpc
def getBuildLogs(build):
    """A build's log files: [{name, dir, path below the top directory}]"""
    top = koji.pathinfo.build_logs(find_build(build, strict=True))
    logs = []
    for path, _, names in os.walk(top):
        directory = os.path.relpath(path, top)
        for name in sorted(names):
            if not os.path.islink(os.path.join(path, name)):
                relative = os.path.relpath(top, koji.pathinfo.topdir)
                logs.append({"name": name, "dir": directory, "path": f"{relative}/{directory}/{name}"})
    return logs
