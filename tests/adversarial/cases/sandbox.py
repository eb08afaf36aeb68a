"""Ways out of the sandbox, and into what other steps and builds read."""

from cases.replaced import archive, devices
from corpus import BASE, ELF_BASE64, Case, decoded, python

TITLE = "Out of the sandbox"


def _system_call(call):
    """A RUN that makes a system call through libc, and fails as it fails."""
    return python(
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True);"
        f" bad = libc.{call} < 0; print(os.strerror(ctypes.get_errno())); raise SystemExit(bad)"
    )


CASES = [
    Case(
        "bind_mount_over_a_program",
        (_system_call('mount(b"/usr/bin/env", b"/usr/bin/sed", None, 4096, None)'),),
        ("exit code 1", "Operation not permitted"),
    ),
    Case(
        "namespace_of_its_own",
        (_system_call("unshare(0x10000000)"),),
        ("exit code 1", "Operation not permitted"),
    ),
    Case(
        "repository_definitions_unmounted",
        (_system_call('umount2(b"/etc/yum.repos.d", 2)'),),
        ("exit code 1", "Operation not permitted"),
    ),
    Case(
        "disk_of_the_builder_opened",
        (
            python(
                'import os, stat; os.mknod("/srv/disk", stat.S_IFBLK | 0o666, os.makedev(8, 0));'
                ' os.open("/srv/disk", os.O_RDONLY)'
            ),
        ),
        ("exit code 1", "Operation not permitted"),
    ),
    Case(
        "deletion_that_only_other_tools_see",
        ("RUN : > /usr/lib/sysimage/rpm/.wh.rpmdb.sqlite",),
        ("usr/lib/sysimage/rpm/.wh.rpmdb.sqlite", "names that begin with `.wh.` mean deletions in layers"),
    ),
    Case(
        "directory_that_only_other_tools_see_emptied",
        ("RUN : > /usr/lib/sysimage/rpm/.wh..wh..opq",),
        ("usr/lib/sysimage/rpm/.wh..wh..opq", "names that begin with `.wh.` mean deletions in layers"),
    ),
    Case(
        "deletion_by_overlay_s_own_mark",
        (python('import os, stat; os.mknod("/usr/bin/.tool", stat.S_IFCHR, os.makedev(0, 0))'),),
        ("exit code 1", "Operation not permitted"),
    ),
    Case(
        "commit_changed_through_a_mount",
        (
            f"RUN --mount=type=bind,rw,target=/c {decoded('/c/tool')}",
            "COPY tool /usr/local/bin/tool",
        ),
        ("COPY tool", "`tool`"),
    ),
    Case(
        "file_of_the_commit_changed_through_a_mount",
        (
            "RUN --mount=type=bind,rw,target=/c echo more >> /c/start",
            "COPY start /srv/start",
            "RUN grep more /srv/start",
        ),
        ("exit code 1", "RUN grep more /srv/start"),
        files={"start": "#!/bin/sh\n"},
    ),
    Case(
        "parent_changed_through_a_mount",
        (
            f"RUN --mount=type=bind,rw,from={BASE},target=/m echo more >> /m/etc/services",
            f"RUN --mount=type=bind,from={BASE},target=/m grep more /m/etc/services",
        ),
        ("exit code 1", "grep more /m/etc/services"),
    ),
    Case(
        "stage_changed_through_a_mount",
        (
            "RUN --mount=type=bind,rw,from=make,target=/m echo more >> /m/etc/services",
            "COPY --from=make /etc/services /srv/services",
            "RUN grep more /srv/services",
        ),
        ("exit code 1", "RUN grep more /srv/services"),
        before=(f"FROM {BASE} AS make",),
    ),
    Case(
        "process_left_behind",
        (
            f"RUN (trap '' HUP TERM; while ! [ -e /srv/next ]; do sleep 0.05; done; echo {ELF_BASE64} > /srv/left) &",
            "RUN touch /srv/next",
            "RUN test -e /srv/left",
        ),
        ("exit code 1", "RUN test -e /srv/left"),
    ),
    Case(
        "file_larger_than_any_layer",
        ("RUN truncate -s 1T /srv/zeros",),
        ("srv/zeros", "larger"),
    ),
    # A network namespace does not hold sockets to the hypervisor.
    Case(
        "socket_to_the_hypervisor",
        (python("import socket; socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 22))"),),
        ("exit code 1", "line 1, in <module>", "Error: [Errno"),
    ),
    Case("network_of_the_builder", ("RUN --network=host true",), ("Dockerfile:3", "--network=host")),
    Case("privileges_of_the_builder", ("RUN --security=insecure true",), ("Dockerfile:3", "--security=insecure")),
    Case(
        "deletion_by_an_archive",
        ("ADD all.tar /",),
        ("all.tar", "usr/bin/sed: Operation not permitted"),
        files={"all.tar": devices("usr/bin/sed")},
    ),
    Case(
        "deletion_that_only_other_tools_see_by_an_archive",
        ("ADD all.tar /",),
        ("usr/bin/.wh.sed", "names that begin with `.wh.` mean deletions in layers"),
        files={"all.tar": archive(("usr/bin/.wh.sed", b"", 0o644))},
    ),
]
