"""The methods of the hub by name. A module exports a function with `@rpc`, or `@rpc("host.getHost")` for a dotted name."""

import inspect

import koji
import koji.plugin

from . import older

HANDLERS = {}


def rpc(name_or_function):
    """Exports a function under its own or the given name."""
    if callable(name_or_function):
        HANDLERS[name_or_function.__name__] = name_or_function
        return name_or_function

    def export(function):
        HANDLERS[name_or_function] = function
        return function

    return export


def handler(name):
    """The function behind a method.

    Raises GenericError, as a real hub does, for one that does not exist here.
    """
    older.check_method(name)
    function = HANDLERS.get(name)
    if function is None:
        raise koji.GenericError(f"Invalid method: {name}")
    return function


def register_plugin(plugin):
    """Takes exported functions and callbacks out of a loaded plugin module, as the real hub's registry does."""
    for value in vars(plugin).values():
        if isinstance(value, type) or not callable(value):
            continue
        if getattr(value, "exported", False):
            HANDLERS[getattr(value, "export_alias", value.__name__)] = value
        for callback_type in getattr(value, "callbacks", None) or ():
            koji.plugin.register_callback(callback_type, value)


class HandlerAccess:
    """`context.handlers` as plugins see it."""

    def call(self, name, *args, **kwargs):
        return handler(name)(*args, **kwargs)

    def get(self, name):
        return handler(name)


@rpc("_listapi")
def list_api():
    """Names, arguments and documentation of all methods (`koji list-api`)"""
    api = []
    for name, function in sorted(HANDLERS.items()):
        parameters = inspect.signature(function).parameters.values()
        api.append(
            {
                "name": name,
                "doc": function.__doc__,
                "argspec": list(inspect.getfullargspec(function))[:4],
                "argdesc": "(" + ", ".join(str(p) for p in parameters) + ")",
                "args": [p.name if p.default is p.empty else [p.name, p.default] for p in parameters],
            }
        )
    return api


@rpc("system.listMethods")
def system_list_methods():
    """Names of all methods"""
    return sorted(HANDLERS)


@rpc("system.methodHelp")
def system_method_help(method):
    """Signature and documentation of one method"""
    function = HANDLERS.get(method)
    if function is None:
        return ""
    arguments = ", ".join(str(p) for p in inspect.signature(function).parameters.values())
    doc = f"\ndescription: {function.__doc__}" if function.__doc__ else ""
    return f"{method}({arguments}){doc}"
