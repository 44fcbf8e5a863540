"""What a run tells whoever shows its progress."""

from typing import Protocol

from federation.learning.rounds.figures import Observer


class RunObserver(Observer, Protocol):
    """Who is told how a run goes, from its first step to how its strategy ended."""

    def step(self, text: str) -> None:
        """Take note of what begins now."""

    def joined(self, joined: list[str], missing: list[str]) -> None:
        """Take note of who has joined, and of who has not."""

    def job(self, client: str, status: str) -> None:
        """Take note of how a client's training job stands now."""

    def concluded(self, conclusion: str | None) -> None:
        """Take note of how the strategy ended, where it can tell."""
