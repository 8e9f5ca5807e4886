"""How Sphinx builds the guide: ``make docs``, into ``site/``; a warning is an error."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))
# Nothing that is imported for its docstrings may read somebody's settings.
os.environ["NAPARI_PATHFM_CONFIG"] = str(HERE / "_no_settings")

from napari_pathfm import __version__  # noqa: E402

project = "napari-pathfm"
author = "napari-pathfm developers"
project_copyright = author
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "shared_attributes",  # before napoleon
    "sphinx.ext.napoleon",
    "room",
    "shell_reference",
    "offline_site",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_extensions", "_templates", "_no_settings"]
nitpicky = False  # types of other libraries have no page here
# Two classes may have an attribute `x`, and a docstring's `x` be neither.
suppress_warnings = ["ref.python"]

myst_heading_anchors = 4  # as forges give them

default_role = "py:obj"  # `name` in a docstring leads there where it has an entry
autodoc_default_options = {
    "members": True,
    # Up to the classes of Python's own that ours are made from.
    "inherited-members": "object, Exception, tuple, list, dict, str, Enum, Protocol",
    "imported-members": True,  # rooms gather what their private modules define
    "member-order": "bysource",
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes of a dataclass would be listed twice else
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = "napari-pathfm"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["guide.css"]
html_sidebars = {"**": ["guide-nav.html"]}
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "announcement": "Research use only, not for diagnosis.",
    "navigation_with_keys": False,
    "navbar_center": [],  # the whole guide stands at the left, in its order
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "pygments_light_style": "tango",
}
