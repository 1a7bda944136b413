"""How the documentation is built: Sphinx, MyST for the pages, Furo for the looks."""

import gatewise

project = "gatewise"
author = "The gatewise maintainers"
release = gatewise.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_heading_anchors = 3

default_role = "code"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "gatewise"
exclude_patterns = ["_build"]
