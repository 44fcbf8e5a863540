"""Prevent scripts outside the rehearsal from running inside it.

ministack executes every script it finds in a few well-known folders of the machine when it starts.
"""

from federation.rehearse.emulator import ministack_tables as ministack


def _find_no_scripts(*_folders: str) -> list[str]:
    return []


def install() -> None:
    """Register the capability."""
    ministack.app._collect_scripts = _find_no_scripts  # noqa: SLF001 (the one hook there is)
