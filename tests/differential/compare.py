"""Two images as lines, and the lines that differ.

A path's line says type, mode, owner, content or target, attributes and the other names of the same file; the time only
where it came from the context or an archive. A config field's line is its JSON. An absent path or field is `-`.
"""

import hashlib
import json

from context import STAMP

# Not ArgsEscaped: a mark for Windows that BuildKit sets and nothing on Linux reads (engine.md M2).
FIELDS = (
    "Env",
    "Cmd",
    "Entrypoint",
    "Labels",
    "WorkingDir",
    "User",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
)
ABSENT = "-"
SHOWN = 60


def lines(image):
    """Every line of an image, by `/path` or `config FIELD`."""
    names = {}
    for path, entry in image.tree.items():
        names.setdefault(id(entry), []).append(f"/{path}")
    found = {f"/{path}": line(path, entry, names[id(entry)]) for path, entry in image.tree.items()}
    for field in FIELDS:
        # Nothing, an empty text, an empty list and an absent field mean the same to a runtime.
        value = image.config.get(field)
        if value:
            found[f"config {field}"] = json.dumps(value, sort_keys=True)
    if image.document.get("author"):
        found["config Author"] = image.document["author"]
    return found


def line(path, entry, names):
    """One entry."""
    words = [entry.kind, f"{entry.mode:04o}", entry.owner]
    if entry.kind == "symlink":
        words = [entry.kind, entry.owner]  # the kernel knows no mode of a symlink
    words.append(content(entry))
    words += [f"{name}={value(data)}" for name, data in sorted(entry.xattrs.items())]
    words += [f"also={name}" for name in sorted(names) if name != f"/{path}"]
    if entry.mtime == STAMP and entry.kind != "dir":
        words.append("dated")
    return " ".join(word for word in words if word)


def content(entry):
    """The text of a short file, the digest of others; a link's target, a device's number."""
    if entry.kind in ("symlink", "char"):
        return f"-> {entry.target}" if entry.kind == "symlink" else entry.target
    if entry.kind != "file":
        return ""
    if len(entry.content) <= SHOWN:
        return value(entry.content)
    return f"{len(entry.content)} sha256:{hashlib.sha256(entry.content).hexdigest()[:16]}"


def value(data):
    """Bytes as text where they are text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"hex:{data.hex()}"
    return json.dumps(text) if text.isprintable() or "\n" in text else f"hex:{data.hex()}"


def differences(ours, theirs):
    """`{at: (ours, theirs)}` for all lines that are not equal."""
    keys = ours.keys() | theirs.keys()
    pairs = {key: (ours.get(key, ABSENT), theirs.get(key, ABSENT)) for key in keys}
    return {key: pair for key, pair in sorted(pairs.items()) if pair[0] != pair[1]}
