"""Writes README.md from the cases: `python tests/adversarial/readme.py`. A test holds it to them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import cases

HEAD = """\
# The adversarial corpus

Builds by somebody who controls the Dockerfile, the dist-git repository and every repository that is offered. Each is
one dist-git repository, built by the real worker of the end-to-end scene with registry, dist-git and hub. A refused
build must say its exact reason, and leave no image, no build and no tag. Honest images must pass without a word.

    E2E_STATE=DIR PYTHONPATH=examples:python .venv/bin/python -m pytest tests/adversarial            development hub
    KOJI_SRC=DIR E2E_STATE=DIR PYTHONPATH=… .venv/bin/python -m pytest tests/adversarial             real hub as well

- `corpus.py`: what a case is. `cases/`: the cases, one theme a file. `scripts/`: what they run inside a build.
- `offers.py`: the adversary's repositories. `hub.py`: the hub. `test_moved.py`: what changes while a build runs.
- A new case goes into its theme's list; then run `python tests/adversarial/readme.py`.

This list is written by `readme.py`.
"""


def text() -> str:
    """The whole README."""
    out = [HEAD]
    refused = sum(len(theme.CASES) for theme in cases.REFUSING)
    out.append(f"## Refused: {refused} builds\n")
    for theme in cases.REFUSING:
        out.append(f"### {theme.TITLE} (`cases/{Path(theme.__file__).name}`)\n")
        out += [f"- {case.name.replace('_', ' ')}: {_reason(case)}" for case in theme.CASES]
        out.append("")
    out.append(f"## {cases.reported.TITLE}, and let pass: {len(cases.REPORTED)} builds\n")
    out += [f"- {case.name.replace('_', ' ')}: {_reason(case)}" for case in cases.REPORTED]
    out.append(f"\n## {cases.honest.TITLE}: {len(cases.HONEST)} builds\n")
    out += [f"- {case.name.replace('_', ' ')}" for case in cases.HONEST]
    return "\n".join(out) + "\n"


def _reason(case) -> str:
    words = "`, `".join(word.strip().replace("`", "") for word in case.words)
    by_hub = "".join(
        f"; on the {hub} hub `{'`, `'.join(w.strip() for w in words)}`" for hub, words in case.words_by_hub.items()
    )
    return f"`{words}`{by_hub}" if words else "nothing to say"


if __name__ == "__main__":
    (Path(__file__).parent / "README.md").write_text(text())
