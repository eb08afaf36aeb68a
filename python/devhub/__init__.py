"""The development hub: enough of a Koji hub, on SQLite, to try and test containerbuild on one machine.

It loads the same hub plugin as a real hub (`koji-plugin/hub/containerbuild.py`) through `koji.plugin`, marshals through
`koji.xmlrpcplus` and evaluates policy through `koji.policy`. It serves the stock `koji` client. A method it does not have is
refused with the fault a real hub would give. It is held to the real hub by the suite in `tests/contract`, which runs on both.

It is not a place to keep builds in: one process, one database file, no access control on files, no web interface to speak of.
"""
