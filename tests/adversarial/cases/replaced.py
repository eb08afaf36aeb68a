"""Files of RPMs replaced after their installation, by every way that leads to them."""

import io
import tarfile

from corpus import ALTERED, ELF, Case, decoded, python_command

TITLE = "Files of RPMs, altered"
PYTHON = "/usr/lib/python3.11"


def archive(*members):
    """A tar archive: (name, bytes, mode), or (name, target) for links."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, *rest in members:
            entry = tarfile.TarInfo(name)
            if isinstance(rest[0], str):
                entry.type, entry.linkname = tarfile.SYMTYPE, rest[0]
                tar.addfile(entry)
            else:
                entry.size, entry.mode = len(rest[0]), rest[1]
                tar.addfile(entry, io.BytesIO(rest[0]))
    return out.getvalue()


def devices(*names):
    """A tar archive of character devices 0:0, which overlays take for deletions."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.CHRTYPE
            tar.addfile(entry)
    return out.getvalue()


def attributes(*members):
    """A tar archive of directories: (name, extended attribute, value)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, attribute, value in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            entry.pax_headers = {f"SCHILY.xattr.{attribute}": value}
            tar.addfile(entry)
    return out.getvalue()


CASES = [
    Case(
        "file_replaced_after_its_installation",
        ("RUN dnf -y install hello && dnf clean all && cp /usr/bin/true /usr/bin/hello",),
        (ALTERED, "/usr/bin/hello (hello-2.10-3"),
    ),
    Case(
        "file_replaced_in_a_later_layer",
        ("RUN dnf -y install hello && dnf clean all", f"RUN {decoded('/usr/bin/hello')}"),
        (ALTERED, "/usr/bin/hello (hello-2.10-3"),
    ),
    Case(
        "file_replaced_by_copy",
        ("COPY --chmod=755 sed /usr/bin/sed",),
        (ALTERED, "/usr/bin/sed (sed-4"),
        files={"sed": "#!/bin/sh\nexec true\n"},
    ),
    Case(
        "file_replaced_by_an_archive",
        ("ADD all.tar /",),
        (ALTERED, "/usr/bin/sed (sed-4"),
        files={"all.tar": archive(("usr/bin/sed", ELF, 0o755))},
    ),
    Case(
        "file_replaced_through_a_hard_link",
        ("RUN ln /usr/bin/sed /tmp/innocent && echo more >> /tmp/innocent && rm /tmp/innocent",),
        (ALTERED, "/usr/bin/sed (sed-4"),
    ),
    Case(
        "file_replaced_by_a_hard_link",
        (f"RUN {decoded('/srv/x')} && ln -f /srv/x /usr/bin/sed && rm /srv/x",),
        (ALTERED, "/usr/bin/sed (sed-4"),
    ),
    Case(
        "file_replaced_through_a_linked_directory",
        ("RUN ln -s /bin /srv/tools && rm /srv/tools/sed && cp /usr/bin/true /srv/tools/sed",),
        (ALTERED, "/usr/bin/sed (sed-4"),
    ),
    Case(
        "file_replaced_by_a_link",
        ("RUN rm /usr/bin/sed && ln -s true /usr/bin/sed",),
        (ALTERED, "/usr/bin/sed (sed-4", "other type"),
    ),
    Case(
        "file_replaced_by_a_pipe",
        ("RUN rm /usr/bin/sed && mkfifo /usr/bin/sed",),
        (ALTERED, "/usr/bin/sed (sed-4", "other type"),
    ),
    Case(
        "file_replaced_by_a_directory",
        ("RUN rm /usr/bin/sed && mkdir /usr/bin/sed",),
        (ALTERED, "/usr/bin/sed (sed-4", "other type"),
    ),
    Case(
        "directory_moved_behind_a_link",
        (f"RUN cp -a {PYTHON} /opt/p && rm -r {PYTHON} && ln -s /opt/p {PYTHON} && echo 'import os' > /opt/p/pdb.py",),
        (ALTERED, "/opt/p/pdb.py"),
    ),
    # Same length, same time: only the content tells.
    Case(
        "one_byte_replaced_and_the_time_set_back",
        (
            "RUN touch -r /usr/bin/sed /tmp/t && "
            + python_command(
                'f = open("/usr/bin/sed", "r+b"); f.seek(-1, 2); b = f.read(1); f.seek(-1, 2);'
                " f.write(bytes([b[0] ^ 1])); f.close()"
            )
            + " && touch -r /tmp/t /usr/bin/sed && rm /tmp/t",
        ),
        (ALTERED, "/usr/bin/sed (sed-4", "other content"),
    ),
    Case(
        "link_of_an_rpm_led_to_where_anybody_writes",
        ("RUN ln -sf /tmp/awk /usr/bin/awk",),
        (ALTERED, "/usr/bin/awk (mawk-1", "it leads to /tmp/awk, which is not in the image"),
    ),
    Case(
        "python_module_edited",
        (f"RUN echo 'import os' >> {PYTHON}/shutil.py",),
        (ALTERED, f"{PYTHON}/shutil.py"),
    ),
    # The byte code runs, not the source beside it, which stays as the RPM has it.
    Case(
        "python_byte_code_replaced",
        (
            "RUN "
            + python_command(
                f'import py_compile; open("/tmp/x.py", "w").write("import os"); py_compile.compile("/tmp/x.py",'
                f' "{PYTHON}/__pycache__/shutil.cpython-311.pyc",'
                " invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)"
            )
            + " && rm /tmp/x.py",
        ),
        (ALTERED, f"{PYTHON}/__pycache__/shutil.cpython-311.pyc", "byte code"),
    ),
    Case(
        "shell_profile_of_an_rpm_edited",
        ("RUN echo 'alias ls=true' >> /etc/profile",),
        (ALTERED, "/etc/profile (filesystem-40", "shells run it when they start"),
    ),
]
