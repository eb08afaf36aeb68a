"""Foreign images: as parents, under another's labels, and for their files. conftest.py pushes them past Koji."""

from corpus import BASE, NOT_KOJI, Case

TITLE = "Images from somewhere else"
UNLABELLED = ("foreign/plain", "does not say which Koji build it is")
CASES = [
    Case("foreign_parent", ("RUN true",), UNLABELLED, base="{plain}"),
    Case("foreign_parent_by_argument", ("RUN true",), UNLABELLED, base="${FROM}", before=("ARG FROM={plain}",)),
    Case("foreign_parent_by_digest", ("RUN true",), UNLABELLED, base="{plain_by_digest}"),
    Case("parent_with_forged_labels", ("RUN true",), ("foreign/forged", "has other digests"), base="{forged}"),
    Case(
        "parent_that_names_no_build",
        ("RUN true",),
        ("foreign/invented", "says it is invented-1-1, which is not a complete build in this Koji"),
        base="{invented}",
    ),
    Case("copy_from_a_foreign_image", ("COPY --from={plain} /etc/os-release /srv/x",), UNLABELLED),
    Case(
        "mount_of_a_foreign_image",
        ("RUN --mount=type=bind,from={plain},target=/m cp /m/etc/os-release /srv/x",),
        UNLABELLED,
    ),
    Case(
        "cache_begun_from_a_foreign_image",
        ("RUN --mount=type=cache,from={plain},target=/m cp /m/etc/os-release /srv/x",),
        UNLABELLED,
    ),
    Case(
        "foreign_image_in_a_stage_that_is_used",
        ("COPY --from=make /etc/os-release /srv/x",),
        UNLABELLED,
        before=("FROM {plain} AS make",),
    ),
    # Nothing says where such files came from, be they from the commit or not.
    Case(
        "image_without_any_rpm",
        ("COPY start /start",),
        (NOT_KOJI, "(no-rpmdb)"),
        files={"start": "#!/bin/sh\nexec true\n"},
        base="scratch",
    ),
    Case(
        "programs_of_a_proven_image_without_their_rpmdb",
        ("COPY --from=make /usr/bin /usr/bin",),
        (NOT_KOJI, "(no-rpmdb)"),
        before=(f"FROM {BASE} AS make",),
        base="scratch",
    ),
]
