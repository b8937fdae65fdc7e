"""Configuration of Sphinx, which builds the documentation: ``make docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import django_button_orders  # noqa: E402 - its models need the settings

project = "django-button-orders"
author = "The django-button-orders developers"
copyright = f"2026, {author}"
version = release = django_button_orders.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    # In docs/_ext: the tables that are generated from the code.
    "button_orders_reference",
]
exclude_patterns = ["_build", "_ext"]
nitpicky = True

# Two hyphens are an option, and not a dash.
smartquotes = False

# Code

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
# The prompt is not part of a command.
copybutton_prompt_text = r"\$ |>>> |\.\.\. |mysql> |=# "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

# References to other projects

# Read the Docs has a network. A build on another machine needs none: types of other
# projects are not links there.
ON_READTHEDOCS = bool(os.environ.get("READTHEDOCS"))
intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "django": (
            "https://docs.djangoproject.com/en/stable/",
            "https://docs.djangoproject.com/en/stable/_objects/",
        ),
        "celery": ("https://docs.celeryq.dev/en/stable/", None),
    }
    if ON_READTHEDOCS
    else {}
)
OTHER_PROJECTS = (
    *("celery", "collections", "contextlib", "dataclasses", "datetime", "decimal"),
    *("django", "health_check", "opentelemetry", "pytest", "typing", "unittest"),
    *("typing_extensions", "uuid"),
)
BUILTINS = (
    *("None", "Any", "True", "False", "bool", "bytes", "dict", "float", "int"),
    *("list", "object", "optional", "set", "str", "tuple", "type"),
    *("LookupError", "TypeError", "ValueError", "OSError"),
)
nitpick_ignore_regex = [
    ("py:.*", rf"({'|'.join(OTHER_PROJECTS)})(\..*)?"),
    ("py:.*", "|".join(BUILTINS)),
]
REPOSITORY = "https://github.com/django-button-orders/django-button-orders"
extlinks = {"source": (f"{REPOSITORY}/blob/main/%s", "%s")}

# The site

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"django-button-orders {release}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
    "light_css_variables": {
        "color-brand-primary": "#0b6b57",
        "color-brand-content": "#0b6b57",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd0b5",
        "color-brand-content": "#5fd0b5",
    },
}
if os.environ.get("READTHEDOCS_VERSION") == "latest":
    html_theme_options["announcement"] = (
        "These pages describe the development version. "
        "The menu in the corner has those of the releases."
    )
