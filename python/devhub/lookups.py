"""Names and ids of the plain catalogues: permissions, channels, build types, content generators, volumes, archive types."""

import koji
from koji.context import context

from .database import db
from .registry import rpc
from .values import name_or_id


def lookup_name(table, info, strict=False, create=False):
    """{id, name} of an entry; None when there is none, unless `strict` (GenericError) or `create` (made)."""
    column, value = name_or_id(info)
    row = db().one(f"SELECT id, name FROM {table} WHERE {column} = :value", value=value)
    if row is not None:
        return row
    if strict:
        raise koji.GenericError(f"No such entry in table {table}: {info}")
    if create:
        if column != "name":
            raise koji.GenericError("Name must be a string")
        return {"id": db().insert(table, name=value), "name": value}
    return None


@rpc
def listBTypes(query=None, queryOpts=None):
    """Build types: [{id, name}]"""
    rows = db().all("SELECT id, name FROM btype ORDER BY id")
    return [row for row in rows if all(row.get(key) == value for key, value in (query or {}).items())]


@rpc
def addBType(name):
    """Adds a build type"""
    context.session.assertPerm("admin")
    if lookup_name("btype", name):
        raise koji.GenericError("btype already exists")
    lookup_name("btype", name, create=True)


@rpc
def listVolumes():
    """Storage volumes: [{id, name}]"""
    return db().all("SELECT id, name FROM volume ORDER BY id")


@rpc
def getVolume(volume, strict=False):
    """One storage volume: {id, name}"""
    return lookup_name("volume", volume, strict=strict)


@rpc
def getArchiveTypes():
    """Kinds of archive files: [{id, name, description, extensions, compression_type}]"""
    return db().all("SELECT id, name, description, extensions, compression_type FROM archivetypes ORDER BY id")


@rpc
def getArchiveType(filename=None, type_name=None, type_id=None, strict=False):
    """The kind of an archive file, by file name, type name or type id"""
    given = [x for x in (filename, type_name, type_id) if x is not None]
    if len(given) != 1:
        raise koji.GenericError("one of filename, type_name and type_id must be specified")
    for kind in getArchiveTypes():
        if type_name == kind["name"] or type_id == kind["id"]:
            return kind
        if filename and any(filename.endswith("." + extension) for extension in kind["extensions"].split()):
            return kind
    if strict:
        raise koji.GenericError(f"unsupported file extension: {filename or given[0]}")
    return None


@rpc
def addArchiveType(name, description, extensions, compression_type=None):
    """Adds a kind of archive files"""
    context.session.assertPerm("admin")
    if lookup_name("archivetypes", name):
        raise koji.GenericError(f"archivetype {name} already exists")
    db().insert("archivetypes", name=name, description=description, extensions=extensions, compression_type=compression_type)
