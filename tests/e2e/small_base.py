"""A base image for several architectures: Debian's busybox as an RPM, in an image for each, under one index.

Small, because the architectures are tried where only one of them is at home: its programs are one static file. Used
by test_arches.py; like examples/distribution it takes packages from Debian's archive, for foreign architectures
through a private apt state that leaves the machine's own alone.
"""

import hashlib
import json
import shutil
import subprocess
import urllib.request

from demo import acts
from demo.koji_client import call, koji
from demo.scene import ADMIN, BASE_GENERATOR, program
from distribution import base_root, deb_archive, oci_layout, rpm_spec
from distribution.contents import ARCHITECTURES

NAME, VERSION, RELEASE = "small-base", "40", "1"
IMAGE = f"{NAME}-image"  # the Koji package of the image; the RPM is another one
REPOSITORY = "f40/small"
LIST_TYPE = "application/vnd.oci.image.index.v1+json"
DEBIAN = {rpm: (debian, oci) for debian, (rpm, oci) in ARCHITECTURES.items()}
SPEC = f"""\
Name: {NAME}
Version: {VERSION}
Release: {RELEASE}
Summary: busybox and what a container needs besides
License: GPL-2.0-only
AutoReqProv: no
%description
For tests.
%files
"""
FILES = ("/bin/busybox", "/bin/sh", "/etc/passwd", "/etc/group")
DIRECTORIES = ("/bin", "/etc", "/proc", "/sys", "/dev", "/run", "/tmp", "/usr", "/usr/lib", "/usr/lib/sysimage")


