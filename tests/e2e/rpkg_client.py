"""The command `rpkg`, which the PyPI package has no script for: its library started as fedpkg starts it.

python rpkg_client.py CONFIG [ARGUMENTS OF rpkg]
"""

import configparser
import logging
import os
import sys

import pyrpkg
import pyrpkg.cli


def main():
    config = configparser.ConfigParser(interpolation=None)
    config.read(sys.argv.pop(1))
    client = pyrpkg.cli.cliClient(config, name="rpkg")
    client.do_imports()
    client.parse_cmdline()
    client.args.path = client.args.path or os.getcwd()
    client.setupLogging(pyrpkg.log)
    pyrpkg.log.setLevel(logging.INFO)
    return client.args.command()


sys.exit(main())
