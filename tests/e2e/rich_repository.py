"""A repository of one package, `hello`, with everything that metadata can say of it: a group, a module stream, an
advisory, and zchunk copies. Used by test_gate.py and test_solvers.py.
"""

import platform
import shutil
import subprocess

COMPS = """<comps><group><id>greeters</id><name>Greeters</name><description>People</description><default>true</default>
<uservisible>true</uservisible>
<packagelist><packagereq type="mandatory">hello</packagereq></packagelist></group></comps>
"""
ADVISORY = """<updates><update from="demo@example.com" status="final" type="security" version="1"><id>DEMO-2026-1</id>
<title>hello</title><issued date="2026-01-01 00:00:00"/><severity>Important</severity><description>Greets</description>
<pkglist><collection short="d"><name>demo</name><package name="hello" epoch="{epoch}" version="{version}"
 release="{release}" arch="{arch}"><filename>{file}</filename></package></collection></pkglist></update></updates>
"""
MODULE = """---
document: modulemd
version: 2
data:
  name: greet
  stream: "1"
  version: 20260101
  context: abcd
  arch: {machine}
  summary: Greetings
  description: Greetings
  license: {{module: [MIT]}}
  profiles: {{default: {{rpms: [hello]}}}}
  artifacts: {{rpms: ["hello-{epoch}:{version}-{release}.{arch}"]}}
...
"""


def make(rpm, *others, directory, epoch=0):
    """A repository in `directory` with that package, and plain others; the directory to serve."""
    repo = directory / "repo"
    repo.mkdir(parents=True)
    for path in (rpm, *others):
        shutil.copy(path, repo)
    name, arch, _ = rpm.name.rsplit(".", 2)
    _, version, release = name.rsplit("-", 2)
    facts = {"epoch": epoch, "version": version, "release": release, "arch": arch, "file": rpm.name}
    facts["machine"] = platform.machine()  # of a module with packages for any
    files = {"comps": COMPS, "updateinfo": ADVISORY.format(**facts), "modules": MODULE.format(**facts)}
    for kind, text in files.items():
        (directory / f"{kind}.xml").write_text(text)
    commands = [
        ["createrepo_c", "--quiet", "--zck", "-g", directory / "comps.xml", repo],
        *(
            ["modifyrepo_c", f"--mdtype={k}", directory / f"{k}.xml", repo / "repodata"]
            for k in ("updateinfo", "modules")
        ),
    ]
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return repo
