"""/kojifiles: packages, repos and task output as plain files, with byte ranges and directory listings."""

import html
import mimetypes
import os
import re
import shutil
from email.utils import formatdate
from urllib.parse import quote, unquote


def send(handler, topdir, url_path):
    """Answers GET or HEAD for a path below `topdir`; symbolic links may not lead out of it."""
    root = os.path.realpath(topdir)
    full = os.path.realpath(os.path.join(root, unquote(url_path).lstrip("/")))
    if full != root and not full.startswith(root + os.sep) or not os.path.exists(full):
        handler.send_text(404, "not found")
    elif os.path.isdir(full):
        _send_listing(handler, full, url_path)
    else:
        _send_file(handler, full)


def _send_listing(handler, full, url_path):
    if not url_path.endswith("/"):
        handler.send_response(301)
        handler.send_header("Location", f"/kojifiles{url_path}/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    names = [name + ("/" if os.path.isdir(os.path.join(full, name)) else "") for name in sorted(os.listdir(full))]
    lines = "".join(f'<li><a href="{quote(name)}">{html.escape(name)}</a></li>\n' for name in names)
    page = f"<!DOCTYPE html><title>{html.escape(url_path)}</title>\n<ul>\n{lines}</ul>\n"
    handler.send_body(200, "text/html; charset=utf-8", page.encode("utf-8"))


def _send_file(handler, full):
    with open(full, "rb") as file:
        info = os.fstat(file.fileno())
        start, end = 0, info.st_size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
        if wanted:
            start = int(wanted[1])
            end = min(info.st_size, int(wanted[2]) + 1) if wanted[2] else info.st_size
            if start >= info.st_size or start >= end:
                handler.send_text(416, "no such range")
                return
        handler.send_response(206 if wanted else 200)
        kind = mimetypes.guess_type(full)[0] or "application/octet-stream"
        handler.send_header("Content-Type", "text/plain; charset=utf-8" if full.endswith(".log") else kind)
        handler.send_header("Content-Length", str(end - start))
        handler.send_header("Last-Modified", formatdate(info.st_mtime, usegmt=True))
        handler.send_header("Accept-Ranges", "bytes")
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{info.st_size}")
        handler.end_headers()
        if handler.command != "HEAD":
            file.seek(start)
            left = end - start
            if left == info.st_size:
                shutil.copyfileobj(file, handler.wfile, 1 << 20)
                return
            while left and (chunk := file.read(min(left, 1 << 20))):
                handler.wfile.write(chunk)
                left -= len(chunk)
