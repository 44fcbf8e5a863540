"""Read how this client's rows were prepared, from the file that data preparation left beside them."""

from pathlib import Path

from errors import TableError
from protocol.preparation import NAME, Preparation


def read(folder: Path) -> Preparation | None:
    """Return what the file in ``folder`` tells; None if there is none, as beside rows prepared otherwise.

    Raises
    ------
    TableError
        It is damaged, or of another version.
    """
    if not (folder / NAME).is_file():
        return None
    try:
        return Preparation.from_json((folder / NAME).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise TableError(f"{NAME} cannot be read ({error}). Publish the prepared data again.") from error


def told(prepared: Preparation | None, rows: int, positives: int) -> str:
    """Return what goes to the server of training rows of these counts, "" where nothing is known.

    Raises
    ------
    TableError
        The rows are not those that were prepared.
    """
    if prepared is None:
        return ""
    if problem := prepared.problem(rows, positives):
        raise TableError(
            f"{NAME} is not of these rows: {problem}. "
            "Prepare the data again and publish them, or publish them without this file."
        )
    text: str = prepared.to_json()
    return text
