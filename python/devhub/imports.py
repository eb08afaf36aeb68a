"""Imports by administrators: RPMs (`koji import`), signatures, and image archives."""

import base64
import hashlib
import os
import shutil

import koji
import koji.plugin
from koji.context import context

from .archives import find_archives
from .builds import COMPLETE, add_build_type, build_types, find_build, new_build
from .database import db
from .lookups import getArchiveType, lookup_name
from .registry import rpc
from .rpms import getRPM
from .uploads import CHUNK
from .values import convert_value

RPM_FIELDS = ("name", "version", "release", "epoch", "sourcepackage", "arch", "buildtime", "sourcerpm")


def work_path(relative):
    """A file in the work directory; GenericError when it is elsewhere or not a plain file."""
    root = koji.pathinfo.work()
    full = os.path.normpath(os.path.join(root, relative))
    if not full.startswith(root + os.sep):
        raise koji.GenericError(f"Invalid path: {relative}")
    if os.path.islink(full) or not os.path.isfile(full):
        raise koji.GenericError(f"No such file: {relative}")
    return full


def move_in(source, destination):
    """Moves a file to its place for good and leaves a link to it where it was uploaded."""
    if os.path.exists(destination):
        raise koji.GenericError(f"{destination} already exists")
    koji.ensuredir(os.path.dirname(destination))
    shutil.move(source, destination)
    os.symlink(os.path.relpath(destination, os.path.dirname(source)), source)


def digest_of(path, kind):
    """Hex digest of a file."""
    total = hashlib.new(kind)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def import_rpm(path, build=None, buildroot_id=None, extra=None):
    """Records an RPM file and moves it into its build's directory; its row with `build` and `build_id`.

    Without `build`, a source RPM makes its build, and a binary RPM goes to the build of its source RPM.
    """
    header = koji.get_rpm_header(path)
    info = koji.get_header_fields(header, RPM_FIELDS)
    if info["sourcepackage"] == 1:
        info["arch"] = "src"
    basename = os.path.basename(path)
    expected = koji.pathinfo.rpm(info).rpartition("/")[2]
    if basename != expected:
        raise koji.GenericError(f"bad filename: {basename} (expected {expected})")
    if build is None:
        build = _build_of(info)
    if koji.BUILD_STATES[build["state"]] in ("FAILED", "CANCELED", "DELETED"):
        raise koji.GenericError(f"Build is {koji.BUILD_STATES[build['state']]}: {build['nvr']}")
    row = {
        "build_id": build["id"],
        "buildroot_id": buildroot_id,
        "size": os.path.getsize(path),
        "external_repo_id": 0,
        "payloadhash": koji.hex_string(koji.get_header_field(header, "sigmd5")),
        "extra": extra,
        **{key: info[key] for key in ("name", "version", "release", "epoch", "arch", "buildtime")},
    }
    koji.plugin.run_callbacks("preImport", type="rpm", rpm=row, build=build, filepath=path, fileinfo=None)
    nvra = "{name}-{version}-{release}.{arch}".format(**row)
    if getRPM({**{key: row[key] for key in ("name", "version", "release", "arch")}}) is not None:
        raise koji.GenericError(f"RPM already exists: {nvra}")
    add_build_type(build["id"], "rpm")
    row["id"] = db().insert("rpminfo", **row)
    koji.plugin.run_callbacks("postImport", type="rpm", rpm=row, build=build, filepath=path, fileinfo=None)
    signature = koji.rip_rpm_sighdr(path)
    move_in(path, os.path.join(koji.pathinfo.build(build), koji.pathinfo.rpm(row)))
    add_signature(row, signature)
    return {**row, "build": build}


def _build_of(info):
    if info["sourcepackage"] == 1:
        found = find_build({key: info[key] for key in ("name", "version", "release")})
        return found or find_build(new_build(info, COMPLETE))
    found = find_build(koji.parse_NVRA(info["sourcerpm"]))
    if found is None:
        raise koji.GenericError("No such build")
    return found


