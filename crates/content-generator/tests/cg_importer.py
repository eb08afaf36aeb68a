"""Feeds a metadata document to Koji's CG_Importer and prints what it makes of it.

usage: cg_importer.py KOJI_SOURCE DIRECTORY   (DIRECTORY/metadata.json is the document)

Only the checks run, nothing is stored: the functions that ask the database are replaced by ones that answer
as a hub with this reservation, these users and these RPMs would. The archive types are read from Koji's schema.
"""
import json
import os
import re
import sys
import tempfile
import types

source, directory = sys.argv[1:3]
sys.path.insert(0, source)
try:
    import psycopg2  # noqa: F401
except ImportError:  # only imported by the hub, never used here
    for name in ("psycopg2", "psycopg2.extensions", "psycopg2.extras"):
        sys.modules[name] = types.ModuleType(name)

import koji  # noqa: E402
from kojihub import kojihub  # noqa: E402

# uploaded files with the size and checksum the document promises do not exist: make getsize and the digest agree
with open(os.path.join(directory, "metadata.json")) as fo:
    document = json.load(fo)
promised = {o["filename"]: o for o in document["output"]}
for name in promised:
    open(os.path.join(directory, name), "wb").close()
real_getsize = os.path.getsize
os.path.getsize = lambda p: promised.get(os.path.basename(p), {}).get("filesize") or real_getsize(p)
current = []


class Digest:
    def update(self, data):
        pass

    def hexdigest(self):
        return current.pop(0)


for output in document["output"]:
    current.append(output["checksum"])


def get_verify_class(kind):
    assert kind in ("md5", "sha256", "adler32"), kind
    return Digest


build = document["build"]
ids = {}


def get_rpm(comp, strict=False):
    nvra = tuple(comp[k] for k in ("name", "version", "release", "arch"))
    return {"id": ids.setdefault(nvra, len(ids)), "payloadhash": comp.get("sigmd5"), "draft": False, "nvra": nvra}


def lookup_name(table, name, strict=False, create=False):
    known = {"content_generator": ["containerbuild", "other"], "btype": ["image", "icm", "rpm", "maven", "win"]}
    if name not in known[table]:
        raise koji.GenericError("No such entry in table %s: %s" % (table, name))
    return {"id": known[table].index(name) + 1, "name": name}


def schema_types():
    with open(os.path.join(source, "schemas", "schema.sql")) as schema:
        text = schema.read()
    return {m[0]: m[1].split() for m in re.findall(
        r"INSERT INTO archivetypes \([^)]*\) VALUES \('([^']+)', '(?:[^']|'')*', '([^']*)'", text)}


class Query:
    """Stands for the one query of get_archive_type."""

    def __init__(self, **kwargs):
        self.values = {}

    def execute(self):
        found = [n for n, exts in schema_types().items() if self.values["ext"] in exts]
        return [{"id": 1, "name": n} for n in found]


def unique(what, keys):
    keys = list(keys)
    if len(set(keys)) != len(keys):
        raise koji.GenericError("duplicate key in " + what)


kojihub.lookup_name = lookup_name
kojihub.assert_cg = lambda cg: None
kojihub.get_build = lambda info, strict=False: {
    "id": 77, "cg_id": 1, "task_id": 4711, "state": koji.BUILD_STATES["BUILDING"], "draft": False,
    "name": build["name"], "version": build["version"], "release": build["release"], "epoch": None}
kojihub.get_reservation_token = lambda build_id: {"token": "t"}
kojihub.get_user = lambda name, strict=False: {"id": 3}
kojihub.get_rpm = get_rpm
kojihub.get_verify_class = get_verify_class
kojihub.QueryProcessor = Query
koji.pathinfo.topdir = tempfile.mkdtemp()
koji.pathinfo.work = lambda **kw: os.path.dirname(directory)

importer = kojihub.CG_Importer()
log = []
importer.log = lambda msg, level=None: log.append(msg)
importer.log_warning = importer.log_error = importer.log
result = {"error": None, "log": log}
try:
    importer.directory = os.path.basename(directory)
    importer.get_metadata("metadata.json", importer.directory)
    importer.assert_cg_access()
    importer.prep_build("t")
    importer.prep_brs()
    importer.prep_outputs()
    for prepared in importer.br_prep.values():
        unique("buildroot_tools_info", (t["name"] for t in prepared["tools"]))
        unique("buildroot_listing", (r["id"] for r in prepared["rpmlist"]))
    outputs = []
    for output in importer.prepped_outputs:
        entry = {"filename": output["filename"], "btype": output.get("hub.btype")}
        if entry["btype"]:
            entry["arch"] = output["hub.type_info"].get("arch")
            entry["rpms"] = len(output.get("hub.rpmlist", []))
            entry["archive_type"] = kojihub.get_archive_type(output["filename"], strict=True)["name"]
            unique("archive_rpm_components", (r["id"] for r in output.get("hub.rpmlist", [])))
        outputs.append(entry)
    result.update(outputs=outputs, types=sorted(importer.typeinfo), build={
        k: importer.buildinfo[k] for k in ("task_id", "build_id", "source", "cg_id")})
except Exception as error:  # the hub would turn any of them into a fault
    result["error"] = "%s: %s" % (type(error).__name__, error)
print(json.dumps(result))
