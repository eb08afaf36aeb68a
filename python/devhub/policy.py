"""Hub policies: rule texts of the configuration, read and applied by `koji.policy`.

The tests of the hub itself (has_perm, user, tag …) are here; a rule that names another one is refused at start.
"""

import logging

import koji
import koji.policy
import koji.tasks
from koji.context import context

from .registry import rpc
from .users import find_user, user_permissions

logger = logging.getLogger(__name__)

# What a fresh Koji has. `build_from_scm` denies everybody but admins there as well.
DEFAULTS = {
    "channel": "has req_channel :: req\nis_child_task :: parent\nall :: use default",
    "priority": "all :: stay",
    "build_from_scm": "has_perm admin :: allow\nall :: deny Only admin can do this via default policy",
    "package_list": "has_perm admin :: allow\nhas_perm tag :: allow\nall :: deny Only admin/tag can do this via default policy",
    "cg_import": "all :: allow",
}


def policy_user(data):
    """The user a policy question is about: `user_id` of the data, else the caller."""
    if "user_id" in data:
        return find_user(data["user_id"])
    return find_user(context.session.user_id) if context.session.logged_in else None


class HasPermTest(koji.policy.BaseSimpleTest):
    """has_perm NAME...: the user holds one of the permissions"""

    name = "has_perm"

    def run(self, data):
        user = policy_user(data)
        wanted = self.str.split()[1:]
        return bool(user) and bool(set(wanted) & set(user_permissions(user["id"])))


class UserTest(koji.policy.MatchTest):
    """user PATTERN...: the user's name matches"""

    name = "user"
    field = "_username"

    def run(self, data):
        user = policy_user(data)
        return bool(user) and super().run({**data, self.field: user["name"]})


class OperationTest(koji.policy.MatchTest):
    """operation PATTERN...: the operation (tag, move, untag, import) matches"""

    name = "operation"
    field = "operation"


class MethodTest(koji.policy.MatchTest):
    """method PATTERN...: the task's method matches"""

    name = "method"
    field = "method"


class IsChildTaskTest(koji.policy.BoolTest):
    """is_child_task: the task has a parent"""

    name = "is_child_task"
    field = "parent"


class PackageTest(koji.policy.MatchTest):
    """package PATTERN...: the package's name matches"""

    name = "package"
    field = "_package"

    def run(self, data):
        from .builds import find_build

        name = data.get("package")
        if name is None and data.get("build") is not None:
            name = (find_build(data["build"]) or {}).get("name")
        return name is not None and super().run({**data, self.field: str(name)})


class TagTest(koji.policy.MatchTest):
    """tag PATTERN...: the tag's name matches"""

    name = "tag"
    field = "_tagname"

    def tag_name(self, data):
        from .tags import get_tag

        tag = data.get("tag")
        found = get_tag(tag) if tag is not None else None
        return found["name"] if found else None

    def run(self, data):
        name = self.tag_name(data)
        return name is not None and super().run({**data, self.field: name})


class CGMatchTest(koji.policy.BaseSimpleTest):
    """cg_match_any PATTERN...: one of the import's content generators matches"""

    name = "cg_match_any"

    def run(self, data):
        from .lookups import lookup_name

        names = [lookup_name("content_generator", cg, strict=True)["name"] for cg in data.get("cg_list", [])]
        return any(koji.util.multi_fnmatch(name, self.str.split()[1:]) for name in names)


def load(texts, plugins):
    """Rule sets by name from rule texts; tests defined in plugins override stock ones."""
    tests = koji.policy.findSimpleTests([vars(koji.policy), globals()])
    for plugin in plugins:
        tests.update(koji.policy.findSimpleTests(vars(plugin)))
    return {name: koji.policy.SimpleRuleSet(text.splitlines(), tests) for name, text in {**DEFAULTS, **texts}.items()}


def apply_rules(name, data):
    """The action line of a policy for `data`; None when no rule matches."""
    return context.policy[name].apply(data)


def check_policy(name, data, default="deny", strict=False, force=False):
    """(allowed, reason) of an allow/deny policy; a missing one allows. `strict`: ActionNotAllowed instead of False."""
    if name not in context.policy:
        return True, "missing policy"
    result = apply_rules(name, data)
    if result is None:
        action, reason = default, "not covered by policy"
    else:
        action, _, reason = result.partition(" ")
    if action.lower() == "allow":
        return True, reason
    if action.lower() != "deny":
        logger.error("policy %s: unknown action %r", name, result)
        reason = "error in policy"
    user = policy_user(data) if force else None
    if user and "admin" in user_permissions(user["id"]):
        logger.info("policy %s overridden by %s", name, user["name"])
        return True, "overriden by force"
    if strict:
        raise koji.ActionNotAllowed(f"policy violation ({name})" + (f": {reason}" if reason else ""))
    return False, reason


def assert_policy(name, data, default="deny", force=False):
    """ActionNotAllowed unless the policy allows."""
    check_policy(name, data, default=default, strict=True, force=force)


def eval_policy(name, data):
    """The action line of a policy."""
    if name not in context.policy:
        raise koji.GenericError(f"no such policy: {name}")
    return apply_rules(name, data)


def policy_data_from_task_args(method, arglist):
    """What a task's parameters tell a policy: source, target, tag, build_tag, scratch."""
    from .tags import get_tag
    from .targets import get_build_target

    try:
        params = koji.tasks.parse_task_params(method, arglist)
    except (TypeError, koji.ParameterError):
        logger.info("no signature known for task method %s", method)
        return {}
    data = {}
    for key in ("src", "spec_url", "url"):
        if isinstance(params.get(key), str) and method != "newRepo":
            data["source"] = params[key]
            break
    for key in ("target", "build_target", "target_info"):
        if key in params:
            target = params[key].get("name") if isinstance(params[key], dict) else params[key]
            found = get_build_target(target) if target is not None else None
            data["target"] = found["name"] if found else None
            break
    for key in ("tag", "tag_id", "tag_info"):
        found = get_tag(params[key]) if isinstance(params.get(key), (int, str)) else None
        if found:
            data["tag"] = found["name"]
            break
    found = get_tag(params["build_tag"]) if isinstance(params.get("build_tag"), (int, str)) else None
    if found:
        data["build_tag"] = found["name"]
    options = params.get("opts") if isinstance(params.get("opts"), dict) else {}
    if "scratch" in options:
        data["scratch"] = options["scratch"]
    return data


@rpc
def evalPolicy(name, data):
    """The action line of a policy for the given data"""
    return eval_policy(name, data)
