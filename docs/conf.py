"""How the documentation is built: Sphinx, MyST for the pages, Furo for the looks."""

import sys
from pathlib import Path

import gatewise

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "gatewise"
author = copyright = "The gatewise maintainers"
release = gatewise.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "matplotlib.sphinxext.plot_directive",
    "back_propagation",
    "example_report",
    "study_results",
]
myst_heading_anchors = 3

default_role = "code"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100

plot_formats = [("png", 110)]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "furo"
html_title = "gatewise"
exclude_patterns = ["_build", "extensions"]
