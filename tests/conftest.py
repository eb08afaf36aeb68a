"""Has pytest find what the suites share: `file_server.py` beside this file."""
