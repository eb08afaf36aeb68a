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
kojihub.assert_policy = lambda name, data: None
kojihub.make_task = lambda method, arglist, **options: (method, arglist, options)
sys.modules['kojihub'] = kojihub
context.session = types.SimpleNamespace(user_id=1, assertLogin=lambda: None, hasPerm=lambda name: False)
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
                     lambda: plugin.check_container_import('preImport', type='cg', metadata={
                         'build': {}, 'buildroots': [{'content_generator': {'name': 'containerbuild'}}]})):
            try:
                call()
            except koji.PluginError as error:
                print(error.faultCode, error)
        # somebody else's imports go on
        plugin.check_container_import('preImport', type='cg', metadata={
            'build': {'extra': {'image': {}}}, 'buildroots': [{'content_generator': {'name': 'another'}}]})
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
        ("[containerbuild]\ncheck_parents = yes\n", "check_parents must be refuse, warn or allow"),
        ("[containerbuild]\ncheck_component = warn\n", "did you mean check_components?"),
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


IMPORT = """
        asked = []
        class QueryProcessor:
            def __init__(self, tables, columns, clauses, values, joins=(), aliases=None):
                self.table, self.names, self.values = tables[0], aliases or columns, values
            def execute(self):
                asked.append((self.table, len(next(iter(self.values.values())))))
                if self.table == 'information_schema.columns':
                    return [{'column_name': name} for name in COLUMNS]
                row = dict.fromkeys(self.names, None) | ROW
                names = ('name', 'version', 'release', 'arch')
                return [row | dict(zip(names, nvra)) for nvra in self.values['nvras']]
            def executeOne(self):
                asked.append((self.table, 1))
                return {'id': 7, 'state': 1, 'method': 'buildContainer', 'owner_name': 'packager', 'host_id': 4}
        kojihub.QueryProcessor = QueryProcessor
        context.session.host_id = 4
        plugin = load()
        ROW = {'payloadhash': '0', 'external_repo_id': 0, 'build_state': 1}
        COLUMNS = ['payloadhash', 'draft']
        def part(n, **more):
            return dict(type='rpm', name='p%d' % n, version='1', release='1', arch='noarch', sigmd5='0', **more)
        def check(*parts):
            plugin.check_container_import('preImport', type='cg', metadata={
                'build': {'task_id': 7, 'owner': 'packager', 'extra': {'image': {'parent_images': []}}},
                'buildroots': [{'content_generator': {'name': 'containerbuild'}}],
                'output': [{'filename': arch, 'type': 'docker-image', 'components': list(parts)}
                           for arch in ('x86_64', 'aarch64')]})
"""


def test_imports_are_looked_up_in_batches(tmp_path):
    conf = tmp_path / "containerbuild.conf"
    conf.write_text("[containerbuild]\nimport_batch = 2\n")
    code = (
        IMPORT
        + """
        check(*map(part, range(5)))
        check(part(1))
        print(asked)
    """
    )
    output = python(code, CONTAINERBUILD_HUB_CONF=str(conf))
    rows = [("rpminfo", n) for n in (2, 2, 1)]
    columns = ("information_schema.columns", len("rpminfo"))
    assert output.strip() == str([("task", 1), columns, *rows, ("task", 1), ("rpminfo", 1)])


def test_header_digests_are_compared_on_hubs_that_have_them():
    code = (
        IMPORT
        + """
        COLUMNS += ['sha1header', 'sha256header', 'sha3_256header']
        ROW['sha256header'] = 'AB'
        check(part(1, sha256header='ab'))
        try:
            check(part(1, sha256header='cd'))
        except koji.ParameterError as error:
            print(error)
    """
    )
    output = python(code, CONTAINERBUILD_HUB_CONF="/dev/null")
    assert "p1-1-1.noarch (same name, other content: sha256header cd, Koji's is ab)" in output


@pytest.mark.parametrize("text", ["check_imports = warn", "check_components = warn"])
def test_a_site_may_only_be_warned(tmp_path, text):
    conf = tmp_path / "containerbuild.conf"
    conf.write_text(f"[containerbuild]\n{text}\n")
    code = (
        IMPORT
        + """
        import logging
        logging.basicConfig(stream=sys.stdout, format='%(name)s %(levelname)s %(message)s')
        ROW['payloadhash'] = 'ff'
        check(part(1))
        print('imported')
    """
    )
    output = python(code, CONTAINERBUILD_HUB_CONF=str(conf))
    assert output.startswith("koji.plugin.containerbuild WARNING The import of ") and output.endswith("imported\n")
    assert "p1-1-1.noarch (same name, other content" in output
