"""CGImport: a build described by a content generator's metadata (version 0) and uploaded files.

The checks and their order are the real hub's; so is what it does not check: an RPM component it does not know is dropped
with a log line, one with another SIGMD5 is recorded as the RPM of that name (hubs before 1.36). The hub plugin's preImport
callback, which runs after all checks and before anything is written, refuses both.
"""

import json
import logging
import os
import shutil

import koji
import koji.plugin
from koji.context import context

from . import policy
from .archives import find_archives
from .buildroots import EXTERNAL
from .builds import BUILD_CANCELED, BUILD_FAILED, BUILDING, COMPLETE, add_build_type, find_build, new_build, set_state
from .content_generator import assert_cg, reservation
from .database import db
from .imports import digest_of, import_rpm, insert_archive, move_in, work_path
from .lookups import lookup_name
from .registry import rpc
from .rpms import find_rpms
from .users import getUser
from .values import convert_value

logger = logging.getLogger(__name__)
LEGACY_TYPES = ("maven", "win", "image")


@rpc
def CGImport(metadata, directory, token=None):
    """Imports a build; `metadata` is a struct, JSON text, or the name of an uploaded .json file in `directory`"""
    return Importer(metadata, directory, token).run()


class Importer:
    """One import. Everything is checked before the callback runs; nothing is written before that."""

    def __init__(self, metadata, directory, token):
        self.directory = directory
        self.token = token
        self.raw, self.metadata = self._read(metadata)

    def _read(self, metadata):
        if isinstance(metadata, dict):
            return json.dumps(metadata, indent=2), metadata
        text = convert_value("metadata.json" if metadata is None else metadata, str, check_only=True)
        if text.endswith(".json"):
            with open(work_path(f"{self.directory}/{text}"), encoding="utf-8") as file:
                text = file.read()
        try:
            return text, json.loads(text)
        except ValueError as error:
            raise koji.GenericError(f"Invalid json data for metadata: {error}") from error

    def run(self):
        if self.metadata["metadata_version"] != 0:
            raise koji.GenericError(f"No such metadata version: {self.metadata['metadata_version']!r}")
        self.cg = self._content_generator()
        self.build = self._check_build()
        self.types = self._build_types()
        self.roots = self._check_buildroots()
        self.outputs = [self._check_output(dict(entry)) for entry in self.metadata["output"]]
        policy.assert_policy(
            "cg_import",
            {
                "package": self.build["name"],
                "version": self.build["version"],
                "release": self.build["release"],
                "btypes": list(self.types),
                "source": self.build["source"],
                "draft": False,
                "cg_list": [self.cg["id"]],
                "metadata_only": any(entry.get("metadata_only") for entry in self.outputs),
            },
        )
        top = koji.pathinfo.build({**self.build, "volume_name": "DEFAULT"})
        if os.path.lexists(top):
            raise koji.GenericError(f"Destination directory already exists: {top}")
        koji.plugin.run_callbacks("preImport", type="cg", metadata=self.metadata, directory=self.directory)
        build = self._store_build()
        roots = {fake_id: self._store_buildroot(root) for fake_id, root in self.roots.items()}
        try:
            for entry in self.outputs:
                self._store_output(build, roots[entry["buildroot_id"]], entry)
            koji.ensuredir(top)
            with open(os.path.join(top, "metadata.json"), "w", encoding="utf-8") as file:
                file.write(self.raw)
        except Exception:
            # As the real hub: the moved files go too, a retry uploads again.
            shutil.rmtree(top, ignore_errors=True)
            raise
        koji.plugin.run_callbacks("postImport", type="cg", metadata=self.metadata, directory=self.directory, build=build)
        return build

    def _content_generator(self):
        names = {root["content_generator"]["name"] for root in self.metadata["buildroots"]}
        if len(names) != 1:
            raise koji.GenericError("Koji now support only one content-generator per import")
        return assert_cg(names.pop())

    def _task_id(self):
        described = self.metadata["build"]
        given = [described[key] for key in ("task_id",) if key in described]
        given += [described["extra"][key] for key in ("container_koji_task_id",) if key in (described.get("extra") or {})]
        numbers = {convert_value(number, int, none_allowed=True) for number in given}
        if len(numbers) > 1:
            raise koji.GenericError(f"CG provided non-matching task_id and container_koji_task_id: {sorted(given)}")
        return numbers.pop() if numbers else None

    def _check_build(self):
        described = self.metadata["build"]
        build = {key: described[key] for key in ("name", "version", "release", "extra", "source")}
        build.update(epoch=described.get("epoch"), cg_id=self.cg["id"], task_id=self._task_id())
        build["start_time"], build["completion_time"] = float(described["start_time"]), float(described["end_time"])
        if described.get("owner"):
            if not isinstance(described["owner"], str):
                raise koji.GenericError(f"Invalid owner format (expected username): {described['owner']}")
            build["owner"] = getUser(described["owner"], strict=True)["id"]
        if described.get("draft"):
            raise koji.GenericError("draft builds are not supported by the development hub")
        if described.get("build_id"):
            build["build_id"] = self._check_reservation(described["build_id"], build, "epoch" in described)
        elif self.token is not None:
            raise koji.GenericError("Reservation token given, but no build_id in metadata")
        else:
            old = find_build({key: build[key] for key in ("name", "version", "release")})
            if old and old["state"] not in (BUILD_FAILED, BUILD_CANCELED):
                raise koji.GenericError(f"Build already exists: {old['nvr']} (id={old['id']})")
        koji.check_NVR(build, strict=True)
        return build

    def _check_reservation(self, build_id, build, with_epoch):
        known = find_build(build_id, strict=True)
        if not self.token or reservation(known["id"]) != self.token:
            raise koji.GenericError(f"Token doesn't match build ID {build_id}")
        if known["cg_id"] != self.cg["id"]:
            raise koji.GenericError(f"Build ID {build_id} is not reserved by this CG")
        if known["task_id"] and known["task_id"] != build["task_id"]:
            raise koji.GenericError(f"Build is owned by task {known['task_id']}")
        if known["state"] != BUILDING:
            raise koji.GenericError(f"Build ID {build_id} is not in BUILDING state")
        if any(known[key] != build[key] for key in ("name", "version", "release")):
            raise koji.GenericError(f"Build ({build_id}) NVR is different")
        if with_epoch and known["epoch"] != build["epoch"]:
            raise koji.GenericError(f"Build ({build_id}) epoch is different")
        return known["id"]

    def _build_types(self):
        extra = self.build["extra"] = self.build["extra"] or {}
        types = extra.setdefault("typeinfo", {})
        for name in LEGACY_TYPES:
            if name in extra:
                if name in types:
                    raise koji.GenericError(f"Duplicate typeinfo for {name!r}")
                types[name] = extra[name]
        for name in types:
            lookup_name("btype", name, strict=True)
        return types

    def _check_buildroots(self):
        used = {entry["buildroot_id"] for entry in self.metadata["output"]}
        roots = {}
        for root in self.metadata["buildroots"]:
            if root["id"] not in used:
                raise koji.GenericError(f"Buildroot id not used in output: {root['id']!r}")
            if root["id"] in roots:
                raise koji.GenericError(f"Duplicate buildroot id in metadata: {root['id']!r}")
            row = {
                "br_type": EXTERNAL,
                "cg_id": self.cg["id"],
                "cg_version": root["content_generator"]["version"],
                "container_type": root["container"]["type"],
                "container_arch": root["container"]["arch"],
                "host_os": root["host"]["os"],
                "host_arch": root["host"]["arch"],
                "extra": root.get("extra"),
            }
            roots[root["id"]] = (row, *self._match_components(root["components"]), root["tools"])
        return roots

    def _check_output(self, entry):
        entry["path"] = work_path(os.path.join(self.directory, entry.get("relpath", ""), entry["filename"]))
        size = os.path.getsize(entry["path"])
        if size != entry["filesize"]:
            raise koji.GenericError(
                f"File size {size} for {entry['filename']} (expected {entry['filesize']}) doesn't match. Corrupted upload?"
            )
        if entry["checksum_type"] not in ("md5", "sha256"):
            raise koji.GenericError(f"Unsupported verify type: {entry['checksum_type']}")
        found = digest_of(entry["path"], entry["checksum_type"])
        if found != entry["checksum"]:
            raise koji.GenericError(f"File checksum mismatch for {entry['filename']}: {entry['checksum']} != {found}")
        if entry["buildroot_id"] not in self.roots:
            raise koji.GenericError(f"Missing buildroot metadata for id {entry['buildroot_id']!r}")
        if entry["type"] not in ("rpm", "log"):
            self._check_archive(entry)
        return entry

    def _check_archive(self, entry):
        extra = entry.get("extra") or {}
        found = [(name, extra[name]) for name in LEGACY_TYPES if name in extra]
        found += list((extra.get("typeinfo") or {}).items())
        if not found:
            raise koji.GenericError(f"No typeinfo for: {entry['filename']}")
        if len(found) > 1:
            raise koji.GenericError(f"Output file has multiple types: {entry['filename']}")
        entry["btype"], entry["type_info"] = found[0]
        if entry["btype"] not in self.types:
            raise koji.GenericError(f"Output type {entry['btype']} not listed in build types")
        entry["parts"] = self._match_components(entry["components"]) if "components" in entry else ([], [])

    def _match_components(self, components):
        """Ids of the RPMs and archives that components name."""
        rpms, archives = [], []
        for component in components:
            if component["type"] == "rpm":
                rpms.extend(self._match_rpm(component))
            elif component["type"] == "kojifile":
                archives.append(self._match_kojifile(component))
            elif component["type"] == "file":
                archives.extend(self._match_file(component))
            else:
                raise koji.GenericError(f"No such component type: {component['type']}")
        return rpms, archives

    def _match_rpm(self, component):
        if "location" in component:
            raise koji.GenericError("External rpms not allowed")
        if "id" in component:
            raise koji.GenericError("Unexpected 'id' field in component")
        found = find_rpms({key: component[key] for key in ("name", "version", "release", "arch")})
        if not found:
            logger.warning("IGNORING unmatched rpm component: %r", component)
            return []
        if found[0]["payloadhash"] != component["sigmd5"]:
            logger.warning("IGNORING rpm component (md5 mismatch): %r", component)
        return [found[0]["id"]]

    def _match_kojifile(self, component):
        rows = find_archives(id=component["archive_id"])
        if not rows:
            raise koji.GenericError(f"No such archive: {component['archive_id']}")
        archive = rows[0]
        expected = {
            "nvr": find_build(archive["build_id"], strict=True)["nvr"],
            "filename": archive["filename"],
            "filesize": archive["size"],
            "checksum": archive["checksum"],
            "checksum_type": koji.CHECKSUM_TYPES[archive["checksum_type"]],
        }
        for key in ("nvr", "filename"):
            if key not in component:
                raise koji.GenericError(f"{key} field missing for component, archive_id={archive['id']}")
        for key, value in expected.items():
            if key in component and component[key] != value:
                raise koji.GenericError(
                    f"Component field {key} does not match for archive_id={archive['id']}: {value} != {component[key]}"
                )
        return archive["id"]

    def _match_file(self, component):
        rows = find_archives(
            filename=component["filename"],
            size=component["filesize"],
            checksum=component["checksum"],
            checksum_type=koji.CHECKSUM_TYPES[component["checksum_type"]],
        )
        if not rows:
            logger.warning("IGNORING unmatched archive: %r", component)
        return [row["id"] for row in rows[:1]]

    def _store_build(self):
        extra = self.build["extra"]
        if self.token:
            db().update(
                "build",
                self.build["build_id"],
                extra=extra,
                source=self.build["source"],
                task_id=self.build["task_id"],
                owner=self.build.get("owner") or context.session.user_id,
            )
            build = set_state(self.build["build_id"], COMPLETE)
            db().run("DELETE FROM build_reservations WHERE build_id = :id", id=build["id"])
        else:
            build = find_build(new_build(self.build, COMPLETE))
        names = set(self.types) | ({"rpm"} if any(entry["type"] == "rpm" for entry in self.outputs) else set())
        for name in names:
            add_build_type(build["id"], name)
        return find_build(build["id"])

    def _store_buildroot(self, root):
        row, rpms, archives, tools = root
        buildroot_id = db().insert("buildroot", **row)
        for rpm_id in rpms:
            db().insert("buildroot_listing", buildroot_id=buildroot_id, rpm_id=rpm_id)
        for archive_id in set(archives):
            db().insert("buildroot_archives", buildroot_id=buildroot_id, archive_id=archive_id)
        for tool in tools:
            db().insert("buildroot_tools_info", buildroot_id=buildroot_id, tool=tool["name"], version=tool["version"])
        return buildroot_id

    def _store_output(self, build, buildroot_id, entry):
        path = None if entry.get("metadata_only") else entry["path"]
        if entry["type"] == "rpm":
            if path is None:
                raise koji.GenericError("Metadata-only imports are not supported for rpms")
            import_rpm(path, build, buildroot_id, entry.get("extra"))
        elif entry["type"] == "log":
            if path is not None:
                directory = os.path.join(koji.pathinfo.build_logs(build), entry.get("subdir") or "")
                move_in(path, os.path.join(directory, entry["filename"]))
        else:
            row = {
                "filename": entry["filename"],
                "size": entry["filesize"],
                "checksum": entry["checksum"],
                "checksum_type": koji.CHECKSUM_TYPES[entry["checksum_type"]],
                "buildroot_id": buildroot_id,
                "metadata_only": path is None,
                "extra": entry.get("extra"),
            }
            archive_id = insert_archive(build, entry["btype"], path, row, entry["type_info"], entry)
            rpms, archives = entry["parts"]
            for rpm_id in rpms:
                db().insert("archive_rpm_components", archive_id=archive_id, rpm_id=rpm_id)
            for component_id in archives:
                db().insert("archive_components", archive_id=archive_id, component_id=component_id)
