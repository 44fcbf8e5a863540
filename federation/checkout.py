"""Where the files lie that are beside this package, in a checkout as in a notebook's wheel."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CLIENT_CODE = PROJECT / "client_code"
NOTEBOOK_LOCK = PROJECT / "requirements-notebook.txt"
