"""How Sphinx builds the site: `make docs`. Every warning is an error there."""

import sys
from pathlib import Path

import pyaug

sys.path.insert(0, str(Path(__file__).parent))

project = "pyaug"
copyright = "the authors of pyaug"
release = pyaug.__version__
html_title = "pyaug"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "extensions.drawing",
    "extensions.gallery",
    "extensions.mathml",
    "extensions.references",
]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# What figures ask of the page, as in a run's report.
html_theme_options = {
    "light_css_variables": {
        "faint": "#667080",
        "series-1": "#1763c4",
        "series-2": "#c2490c",
        "series-3": "#15803d",
        "series-4": "#8431c9",
        "series-5": "#b91c4b",
        "series-6": "#0b7285",
    },
    "dark_css_variables": {
        "faint": "#98a2b1",
        "series-1": "#6aa9f7",
        "series-2": "#f49354",
        "series-3": "#5fc983",
        "series-4": "#c08df2",
        "series-5": "#f37c9c",
        "series-6": "#54c3d8",
    },
}
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings put names and code in single backticks as well as in double ones.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# What other libraries document; the site refers to nothing outside itself.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(abc|collections|nn|np|numpy|pathlib|PIL|torch)\..*"),
    ("py:class", r"Tensor|Path|RenderableType|pyaug\.[\w.]+\._[A-Z]"),
]
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
