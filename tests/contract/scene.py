"""What a test needs around it: tags, targets, hosts, packages with names of its own, and RPMs to import."""

import hashlib
import json
import subprocess

import koji
import koji.xmlrpcplus

SOURCE = "git+https://src.example.org/container/web.git#0123456789012345678901234567890123456789"


def result_document(value):
    """The response a host closes a task with."""
    return koji.xmlrpcplus.dumps((value,), methodresponse=1)


def fault_document(code, text):
    """The response a host fails a task with."""
    return koji.xmlrpcplus.dumps(koji.xmlrpcplus.Fault(code, text), methodresponse=1)


class Host:
    """A builder host: its session (exclusive, checked in) and names."""

    def __init__(self, name, host_id, channel, session):
        self.name, self.id, self.channel, self.session = name, host_id, channel, session

    def check_in(self, ready=True, load=0.0, **data):
        self.session.host.updateHost(load, ready, {"methods": ["buildContainer"], "maxjobs": 5, **data})

    def take(self, task_id):
        """Opens a task that must be assigned to this host."""
        assigned = [task["id"] for task in self.session.host.getTasks()]
        assert task_id in assigned, f"task {task_id} is not among {assigned}"
        opened = self.session.host.openTask(task_id)
        assert opened is not None
        return opened


class Scene:
    """Makes things with this test's number in their names, so that tests can share one hub."""

    def __init__(self, hub, number):
        self.hub = hub
        self.number = number
        self._sessions = []
        self._admin = None

    def name(self, stem):
        return f"{stem}{self.number}"

    def session(self, user):
        session = self.hub.login(user)
        self._sessions.append(session)
        return session

    def close(self):
        for session in self._sessions:
            # Some tests end a session on purpose.
            try:
                session.logout()
            except koji.AuthError:
                session.rsession.close()

    @property
    def admin(self):
        if self._admin is None:
            self._admin = self.session("kojiadmin")
        return self._admin

    def channel(self, stem="channel"):
        name = self.name(stem)
        if self.admin.getChannel(name) is None:
            self.admin.addChannel(name)
        return name

    def host(self, stem="host", channel=None, arches=("x86_64",), checked_in=True):
        """A new host, subscribed to one channel only, logged in by password with an exclusive session."""
        name = self.name(stem)
        channel = channel or self.channel()
        host_id = self.admin.addHost(name, list(arches))
        self.admin.removeHostFromChannel(name, "default")
        self.admin.addHostToChannel(name, channel)
        self.hub.set_password(name, "secret")
        session = self.hub.login_password(name, "secret")
        self._sessions.append(session)
        session.exclusiveSession()
        host = Host(name, host_id, channel, session)
        if checked_in:
            host.check_in()
        return host

    def task(self, channel, method="sleep", arglist=(1,), **options):
        """A task an administrator made."""
        return self.admin.makeTask(method, list(arglist), channel=channel, **options)

    def build_task(self, session, channel):
        """A buildContainer task the session's user owns."""
        if not hasattr(self, "_target"):
            self._target = self.target("owned")[0]
        return session.buildContainer(SOURCE, self._target, {"git_branch": "f40"}, channel=channel)

    def builder(self, owner=None):
        """A host in the middle of a build: it may import, and runs an OPEN buildContainer task of `owner` (packager)."""
        host = self.host("builder")
        self.content_generator(host.name)
        host.task_id = self.build_task(owner or self.session("packager"), host.channel)
        host.take(host.task_id)
        return host

    def tag(self, stem="tag", **options):
        name = self.name(stem)
        self.admin.createTag(name, **options)
        return name

    def target(self, stem="target"):
        """A target with its tags: (name, build tag, destination tag)."""
        build, dest = self.tag(f"{stem}-build", arches="x86_64"), self.tag(f"{stem}-dest")
        self.admin.createBuildTarget(self.name(stem), build, dest)
        return self.name(stem), build, dest

    def package(self, tag, name):
        self.admin.packageListAdd(tag, name, owner="kojiadmin")
        return name

    def content_generator(self, user="kojiadmin", name="containerbuild"):
        """The user may import for the content generator afterwards."""
        granted = self.admin.listCGs().get(name, {"users": []})["users"]
        if user not in granted:
            self.admin.grantCGAccess(user, name, create=name not in self.admin.listCGs())
        return name


def make_rpms(directory, name, content="1", release="1"):
    """Source and binary RPM of a package; their paths. The content decides the SIGMD5."""
    spec = directory / f"{name}.spec"
    spec.write_text(
        f"Name: {name}\nVersion: 1.0\nRelease: {release}\nSummary: for a test\nLicense: MIT\nBuildArch: noarch\n"
        f"%description\nFor a test.\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\n"
        f"echo '{content}' > %{{buildroot}}/usr/share/{name}/data\n%files\n/usr/share/{name}/data\n"
    )
    top = directory / f"top-{name}-{content}"
    command = ["rpmbuild", "--quiet", "--define", f"_topdir {top}", "-ba", spec]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return sorted(top.glob("SRPMS/*.rpm")) + sorted(top.glob("RPMS/*/*.rpm"))


def import_rpms(session, paths, directory):
    """Imports RPMs as `koji import` does: source first."""
    rows = []
    for path in paths:
        session.uploadWrapper(str(path), directory)
        rows.append(session.importRPM(directory, path.name))
    return rows


def image_metadata(name, files, components=(), **build):
    """Metadata of an image import: one x86_64 image archive and one log; `files` are (path, type) pairs."""
    output = []
    for path, kind in files:
        data = path.read_bytes()
        entry = {
            "buildroot_id": "x86_64-1",
            "filename": path.name,
            "filesize": len(data),
            "checksum_type": "sha256",
            "checksum": hashlib.sha256(data).hexdigest(),
            "type": kind,
            "arch": "x86_64" if kind != "log" else "noarch",
        }
        if kind == "docker-image":
            entry["components"] = [{"type": "rpm", "epoch": None, "signature": None, **component} for component in components]
            entry["extra"] = {"image": {"arch": "x86_64"}, "docker": {"id": "sha256:0"}}
        output.append(entry)
    described = {
        "name": name,
        "version": "1.0",
        "release": "1",
        "source": SOURCE,
        "start_time": 1700000000,
        "end_time": 1700000100,
        "extra": {
            "image": {"isolated": False, "parent_images": [], "parent_image_builds": {}},
            "osbs_build": {"kind": "container_build"},
        },
    }
    return {
        "metadata_version": 0,
        "build": {**described, **build},
        "buildroots": [
            {
                "id": "x86_64-1",
                "host": {"os": "fedora-40", "arch": "x86_64"},
                "container": {"type": "none", "arch": "x86_64"},
                "content_generator": {"name": "containerbuild", "version": "1"},
                "tools": [{"name": "crun", "version": "1"}],
                "components": [],
            }
        ],
        "output": output,
    }


def upload_import(session, directory, metadata, files):
    """Uploads the files of an import and its metadata.json."""
    for path, _ in files:
        session.fastUpload(str(path), directory)
    described = files[0][0].parent / "metadata.json"
    described.write_text(json.dumps(metadata))
    session.fastUpload(str(described), directory, overwrite=True)
