"""Loading the hub plugin with Koji's own loader, in a process where the extension or the configuration is missing or broken.

A hub plugin that fails to load takes its whole hub offline, so none of that may show before a call needs it.
"""

import subprocess
import sys
import textwrap

import pytest

from hubs import PLUGINS, REPOSITORY

PROLOGUE = """
import inspect, sys, types
import koji, koji.plugin
from koji.context import context
sys.path.insert(0, {python!r})
kojihub = types.ModuleType('kojihub')
kojihub.get_build_target = lambda name: dict(name=name)
kojihub.make_task = lambda method, arglist, **options: (method, arglist, options)
sys.modules['kojihub'] = kojihub
context.session = types.SimpleNamespace(assertLogin=lambda: None, hasPerm=lambda name: False)
def load():
    return koji.plugin.PluginTracker(path=[{plugins!r}]).load('containerbuild')
SOURCE = 'git+https://src.example.org/container/web.git#f40'
"""


def python(code, **environment):
    """Runs code after the prologue; what it printed."""
    prologue = PROLOGUE.format(python=str(REPOSITORY / "python"), plugins=str(PLUGINS))
    done = subprocess.run(
        [sys.executable, "-c", prologue + textwrap.dedent(code)], capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_missing_extension_fails_the_call_and_not_the_load():
    output = python(
        """
        sys.modules['containerbuild_hub'] = None
        plugin = load()
        for call in (lambda: plugin.buildContainer(SOURCE, 'target', {'git_branch': 'f40'}),
                     lambda: plugin.check_container_import('preImport', type='cg', metadata={'build': {'extra': {'image': {}}}})):
            try:
                call()
            except koji.PluginError as error:
                print(error.faultCode, error)
        # somebody else's imports go on
        plugin.check_container_import('preImport', type='cg', metadata={'build': {'extra': {'typeinfo': {'maven': {}}}}})
        plugin.check_container_import('preImport', type='rpm', rpm={})
    """,
        CONTAINERBUILD_HUB_CONF="/dev/null",
    )
    lines = output.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("1016 the hub lacks containerbuild's extension module") for line in lines)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {"channel": "container"}),
        ("[containerbuild]\nchannel =\n", {}),
        ("[containerbuild]\nchannel = container-binary\n", {"channel": "container-binary"}),
    ],
)
def test_the_channel_is_the_configured_one_and_may_be_empty(tmp_path, text, options):
    conf = tmp_path / "containerbuild.conf"
    conf.write_text(text)
    output = python(
        """
        plugin = load()
        print(plugin.buildContainer(SOURCE, 'target', {'git_branch': 'f40'})[2])
        print(plugin.buildContainer(SOURCE, 'target', {'git_branch': 'f40'}, channel='mine')[2])
    """,
        CONTAINERBUILD_HUB_CONF=str(conf),
    )
    assert output.splitlines() == [str(options), str({"channel": "mine"})]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[containerbuild]\nimport_batch = many\n", "import_batch"),
        ("[containerbuild]\ncheck_imports = perhaps\n", "check_imports"),
    ],
)
def test_a_bad_configuration_fails_calls_with_its_name(tmp_path, text, word):
    conf = tmp_path / "containerbuild.conf"
    conf.write_text(text)
    output = python(
        """
        plugin = load()
        try:
            plugin.buildContainer(SOURCE, 'target', {'git_branch': 'f40'})
        except koji.ConfigurationError as error:
            print(error)
    """,
        CONTAINERBUILD_HUB_CONF=str(conf),
    )
    assert str(conf) in output and word in output


def test_the_sample_configuration_shows_the_defaults():
    defaults, sample = (
        python("plugin = load()\nprint(plugin._settings())", CONTAINERBUILD_HUB_CONF=path)
        for path in ("/dev/null", str(PLUGINS / "containerbuild.conf"))
    )
    assert defaults == sample


def test_every_export_has_a_signature_and_a_description():
    output = python("""
        plugin = load()
        for value in vars(plugin).values():
            if getattr(value, 'exported', False):
                print(value.__name__, inspect.signature(value), bool(value.__doc__))
    """)
    assert output.splitlines() == [
        "buildContainer (src, target, opts=None, priority=None, channel=None) True",
        "buildSourceContainer (target, opts=None, priority=None, channel=None) True",
    ]


def test_imports_are_looked_up_in_batches(tmp_path):
    conf = tmp_path / "containerbuild.conf"
    conf.write_text("[containerbuild]\nimport_batch = 2\n")
    output = python(
        """
        rows = {}
        class QueryProcessor:
            def __init__(self, tables, columns, clauses, values):
                self.asked = values['nvras']
                print(tables, len(self.asked))
            def execute(self):
                names = ('name', 'version', 'release', 'arch')
                return [dict(zip(names, nvra), payloadhash='0', external_repo_id=0) for nvra in self.asked]
        kojihub.QueryProcessor = QueryProcessor
        plugin = load()
        parts = [dict(type='rpm', name='p%d' % n, version='1', release='1', arch='noarch', sigmd5='0') for n in range(5)]
        plugin.check_container_import('preImport', type='cg', metadata={
            'build': {'extra': {'image': {}}}, 'buildroots': [{'content_generator': {'name': 'atomic-reactor'}}],
            'output': [{'filename': 'x86_64', 'components': parts}, {'filename': 'aarch64', 'components': parts}]})
    """,
        CONTAINERBUILD_HUB_CONF=str(conf),
    )
    assert output.splitlines() == ["['rpminfo'] 2", "['rpminfo'] 2", "['rpminfo'] 1"]
