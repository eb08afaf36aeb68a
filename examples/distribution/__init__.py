"""The recipe of a small RPM distribution, made from Debian packages, to try container builds with.

Run it as `python3 -m distribution` with examples/ on PYTHONPATH (see __main__.py); steps.py says what is
made and in which order. Only the standard library and the system's apt, rpm, dnf, createrepo_c and gpg are used.
"""
