"""Give numbers with a decimal comma a point, in files that are written so."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_COMMA = r"\s*[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?\s*"
_POINT = r"\s*[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?\s*"
_IS_COMMA = re.compile(_COMMA)


def with_point(cell: str) -> str:
    """Return a cell, with a point if it is a number with a decimal comma."""
    return cell.replace(",", ".") if _IS_COMMA.fullmatch(cell) else cell


def with_points(cells: "pa.Array") -> "tuple[pa.Array, frozenset[str]]":
    """Return cells as `with_point`, and which marks their numbers had: a comma, a point, or both."""
    import pyarrow.compute as pc  # noqa: PLC0415 - a tenth of a second that commands without tables do not need

    commas = pc.match_substring_regex(cells, f"^{_COMMA}$")
    found = {"."} if pc.any(pc.match_substring_regex(cells, f"^{_POINT}$")).as_py() else set()
    if not pc.any(commas).as_py():
        return cells, frozenset(found)
    return pc.if_else(commas, pc.replace_substring(cells, ",", "."), cells), frozenset(found | {","})
