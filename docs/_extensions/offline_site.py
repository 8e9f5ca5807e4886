"""No page may load anything from outside: fonts, scripts, styles, images."""

import re
from pathlib import Path

from sphinx.errors import ExtensionError

LOADS = re.compile(
    r"<(?:script|img|iframe|source)[^>]+src=[\"'](?:https?:)?//[^\"']+"
    r"|<link[^>]+rel=[\"'](?:stylesheet|preload|icon)[\"'][^>]+href=[\"'](?:https?:)?//"
)
IMPORTS = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")


def refuse_outside(app, error):
    """Fail the build, naming the files that load something from another host."""
    if error is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    found = [
        path.relative_to(site).as_posix()
        for kind, pattern in (("*.html", LOADS), ("*.css", IMPORTS))
        for path in sorted(site.rglob(kind))
        if pattern.search(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise ExtensionError(f"pages load something from outside: {', '.join(found)}")


def setup(app):
    """Look when the site is built."""
    app.connect("build-finished", refuse_outside)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
