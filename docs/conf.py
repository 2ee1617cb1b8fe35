"""How Sphinx makes a site of the Markdown: `make docs`, into `output/docs`. A link that leads nowhere is an error.

The source folder is the whole checkout, so that links to files outside of `docs/` work on the site as on a code host.
"""

project = "Graftline"
extensions = ["myst_parser"]
root_doc = "docs/contents"
include_patterns = ["docs/**", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
exclude_patterns = [".*", "output"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # blocks that leave something out, with "…"
html_theme = "furo"
html_title = "Graftline"
