"""Where the files lie that are beside this package, in a checkout as in a notebook's wheel."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CLIENT_CODE = PROJECT / "client_code"
_IN_WHEEL = Path(__file__).with_name("requirements-notebook.txt")
NOTEBOOK_LOCK = _IN_WHEEL if _IN_WHEEL.exists() else PROJECT / "requirements-notebook.txt"
