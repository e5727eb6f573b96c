"""How Sphinx builds the documentation; `make docs` treats its warnings as errors."""

from __future__ import annotations

from pathlib import Path

import slurmpy

project = "slurmpy"
author = "the slurmpy authors"
project_copyright = "the slurmpy authors"
release = slurmpy.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "generated"]
html_theme = "furo"
html_title = f"slurmpy {release}"
nitpicky = True
nitpick_ignore_regex = [
    # Python's own documentation is not on this machine: no inventory to resolve its names in.
    (r"py:.*", r"(?!slurmpy).*"),
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def _attributes() -> str:
    """One row for each attribute, from the declarations themselves."""
    rows = ["| attribute | type | meaning (unit; member in C) |", "|---|---|---|"]
    for field in slurmpy.Job.fields.values():
        cells = (
            f"`{field.name}`",
            f"`{field.annotation}`",
            " ".join((field.__doc__ or "").split()),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


generated = Path(__file__).parent / "generated"
generated.mkdir(exist_ok=True)
(generated / "attributes.md").write_text(_attributes(), encoding="utf-8")
