"""What a rule of the diagnosis found: a sentence with its evidence and the setting to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warn", "error"]

LEVELS: tuple[Level, ...] = ("error", "warn", "info")
"""All levels, the worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing, about a training. Names in it come from files: `text.printable`."""

    level: Level
    """How bad it is: ``error`` needs somebody now, ``warn`` soon, ``info`` never."""
    rule: str
    """Which rule found it, such as ``plateau``; stable, for programs."""
    sentence: str
    """What is the matter, one plain sentence."""
    evidence: str
    """The numbers that speak for it."""
    setting: str
    """What to change; empty: nothing."""

    @property
    def line(self) -> str:
        """Sentence, evidence and setting on one line."""
        told = f"{self.sentence} ({self.evidence})" if self.evidence else self.sentence
        return f"{told}: {self.setting}" if self.setting else told
