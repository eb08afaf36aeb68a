"""RPMs that Koji has, but not as a build of its own that counts, and repositories that lie.

Each is offered by a repository of the adversary's (offers.py), which the request names with --repo-url.
"""

from corpus import NOT_KOJI, STRANGE, Case

TITLE = "Repositories of the adversary"


def _install(name, package, offer, *words, **more):
    return Case(name, (f"RUN dnf -y --repo=request0-{offer} install {package}",), words, offer=offer, **more)


def _pin(name, offer, *words):
    """A repository that is refused before any step runs."""
    return Case(name, ("RUN true",), words, offer=offer)


def _copied(name, rpm, *words):
    """Koji's RPM out of the commit."""
    run = "RUN rpm -i --nodeps /tmp/x.rpm && rm /tmp/x.rpm"
    words = ("the site's policy refuses this image", "offered-1-1.noarch: ", *words)
    return Case(name, ("COPY x.rpm /tmp/", run), words, rpms={"x.rpm": rpm})


CASES = [
    _install("rpm_of_a_draft_build", "drafted", "drafted", "drafted-1-1", "(rule draft)"),
    _install("rpm_of_a_deleted_build", "vanished", "vanished", "vanished-1-1", "(rule deleted-build)"),
    _install("rpm_of_an_external_repository", "outside", "outside", "outside-1-1", "(rule external)"),
    _install("rpm_with_another_epoch", "offered", "epoch", "offered", "(rule digest-differs)"),
    Case(
        "rpm_for_another_architecture",
        (f"RUN dnf -y --forcearch={STRANGE} --repo=request0-strange install strange",),
        (NOT_KOJI, f"strange-1-1.{STRANGE}", "(wrong-architecture)"),
        offer="strange",
    ),
    _install(
        "rpm_signed_by_another_key",
        "offered",
        "resigned",
        "is not an allowed key (rule signing_keys/ours",
        "(rule wrong-key)",
    ),
    _install(
        "rpm_without_its_signature",
        "offered",
        "unsigned",
        "it is not signed (rule signing_keys/ours",
        "(rule unsigned)",
    ),
    _install(
        "rpm_signed_past_koji", "bare", "bare", "but Koji has no copy of it signed with that key", "(rule wrong-key)"
    ),
    _install("rpm_of_a_build_in_no_tag", "offered", "untagged", "its build is in no tag", "(rule wrong-tag)"),
    # What the gate never saw is found in the finished image, by the same rules.
    _copied("copied_rpm_signed_by_another_key", "resigned", "is not an allowed key (rule signing_keys/ours"),
    _copied("copied_rpm_without_its_signature", "unsigned", "it is not signed (rule signing_keys/ours"),
    _copied("copied_rpm_of_a_build_in_no_tag", "offered", "its build is in no tag", "(rule content_tags/built-here"),
    # The rows say what they always said; a hub that records no header digests has nothing but a MD5 to tell.
    Case(
        "copied_rpm_whose_file_koji_has_lost",
        ("COPY x.rpm /tmp/", "RUN rpm -i --nodeps /tmp/x.rpm && rm /tmp/x.rpm"),
        (NOT_KOJI, "lost-1-1.noarch", "(no-digest)", "the header of Koji's own file cannot be had"),
        rpms={"x.rpm": "lost"},
    ),
    Case(
        "copied_rpm_of_a_deleted_build",
        ("COPY x.rpm /tmp/", "RUN rpm -i --nodeps /tmp/x.rpm && rm /tmp/x.rpm"),
        (NOT_KOJI, "vanished-1-1.noarch", "(deleted-build)"),
        rpms={"x.rpm": "vanished"},
    ),
    # Built before rpm 4.14: nobody declares a SHA-256 of its header. This one has what Koji records, on another header.
    Case(
        "rpm_of_an_old_age_forged",
        ("COPY x.rpm /tmp/", "RUN rpm -i --nodeps --nodigest --nosignature /tmp/x.rpm && rm /tmp/x.rpm"),
        (NOT_KOJI, "old-1-1.noarch", "(digest-differs)", "header SHA-"),
        rpms={"x.rpm": "forged"},
    ),
    _install("rpm_under_another_name", "sed-99", "renamed", "the metadata lists", "(rule name-differs)"),
    _install("rpm_under_another_epoch", "offered", "renumbered", "the metadata lists 7:", "(rule name-differs)"),
    _install("rpm_with_another_checksum", "swapped", "swapped", "(rule checksum-differs)"),
    _install("rpm_longer_than_listed", "longer", "longer", "has more than the", "(rule checksum-differs)"),
    _install("rpm_by_a_weak_checksum", "offered", "weak", "which proves nothing", "(rule not-listed)"),
    _install("rpm_on_another_host", "offered", "based", "http://mirror.example.com/", "(rule host-not-allowed)"),
    _install("rpm_with_a_header_bomb", "bomb", "bomb", "declares 4294967295 index entries", "(rule broken-rpm)"),
    _install("rpm_with_a_long_header", "bomb", "long", "data bytes, more than", "(rule broken-rpm)"),
    _install("rpm_cut_off", "offered", "cut", "(rule broken-rpm)"),
    _install("rpm_with_another_payload", "offered", "payload", "(rule broken-rpm)"),
    _pin("metadata_with_another_checksum", "tampered-metadata", "tampered-metadata", "should be sha256:"),
    _pin("metadata_out_of_the_repository", "escaping", "`../../../etc/passwd` leads out of the repository"),
    _pin("metadata_without_end", "endless", "repomd.xml", "has more than the 4194304 bytes"),
    _pin("metadata_with_an_entity_bomb", "entities", "a document type, which repository metadata has not"),
    _pin("metadata_with_an_endless_text", "text-bomb", "a tag or text of more than 1048576 bytes"),
    _pin("metadata_nested_without_end", "nested", "elements are nested more than 32 deep"),
    _pin(
        "repo_file_that_leads_elsewhere",
        "elsewhere",
        "repositories from the host `mirror.example.com` are not allowed here",
    ),
    _pin("repo_file_of_this_machine", "local", "`file:///etc/` is not an http or https URL"),
    _pin("repo_file_with_a_mirror_list", "mirrored", "has only a mirror list, which cannot be pinned"),
]
