"""The hub plugins, loaded the way the real hub loads them, and the `kojihub` module they find."""

import re
import sys
import types

import koji
import koji.plugin

from . import builds, hosts, packages, policy, registry, rpms, tags, targets, tasks, users, values
from .database import db


class QueryProcessor:
    """Koji's query builder, as far as plugins read with it: one SELECT with named values.

    Values are written `%(name)s` as in Koji; a list is for `IN`, a tuple of tuples for a comparison of rows.
    """

    def __init__(self, columns=None, aliases=None, tables=None, joins=None, clauses=None, values=None, opts=None):
        self.columns = list(columns or [])
        self.aliases = list(aliases or self.columns)
        self.tables = list(tables or [])
        self.joins = list(joins or [])
        self.clauses = list(clauses or [])
        self.values = dict(values or {})
        self.opts = dict(opts or {})

    def execute(self):
        """The rows as dictionaries."""
        if self.tables == ["information_schema.columns"]:
            # PostgreSQL's catalogue; SQLite has a function for it.
            return db().all("SELECT name AS column_name FROM pragma_table_info(:table)", **self.values)
        names = ", ".join(f'{column} AS "{alias}"' for column, alias in zip(self.columns, self.aliases))
        sql = f"SELECT {names} FROM {', '.join(self.tables)}"
        sql += "".join(f" {join}" if "join" in join.lower().split() else f" JOIN {join}" for join in self.joins)
        sql += f" WHERE {' AND '.join(f'({clause})' for clause in self.clauses) or '1'}"
        rows = db().all(re.sub(r"%\((\w+)\)[sdi]", r":\1", sql), **self.values)
        return values.apply_query_opts(rows, self.opts)

    def executeOne(self, strict=False):
        """The first row or None."""
        rows = self.execute()
        if strict and len(rows) != 1:
            raise koji.GenericError(f"query returned {len(rows)} rows, one was expected")
        return rows[0] if rows else None


def kojihub_module():
    """A module with the names plugins use of the real `kojihub`. Anything else is an AttributeError, not a surprise."""
    module = types.ModuleType("kojihub", "The development hub, under the name plugins know.")
    for name, value in {
        "make_task": tasks.make_task,
        "get_build_target": targets.get_build_target,
        "get_build_targets": targets.get_build_targets,
        "get_tag": tags.get_tag,
        "get_build": builds.find_build,
        "get_rpm": rpms.getRPM,
        "get_user": users.getUser,
        "get_host": hosts.find_host,
        "get_package_id": packages.getPackageID,
        "readPackageList": packages.read_package_list,
        "convert_value": values.convert_value,
        "check_policy": policy.check_policy,
        "assert_policy": policy.assert_policy,
        "eval_policy": policy.eval_policy,
        "QueryProcessor": QueryProcessor,
        "reject_draft": reject_draft,
    }.items():
        setattr(module, name, value)
    return module


def reject_draft(data, is_rpm=False, error=None):
    """GenericError for a draft build or RPM."""
    if data.get("draft"):
        raise error or koji.GenericError(f"Draft {'rpm' if is_rpm else 'build'} not supported")


def load_plugins(names, path):
    """Loads plugins by name from a list of directories and registers what they export; the modules.

    A plugin that fails to load stops the start with its own error: a hub that is for trying should say so at once.
    """
    sys.modules["kojihub"] = kojihub_module()
    tracker = koji.plugin.PluginTracker(path=path)
    loaded = []
    for name in names:
        plugin = tracker.load(name)
        registry.register_plugin(plugin)
        loaded.append(plugin)
    return loaded
