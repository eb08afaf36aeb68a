"""The corpus as data, one module a theme: `TITLE` and `CASES`."""

from cases import (
    authorities,
    honest,
    hosts,
    koji_state,
    links,
    packages,
    parents,
    places,
    replaced,
    reported,
    repositories,
    rights,
    rpmdb,
    sandbox,
    unexplained,
)

REFUSING = [
    hosts,
    repositories,
    koji_state,
    packages,
    rpmdb,
    replaced,
    unexplained,
    places,
    links,
    authorities,
    rights,
    parents,
    sandbox,
]
REFUSED = [case for theme in REFUSING for case in theme.CASES]
REPORTED = reported.CASES
HONEST = honest.CASES