def add_signature(rpm, header):
    """Stores a signature header of an RPM; the key's id, empty for an unsigned copy."""
    parsed = koji.RawHeader(header)
    sigmd5 = koji.hex_string(parsed.get(koji.RPM_SIGTAG_MD5))
    if sigmd5 != rpm["payloadhash"]:
        raise koji.GenericError(f"wrong md5 for {rpm['name']}-{rpm['version']}-{rpm['release']}.{rpm['arch']}: {sigmd5}")
    tags = (koji.RPM_SIGTAG_GPG, koji.RPM_SIGTAG_PGP, koji.RPM_SIGTAG_DSA, koji.RPM_SIGTAG_RSA)
    packet = next(filter(None, (parsed.get(tag) for tag in tags)), None)
    sigkey = koji.get_sigpacket_key_id(packet) if packet else ""
    sighash = hashlib.md5(header, usedforsecurity=False).hexdigest()
    build = find_build(rpm["build_id"], strict=True)
    if db().value("SELECT count(*) FROM rpmsigs WHERE rpm_id = :id AND sigkey = :key", id=rpm["id"], key=sigkey):
        raise koji.GenericError(f"Signature already exists for package {rpm['name']}, key {sigkey}")
    koji.plugin.run_callbacks("preRPMSign", sigkey=sigkey, sighash=sighash, build=build, rpm=rpm)
    db().insert("rpmsigs", rpm_id=rpm["id"], sigkey=sigkey, sighash=sighash)
    path = os.path.join(koji.pathinfo.build(build), koji.pathinfo.sighdr(rpm, sigkey))
    koji.ensuredir(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(header)
    koji.plugin.run_callbacks("postRPMSign", sigkey=sigkey, sighash=sighash, build=build, rpm=rpm)
    return sigkey


@rpc
def importRPM(path, basename):
    """Imports an uploaded RPM into its build (admins)"""
    context.session.assertPerm("admin")
    return import_rpm(work_path(f"{path}/{basename}"))


@rpc
def addRPMSig(an_rpm, data):
    """Stores a signature header (base64) of an RPM"""
    context.session.assertPerm("sign")
    rpm = getRPM(an_rpm, strict=True)
    if rpm["external_repo_id"]:
        raise koji.GenericError(f"Not an internal rpm: {an_rpm} (from {rpm['external_repo_name']})")
    add_signature(rpm, base64.b64decode(data))


@rpc
def writeSignedRPM(an_rpm, sigkey, force=False):
    """Writes the copy of an RPM that is signed with a known key into its build's directory"""
    context.session.assertPerm("sign")
    rpm = getRPM(an_rpm, strict=True)
    sigkey = sigkey.lower()
    top = koji.pathinfo.build(find_build(rpm["build_id"], strict=True))
    if not db().value("SELECT count(*) FROM rpmsigs WHERE rpm_id = :id AND sigkey = :key", id=rpm["id"], key=sigkey):
        raise koji.GenericError(f"No cached signature for package {rpm['name']}, key {sigkey}")
    signed = os.path.join(top, koji.pathinfo.signed(rpm, sigkey))
    if os.path.exists(signed) and not force:
        return
    koji.ensuredir(os.path.dirname(signed))
    with open(os.path.join(top, koji.pathinfo.sighdr(rpm, sigkey)), "rb") as file:
        header = file.read()
    koji.splice_rpm_sighdr(header, os.path.join(top, koji.pathinfo.rpm(rpm)), dst=signed)


@rpc
def createEmptyBuild(name, version, release, epoch, owner=None, draft=False):
    """Adds a build without content (admins); its id"""
    from .users import getUser

    context.session.assertPerm("admin")
    if draft:
        raise koji.GenericError("draft builds are not supported by the development hub")
    owner_id = getUser(owner, strict=True)["id"] if owner is not None else None
    data = {"name": name, "version": version, "release": release, "epoch": epoch, "owner": owner_id}
    return new_build(data, COMPLETE)


@rpc
def createImageBuild(build_info):
    """Marks a build as having images; adds it when it does not exist"""
    context.session.assertPerm("image-import")
    build = find_build(build_info)
    if build is None:
        if not isinstance(build_info, dict):
            raise koji.GenericError(f"Invalid type for build_info: {type(build_info)}")
        build = find_build(new_build({**build_info, "epoch": build_info.get("epoch")}, COMPLETE))
    add_build_type(build["id"], "image")


def insert_archive(build, btype, path, row, type_info, info=None):
    """Records an archive of a build and moves its file (None: metadata only) into place; its id."""
    kind = getArchiveType(row["filename"], strict=True)
    btype_id = lookup_name("btype", btype, strict=True)["id"]
    if btype not in build_types(build):
        raise koji.ImportError(f"Build does not have type {btype}")
    row = {**row, "build_id": build["id"], "btype_id": btype_id, "type_id": kind["id"]}
    callback = {"type": "archive", "archive": row, "build": build, "build_type": btype, "filepath": path, "fileinfo": info or {}}
    koji.plugin.run_callbacks("preImport", **callback)
    archive_id = db().insert("archiveinfo", **row)
    if btype == "image":
        arch = convert_value((type_info or {}).get("arch"), str, "image without arch", koji.GenericError)
        db().insert("image_archives", archive_id=archive_id, arch=arch)
        directory = koji.pathinfo.imagebuild(build)
    else:
        directory = os.path.join(koji.pathinfo.typedir(build, btype), (info or {}).get("subdir") or "")
    if path is not None:
        move_in(path, os.path.join(directory, row["filename"]))
    koji.plugin.run_callbacks("postImport", **{**callback, "archive": find_archives(id=archive_id)[0]})
    return archive_id


@rpc
def importArchive(filepath, buildinfo, type, typeInfo):
    """Imports an uploaded image file into a build"""
    if type != "image":
        raise koji.GenericError(f"unsupported archive type: {type}")
    context.session.assertPerm("image-import")
    path = work_path(filepath)
    row = {
        "filename": os.path.basename(path),
        "size": os.path.getsize(path),
        "checksum": digest_of(path, "sha256"),
        "checksum_type": koji.CHECKSUM_TYPES["sha256"],
    }
    insert_archive(find_build(buildinfo, strict=True), type, path, row, typeInfo)
