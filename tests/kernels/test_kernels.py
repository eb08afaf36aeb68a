"""The engine on other kernels and cgroup layouts than this machine's: unified cgroups as systemd hands them out, kernels that
lack something. The guest runs the engine's own tests (crates/image-build/tests/engine) and the command-line program.
"""

import re

import pytest

# Every limit the kernel keeps, hit and told; that cgroups are out of reach, and gone afterwards.
LIMITS = "escape::a_fork escape::a_memory escape::files_in_memory escape::processor escape::no_cgroup limits:: run::memory"

# What is run on kernels before 5.19, where RUN steps have no user namespace: not what is about owners and ids in one.
OLDER = "run:: copy:: config:: limits:: escape::a_ escape::no_"

# And of that, what holds in a user namespace alone: no device can be made, loopback answers no ping, devices are shut
# without cgroups too.
NAMESPACED = {
    "run::the_sandbox_holds",
    "escape::no_packet_leaves_and_no_name_is_found",
    "limits::what_the_machine_lacks_is_told_and_the_build_goes_on",
}


def version(kernel):
    """Major and minor number."""
    return tuple(int(n) for n in re.findall(r"\d+", kernel.version)[:2])


def namespaces(kernel):
    """Whether the kernel can show layers in a user namespace."""
    return version(kernel) >= (5, 19)


def failed(boot, kernel):
    """The tests of the engine that failed and should not; the whole output where it did not come to its last line."""
    told = re.search(r"^(\d+) passed, \d+ failed (\[.*\])$", boot.text, re.M)
    assert told and int(told[1]), boot.text
    return set(re.findall(r'"([^"]+)"', told[2])) - (set() if namespaces(kernel) else NAMESPACED)


def test_the_engine_passes_on_unified_cgroups(boot, kernel):
    tests = "" if namespaces(kernel) else OLDER
    ended = boot(f"unified engine {tests}", seconds=1800)
    assert not failed(ended, kernel), ended.text


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param("service", id="in_a_delegated_service"),
        pytest.param("bare", id="where_nobody_switched_controllers_on"),
        pytest.param("partial", id="where_some_controllers_are_on"),
        pytest.param("container", id="in_a_container_s_own_cgroup_namespace"),
    ],
)
def test_limits_hold(boot, kernel, layout):
    ended = boot(f"{layout} engine {LIMITS}")
    assert not failed(ended, kernel), ended.text


def test_limits_hold_on_a_machine_with_swap(boot, kernel):
    ended = boot(f"unified sh /guest/swapped engine {LIMITS}")
    assert not failed(ended, kernel), ended.text


def test_without_a_controller_the_limit_is_told_to_be_missing(boot):
    ended = boot("unified sh /guest/build", options="cgroup_disable=memory")
    assert ended.code == 0, ended.text
    told = "this machine has no `memory` cgroup controller: RUN steps have no limit on memory (the configuration asks for one)"
    assert ended.text.count(told) == 1, ended.text
    assert "cgroup controller: RUN steps have no limit on the number" not in ended.text


def test_without_groups_to_write_to_all_missing_limits_are_told(boot):
    ended = boot("readonly sh /guest/build")
    assert ended.code == 0, ended.text
    told = re.findall(r"this machine has no `(\w+)` cgroup controller", ended.text)
    assert sorted(told) == ["cpu", "memory", "pids"], ended.text


def test_without_user_namespaces_root_is_told_to_be_root(boot):
    ended = boot("unified sh /guest/build", options="sysctl.user.max_user_namespaces=0")
    assert ended.code == 0, ended.text
    assert ended.text.count("RUN steps have no user namespace of their own") == 1, ended.text
    assert "user.max_user_namespaces" in ended.text, ended.text
    demanded = boot("unified sh /guest/build --user-namespace=required", options="sysctl.user.max_user_namespaces=0")
    assert demanded.code == 1 and "user.max_user_namespaces" in demanded.text, demanded.text


def test_container_root_is_nobody_where_the_kernel_can(boot, kernel):
    ended = boot("unified sh /guest/build")
    assert ended.code == 0, ended.text
    able = namespaces(kernel)
    assert bool(re.search(r"container root is +0 +1879048192 ", ended.text)) is able, ended.text
    note = "layers can be shown so from Linux 5.19 on"
    assert (note in ended.text) is not able, ended.text
