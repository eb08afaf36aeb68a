"""Each case is built by buildah and by us; what both engines leave is compared line by line."""

import re
import shutil

import pytest

import compare
import context

# What buildah leaves in every image that had a RUN, and we do not. Everything else a case must name itself.
BUILDAH_LEAVES = {
    "/run/.containerenv": "a file of podman's for the container at run time; no part of an image",
    "/run/secrets": "stub of a mount that 1.28 always makes (engine.md R3, R5)",
}


@pytest.fixture
def built(scene, case):
    """The outcomes of both engines and of ours with `--squash`."""
    directory = scene.state / "context"
    directory.mkdir()
    try:
        context.write(directory, {**case.files, "Dockerfile": case.dockerfile})
        if case.ignore:
            (directory / ".dockerignore").write_text(case.ignore)
        out = scene.state
        theirs = scene.pool.submit(scene.buildah.build, case, directory, out / "theirs")
        # What must fail is not tried twice.
        again = None if case.fails else scene.pool.submit(scene.ours.build, case, directory, out / "squashed", "--squash")
        ours = scene.ours.build(case, directory, out / "ours")
        return ours, theirs.result(), again and again.result()
    finally:
        shutil.rmtree(directory)


def test_both_engines_make_the_same_image(case, built):
    ours, theirs, squashed = built
    expected = (not case.fails, not case.fails if not case.only else case.only == "buildah")
    said = f"\nours:\n{ours.output}\nbuildah:\n{theirs.output}"
    assert (ours.built, theirs.built) == expected, f"who builds it: (ours, buildah){said}"
    if case.fails:
        assert re.search(case.fails, ours.output), f"our message is another one{said}"
    if not ours.built:
        return
    lines = compare.lines(ours.image)
    wrong = {at: lines.get(at, compare.ABSENT) for at, line in case.expect.items() if lines.get(at, compare.ABSENT) != line}
    assert not wrong, f"our image is not as expected{said}"
    if theirs.built:
        others = compare.lines(theirs.image)
        found = compare.differences(lines, {at: line for at, line in others.items() if at not in BUILDAH_LEAVES})
        assert found == {d.at: (d.ours, d.buildah) for d in case.differs}, f"differences: at: (ours, buildah){said}"
    assert compare.differences(compare.lines(squashed.image), lines) == {}, "--squash changes the result"
    assert squashed.image.layers <= 2, "--squash leaves more than the base and one layer"
