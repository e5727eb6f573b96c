"""How Sphinx builds the documentation; `make docs` treats its warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slurmpy

sys.path.insert(0, str(Path(__file__).parent))
import versions_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sphinx.application import Sphinx

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
nitpick_ignore = [
    ("py:class", "os.PathLike"),  # Python's own documentation is not at hand to resolve them in
    ("py:class", "pathlib.Path"),
    ("py:class", "Key"),  # names for types that signatures use
    ("py:class", "NodeResources"),
    ("py:class", "StepId"),
    ("py:class", "T"),
    ("py:class", "dict[Any"),  # which Sphinx takes for one where a class is a dataclass
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False


for _field in (*slurmpy.Job.fields.values(), *slurmpy.JobStep.fields.values()):
    # Sphinx reads a property's type from its getter, and one closure serves several types.
    _property: Any = _field
    _property.fget.__annotations__ = {"return": _field.annotation}


def _table(title: str, attributes: Iterable[Any]) -> str:
    """One row for each attribute, from the declarations themselves."""
    rows = [title, "|---|---|---|"]
    for attribute in attributes:
        cells = (
            f"`{attribute.name}`",
            f"`{attribute.annotation}`",
            " ".join((attribute.__doc__ or "").split()),
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


generated = Path(__file__).parent / "generated"
generated.mkdir(exist_ok=True)
for _file, _title, _kind in (
    ("attributes", "| attribute | type | meaning (unit; member in C) |", slurmpy.Job.fields),
    ("steps", "| attribute | type | meaning (unit; member in C) |", slurmpy.JobStep.fields),
    ("options", "| attribute | type | meaning |", slurmpy.JobSubmitDescription.options),
):
    _text = _table(_title, _kind.values())
    (generated / f"{_file}.md").write_text(_text, encoding="utf-8")
(generated / "versions.md").write_text(versions_table.table(), encoding="utf-8")


def _no_type(_app: Sphinx, what: str, *rest: object) -> None:
    """Napoleon takes what stands before a colon in an attribute's first line for its type.

    An empty type in front of it leaves the sentence whole.
    """
    lines = rest[-1]
    if what == "property" and isinstance(lines, list) and lines:
        lines[0] = f": {lines[0]}"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    # Before Napoleon, which has the default priority of 500.
    app.connect("autodoc-process-docstring", _no_type, priority=400)