def apt(directory, debian_arch, *arguments, cwd=None):
    """apt-get for one architecture, with lists of its own and the machine's sources."""
    for part in ("lists/partial", "cache/archives/partial"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    options = {
        "APT::Architecture": debian_arch,
        "APT::Architectures": debian_arch,
        "APT::Sandbox::User": "root",
        "Dir::State::lists": directory / "lists",
        "Dir::Cache": directory / "cache",
        "Dir::State::status": "/dev/null",
        "Acquire::Languages": "none",
    }
    flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
    done = subprocess.run(["apt-get", "-q", *flags, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def busybox(directory, arch):
    """The package busybox-static of an architecture."""
    debian_arch = DEBIAN[arch][0]
    state, debs = directory / f"apt-{arch}", directory / f"debs-{arch}"
    debs.mkdir()
    apt(state, debian_arch, "update")
    apt(state, debian_arch, "download", "busybox-static", cwd=debs)
    shutil.rmtree(state)
    return next(debs.glob("*.deb"))


def rpm_of(directory, arch, home, release):
    """The RPM of an architecture. Nothing of it is run, so a foreign one is packed like our own."""
    unpacked, root = directory / f"deb-{arch}", directory / f"root-{arch}-{release}"
    if not unpacked.exists():
        deb_archive.unpack(busybox(directory, arch), unpacked)
    for path in DIRECTORIES:
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
    shutil.copy(next(p for p in unpacked.glob("**/bin/busybox")), root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    files = [f"%dir %attr(0755,root,root) {path}" for path in DIRECTORIES]
    files += [f"%attr(0755,root,root) {path}" if path == "/bin/busybox" else path for path in FILES]
    spec = directory / f"{arch}-{release}.spec"
    spec.write_text(SPEC.replace(f"Release: {RELEASE}", f"Release: {release}") + "\n".join(files) + "\n")
    top, output = directory / f"top-{arch}", directory / "rpms"
    command = ["rpmbuild", "-bb", "--quiet", "--target", arch, "--buildroot", str(root)]
    command += ["--define", f"_topdir {top}", "--define", f"_rpmdir {output}", str(spec)]
    (top / "BUILD").mkdir(parents=True, exist_ok=True)
    acts.run([*command], env=rpm_spec.environment(home, 1_700_000_000), quiet=True)
    return output / f"{NAME}-{VERSION}-{release}.{arch}.rpm"


def image_of(directory, arch, rpm, home):
    """An OCI layout of the image of one architecture, and the RPMs in it."""
    root = directory / f"image-root-{arch}"
    (root / "usr/lib/sysimage/rpm").mkdir(parents=True)
    install = ["rpm", "--root", str(root), "-i", "--nodeps", "--ignorearch", "--nosignature", str(rpm)]
    acts.run(install, env=rpm_spec.environment(home), quiet=True)
    labels = {
        "com.redhat.component": IMAGE,
        "name": REPOSITORY,
        "version": VERSION,
        "release": RELEASE,
        "architecture": arch,
    }
    config = {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": labels}
    layout = directory / f"layout-{arch}"
    image = oci_layout.write_image(root, layout, DEBIAN[arch][1], config, 1_700_000_000, VERSION)
    return layout, image, base_root.installed(root, home)


def push_index(scene, images):
    """The index over the images; its digest."""
    manifests = [
        {**image["manifest"], "platform": {"os": "linux", "architecture": DEBIAN[arch][1]}}
        for arch, (_, image, _) in images.items()
    ]
    body = json.dumps({"schemaVersion": 2, "mediaType": LIST_TYPE, "manifests": manifests}).encode()
    for tag in (f"{VERSION}-{RELEASE}", VERSION):
        request = urllib.request.Request(
            f"http://{scene.registry}/v2/{REPOSITORY}/manifests/{tag}",
            data=body,
            method="PUT",
            headers={"Content-Type": LIST_TYPE},
        )
        urllib.request.urlopen(request).close()
    return "sha256:" + hashlib.sha256(body).hexdigest()


def publish(scene, directory, arches, tag, releases=("1",)):
    """Builds RPMs and images, imports both into Koji, pushes the images under an index.

    `tag` receives the builds. Returns the paths of the RPMs by (release, arch).
    """
    home = directory / "home"
    rpm_spec.write_macros(home)
    (directory / "rpms").mkdir()
    rpms = {(release, arch): rpm_of(directory, arch, home, release) for release in releases for arch in arches}
    koji(scene, "import", "--create-build", *map(str, rpms.values()), quiet=True)
    images = {arch: image_of(directory, arch, rpms[RELEASE, arch], home) for arch in arches}
    upload = directory / "import"
    upload.mkdir()
    output = []
    for arch, (layout, image, components) in images.items():
        skopeo = [program("skopeo"), "copy", "-q"]
        source = f"oci:{layout}:{VERSION}"
        push = [
            "--preserve-digests",
            "--dest-tls-verify=false",
            source,
            f"docker://{scene.registry}/{REPOSITORY}:{VERSION}-{arch}",
        ]
        acts.run([*skopeo, *push], quiet=True)
        archive = upload / f"docker-image-{image['config']['digest'][7:]}.{arch}.tar"
        acts.run([*skopeo, source, f"oci-archive:{archive}:{VERSION}"], quiet=True)
        keys = ("name", "version", "release", "epoch", "arch", "sigmd5")
        output.append(
            {
                "buildroot_id": arch,
                "filename": archive.name,
                "filesize": archive.stat().st_size,
                "arch": arch,
                "checksum_type": "sha256",
                "checksum": hashlib.sha256(archive.read_bytes()).hexdigest(),
                "type": "docker-image",
                "components": [{"type": "rpm", "signature": None, **{k: rpm[k] for k in keys}} for rpm in components],
                "extra": {"image": {"arch": arch}, "docker": {"id": image["config"]["digest"]}},
            }
        )
    digest = push_index(scene, images)
    pull = [f"{scene.registry}/{REPOSITORY}@{digest}", f"{scene.registry}/{REPOSITORY}:{VERSION}-{RELEASE}"]
    index = {"pull": pull, "tags": [], "floating_tags": [], "unique_tags": [], "digests": {LIST_TYPE: digest}}
    metadata = {
        "metadata_version": 0,
        "build": {
            "name": IMAGE,
            "version": VERSION,
            "release": RELEASE,
            "source": None,
            "owner": ADMIN,
            "start_time": 1_700_000_000,
            "end_time": 1_700_000_000,
            "extra": {"image": {"index": index}},
        },
        "buildroots": [
            {
                "id": arch,
                "host": {"os": "Linux", "arch": arch},
                "content_generator": {"name": BASE_GENERATOR, "version": "test"},
                "container": {"type": "none", "arch": arch},
                "tools": [],
                "components": [],
            }
            for arch in arches
        ],
        "output": output,
    }
    described = directory / "import.json"
    described.write_text(json.dumps(metadata))
    koji(scene, "import-cg", "--noprogress", str(described), str(upload), quiet=True)
    for release in releases:
        call(scene, "tagBuildBypass", tag, f"{NAME}-{VERSION}-{release}")
    return rpms
