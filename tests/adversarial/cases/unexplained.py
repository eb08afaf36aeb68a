"""Programs that no package and no commit brought, in whatever disguise."""

from corpus import BASE, ELF, NOTKOJI, TAMPERED, UNEXPLAINED, Case, decoded, python, python_command

TITLE = "Programs from nowhere"
CASES = [
    Case(
        "binary_from_base64",
        (f"RUN {decoded('/usr/local/bin/tool')} && chmod 755 /usr/local/bin/tool",),
        (UNEXPLAINED, "/usr/local/bin/tool (RUN echo"),
    ),
    Case("binary_without_the_bit", (f"RUN {decoded('/srv/picture.png')}",), (UNEXPLAINED, "/srv/picture.png")),
    Case(
        "binary_in_a_cache",
        (f"RUN mkdir -p /var/cache/dnf && {decoded('/var/cache/dnf/x.solv')}",),
        (UNEXPLAINED, "/var/cache/dnf/x.solv"),
    ),
    Case(
        "binary_as_the_loader_s_cache",
        (f"RUN {decoded('/etc/ld.so.cache')}",),
        (UNEXPLAINED, "/etc/ld.so.cache"),
    ),
    Case(
        "shared_object_by_name",
        ("RUN mkdir /opt/lib && echo text > /opt/lib/libpreload.so.1",),
        (UNEXPLAINED, "/opt/lib/libpreload.so.1"),
    ),
    Case(
        "script_from_a_heredoc",
        (
            "RUN <<END\ncat > /usr/local/bin/start <<EOF\n#!/bin/sh\nexec true\nEOF\n"
            "chmod 755 /usr/local/bin/start\nEND",
        ),
        (UNEXPLAINED, "/usr/local/bin/start"),
    ),
    Case(
        "compiled_in_place",
        (python('import os; f = open("/opt/a.out", "wb"); f.write(bytes([127, 69, 76, 70]) + os.urandom(999))'),),
        (UNEXPLAINED, "/opt/a.out"),
    ),
    Case(
        "python_module_without_a_bit",
        (
            "RUN mkdir -p /usr/local/lib/python3.11/dist-packages"
            " && echo 'import os' > /usr/local/lib/python3.11/dist-packages/usercustomize.py",
        ),
        (
            UNEXPLAINED,
            "/usr/local/lib/python3.11/dist-packages/usercustomize.py",
            "its interpreter runs it by its name",
        ),
    ),
    Case(
        "python_path_file",
        (
            "RUN mkdir -p /usr/local/lib/python3.11/dist-packages"
            " && echo 'import os' > /usr/local/lib/python3.11/dist-packages/x.pth",
        ),
        (UNEXPLAINED, "/usr/local/lib/python3.11/dist-packages/x.pth", "Python runs its lines when it starts"),
    ),
    Case(
        "python_byte_code_beside_a_module_of_the_commit",
        (
            "COPY app.py /srv/app/",
            "RUN "
            + python_command(
                'import py_compile; open("/tmp/x.py", "w").write("import os");'
                ' py_compile.compile("/tmp/x.py", "/srv/app/__pycache__/app.cpython-311.pyc")'
            )
            + " && rm /tmp/x.py",
        ),
        (UNEXPLAINED, "/srv/app/__pycache__/app.cpython-311.pyc", "byte code"),
        files={"app.py": "print('hello')\n"},
    ),
    Case(
        "zip_that_python_runs",
        (
            python(
                'import zipfile; z = zipfile.ZipFile("/srv/data", "w"); z.writestr("__main__.py", "import os");'
                " z.close()"
            ),
        ),
        (UNEXPLAINED, "/srv/data"),
    ),
    Case(
        "name_that_looks_like_another",
        ("RUN printf '#!/bin/sh\\n' > /usr/bin/ѕed && chmod 755 /usr/bin/ѕed",),
        (UNEXPLAINED, "/usr/bin/ѕed"),
    ),
    Case(
        "name_in_other_case",
        ("RUN printf '#!/bin/sh\\n' > /usr/bin/SED && chmod 755 /usr/bin/SED",),
        (UNEXPLAINED, "/usr/bin/SED"),
    ),
    Case(
        "name_that_turns_the_report_around",
        (python('open("/srv/gpj.\\u202efdp", "wb").write(bytes([127, 69, 76, 70]))'),),
        (UNEXPLAINED, "/srv/gpj.\\u{202e}fdp"),
    ),
    Case(
        "name_that_is_no_text",
        (python('open(b"/srv/" + bytes([255, 10, 27]), "wb").write(bytes([127, 69, 76, 70]))'),),
        (UNEXPLAINED, "/srv/\ufffd\\n\\u{1b}"),
    ),
    Case(
        "binary_at_the_end_of_a_long_path",
        (
            "RUN mkdir -p " + "/".join(["/srv", *("d" * 200 for _ in range(9))]) + f" && {decoded('/tmp/x')}"
            " && mv /tmp/x " + "/".join(["/srv", *("d" * 200 for _ in range(9)), "x"]),
        ),
        (UNEXPLAINED, "d" * 200 + "/x"),
    ),
    Case(
        "binary_among_thousands",
        (f"RUN mkdir /srv/m && for n in $(seq 6000); do echo $n > /srv/m/$n; done && {decoded('/srv/m/3000')}",),
        ("1 " + UNEXPLAINED, "/srv/m/3000"),
    ),
    Case(
        "binary_through_a_cache_mount",
        (
            f"RUN --mount=type=cache,target=/c {decoded('/c/tool')}",
            "RUN --mount=type=cache,target=/c cp /c/tool /usr/local/bin/tool",
        ),
        (UNEXPLAINED, "/usr/local/bin/tool"),
    ),
    Case(
        "binary_through_a_bind_mount",
        ("RUN --mount=type=bind,from=make,source=/opt,target=/m cp /m/tool /usr/local/bin/tool",),
        (UNEXPLAINED, "/usr/local/bin/tool"),
        before=(f"FROM {BASE} AS make", f"RUN {decoded('/opt/tool')}"),
    ),
    Case(
        "binary_through_another_stage",
        ("COPY --from=make /opt/tool /usr/bin/tool",),
        (UNEXPLAINED, "/usr/bin/tool (COPY --from=make"),
        before=(f"FROM {BASE} AS make", f"RUN {decoded('/opt/tool')}"),
    ),
    Case(
        "binary_through_two_stages",
        ("COPY --from=keep /srv/tool /usr/bin/tool",),
        (UNEXPLAINED, "/usr/bin/tool (COPY --from=keep"),
        before=(
            f"FROM {BASE} AS make",
            f"RUN {decoded('/opt/tool')}",
            "FROM scratch AS keep",
            "COPY --from=make /opt/tool /srv/tool",
        ),
    ),
    Case(
        "module_through_another_stage",
        ("COPY --from=make /opt/app.py /srv/app.py",),
        (UNEXPLAINED, "/srv/app.py (COPY --from=make"),
        before=(f"FROM {BASE} AS make", "RUN echo 'import os' > /opt/app.py"),
    ),
    Case(
        "foreign_rpm_through_another_stage",
        ("COPY --from=make /usr/bin/hello /usr/bin/hallo",),
        (UNEXPLAINED, "/usr/bin/hallo"),
        before=(f"FROM {BASE} AS make", "COPY foreign.rpm /", "RUN rpm -i --nodeps /foreign.rpm"),
        foreign={"foreign.rpm": TAMPERED},
    ),
    Case(
        "binary_whose_path_is_too_long_for_the_builder",
        (
            python(
                'import os; d = "/srv" + 15 * ("/" + "d" * 250); os.makedirs(d); os.chdir(d); os.mkdir("e" * 200);'
                ' os.chdir("e" * 200); f = open("f" * 100, "wb"); f.write(bytes([127, 69, 76, 70])); f.close();'
                ' os.chmod("f" * 100, 0o755)'
            ),
        ),
        # Whether the file is named or its directory is a matter of how long the builder's own path is.
        ("1 " + UNEXPLAINED, "/srv/" + "d" * 250, "its path is too long to look at it"),
    ),
    # A shell takes it for a script that does nothing, and succeeds.
    Case(
        "empty_program",
        ("RUN : > /usr/local/bin/gpg && chmod 755 /usr/local/bin/gpg",),
        (UNEXPLAINED, "/usr/local/bin/gpg (RUN", "a shell runs an empty program"),
    ),
    Case("byte_code_of_erlang", ("RUN printf 'FOR1abcdBEAM' > /srv/data",), (UNEXPLAINED, "/srv/data (RUN")),
    # The object is gone; whoever puts another one there is loaded into every program.
    Case(
        "loader_s_cache_leads_to_where_anybody_writes",
        (
            "RUN mkdir /tmp/l && cp /usr/lib/*/libz.so.1 /tmp/l/ && ldconfig /tmp/l && rm -r /tmp/l"
            " && ldconfig -p | grep /tmp/l",
        ),
        (UNEXPLAINED, "/etc/ld.so.cache (RUN", "it leads to /tmp/l/libz.so.1, where anybody may write"),
    ),
    # Only what the stage brought is its own: the binary of the commit was altered on the way.
    Case(
        "binary_of_the_commit_altered_in_a_stage",
        ("COPY --from=make /tool /usr/local/bin/tool",),
        (UNEXPLAINED, "/usr/local/bin/tool (COPY --from=make"),
        before=(f"FROM {BASE} AS make", "COPY tool /tool", "RUN echo more >> /tool"),
        files={"tool": ELF},
    ),
    # What is hidden under a mount while dnf runs is gone afterwards: no rpmdb knows the package.
    Case(
        "foreign_rpm_while_the_rpmdb_is_under_a_mount",
        (
            "COPY foreign.rpm /tmp/",
            "RUN --mount=type=tmpfs,target=/usr/lib/sysimage/rpm rpm --initdb && rpm -i --nodeps /tmp/foreign.rpm",
            "RUN rm /tmp/foreign.rpm",
        ),
        (UNEXPLAINED, "/usr/bin/notkoji (RUN --mount=type=tmpfs"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
]
