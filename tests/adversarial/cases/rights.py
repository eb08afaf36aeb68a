"""Rights that no RPM gives: files that run as somebody else, devices, accounts."""

from cases.replaced import archive
from corpus import RIGHTS, Case, python

TITLE = "Rights from nowhere"
_WHEEL = "grep -q ^wheel: /etc/group || echo wheel:x:10: >> /etc/group"
CASES = [
    Case("setuid_added", ("RUN chmod u+s /usr/bin/python3.11",), (RIGHTS, "/usr/bin/python3.11 (setuid)")),
    Case(
        "setuid_copy",
        ("RUN cp /usr/bin/env /usr/local/bin/env && chmod 6755 /usr/local/bin/env",),
        (RIGHTS, "/usr/local/bin/env (setuid, setgid)"),
    ),
    Case(
        "setuid_by_a_hard_link",
        ("RUN ln /usr/bin/env /usr/local/bin/env && chmod 4755 /usr/local/bin/env",),
        (RIGHTS, "/usr/local/bin/env (setuid)", "/usr/bin/env (setuid)"),
    ),
    Case(
        "setuid_from_the_commit",
        ("COPY --chmod=4755 start /usr/local/bin/start",),
        (RIGHTS, "/usr/local/bin/start (setuid)"),
        files={"start": "#!/bin/sh\nexec true\n"},
    ),
    Case(
        "setuid_from_an_archive",
        ("ADD all.tar /srv/",),
        (RIGHTS, "/srv/start (setuid)"),
        files={"all.tar": archive(("start", b"#!/bin/sh\nexec true\n", 0o4755))},
    ),
    Case(
        "setuid_through_another_stage",
        ("COPY --from=make /srv/env /usr/local/bin/env",),
        (RIGHTS, "/usr/local/bin/env (setuid)"),
        before=(
            "FROM registry.example.com/f40/base:40 AS make",
            "RUN cp /usr/bin/env /srv/env && chmod 4755 /srv/env",
        ),
    ),
    Case(
        "capabilities_added",
        (
            python(
                'import os, struct; os.setxattr("/usr/bin/python3.11", "security.capability",'
                ' struct.pack("<5I", 0x02000001, 0x80, 0, 0, 0))'
            ),
        ),
        (RIGHTS, "/usr/bin/python3.11 (capabilities cap_setuid)"),
    ),
    # In a user namespace nobody makes one.
    Case(
        "device_node",
        (python('import os, stat; os.mknod("/srv/disk", stat.S_IFBLK | 0o666, os.makedev(8, 0))'),),
        ("os.mknod", "Operation not permitted"),
    ),
    Case(
        "another_root",
        ("RUN echo 'toor:x:0:0::/root:/bin/bash' >> /etc/passwd",),
        (RIGHTS, "/etc/passwd (the user toor is root (uid 0))"),
    ),
    Case(
        "another_root_in_other_digits",
        ("RUN echo 'toor:x:000:0::/root:/bin/bash' >> /etc/passwd",),
        (RIGHTS, "/etc/passwd (the user toor is root (uid 000))"),
    ),
    Case(
        "password_of_root",
        ("RUN sed -i 's|^root:[^:]*:|root:$6$salt$digest:|' /etc/shadow",),
        (RIGHTS, "/etc/shadow (the user root has a password)"),
    ),
    Case(
        "user_without_a_password",
        ("RUN echo 'guest::1002:1002::/:/bin/bash' >> /etc/passwd",),
        (RIGHTS, "/etc/passwd (the user guest needs no password)"),
    ),
    Case(
        "accounts_behind_a_link",
        ("RUN cp /etc/passwd /srv/p && echo 'toor:x:0:0::/root:/bin/bash' >> /srv/p && ln -sf /srv/p /etc/passwd",),
        (RIGHTS, "/etc/passwd (the user toor is root (uid 0))"),
    ),
    Case(
        "member_of_a_powerful_group",
        ("RUN sed -i '/^wheel:/d' /etc/group && echo 'wheel:x:10:app' >> /etc/group",),
        (RIGHTS, "/etc/group (the group wheel has the members app)"),
    ),
    Case(
        "user_of_a_powerful_group",
        (f"RUN {_WHEEL}; echo 'app:x:1001:10::/:/bin/sh' >> /etc/passwd",),
        (RIGHTS, "/etc/passwd (the user app belongs to the group wheel (gid 10))"),
    ),
    Case(
        "group_that_is_root_by_another_name",
        ("RUN echo 'ops:x:0:app' >> /etc/group",),
        (RIGHTS, "/etc/group (the group ops is root (gid 0))"),
    ),
    Case(
        "powerful_group_by_another_name",
        (f"RUN {_WHEEL}; echo 'ops:x:10:app' >> /etc/group",),
        (RIGHTS, "/etc/group (the group ops is wheel (gid 10))"),
    ),
    Case(
        "password_of_a_group",
        ("RUN echo 'wheel:$6$salt$digest::' >> /etc/gshadow",),
        (RIGHTS, "/etc/gshadow (the group wheel has a password)"),
    ),
    Case(
        "accounts_that_anybody_writes",
        ("RUN chmod 666 /etc/passwd /etc/shadow",),
        (RIGHTS, "/etc/passwd (anybody may write it)", "/etc/shadow (anybody may write it)"),
    ),
    Case(
        "program_that_anybody_writes",
        ("RUN chmod 777 /usr/bin/sed",),
        (RIGHTS, "/usr/bin/sed (anybody may write it)"),
    ),
    # Whoever holds it could sign packages for what is made from the image.
    Case(
        "key_imported_into_the_rpmdb",
        ("COPY key.asc /tmp/", "RUN rpm --import /tmp/key.asc && rm /tmp/key.asc"),
        ("the site's policy refuses this image", "gpg-pubkey-", "rpm in the image would trust what is signed with it"),
        rpms={"key.asc": "other key"},
    ),
]
