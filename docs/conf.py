"""How Sphinx makes a site of these pages: `make docs`, into `output/docs`. A link that leads nowhere is an error."""

project = "Graftline"
extensions = ["myst_parser"]
root_doc = "contents"
exclude_patterns = ["images"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Graftline"
html_static_path: list[str] = []
