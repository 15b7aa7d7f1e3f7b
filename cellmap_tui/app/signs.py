"""One-cell signs for states, so that nothing is told by colour alone.

Every sign has an ASCII twin for the Linux console and the C locale, where the others do not exist.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNS = {
    "running": ("●", "*"),
    "stopping": ("●", "*"),
    "quiet": ("●", "*"),
    "lost": ("◌", "?"),
    "paused": ("‖", "="),
    "stopped": ("■", "#"),
    "done": ("✓", "+"),
    "failed": ("✗", "x"),
    "queued": ("·", "."),
    "full": ("●", "*"),
    "partial": ("◐", "%"),
    "remote": ("○", "o"),
    "marked": ("✓", "+"),
    "excluded": ("✗", "x"),
    "ok": ("✓", "+"),
    "warning": ("!", "!"),
    "error": ("✗", "x"),
    "unknown": ("?", "?"),
    "up": ("▲", "^"),
    "down": ("▼", "v"),
    "open": ("▾", "v"),
    "closed": ("▸", ">"),
    "cursor": (">", ">"),
}
"""Name of a state to its sign and the ASCII twin."""

COLOURS = {
    "running": "$primary",
    "stopping": "$warning",
    "quiet": "$warning",
    "lost": "$error",
    "paused": "$warning",
    "stopped": "$foreground-muted",
    "done": "$success",
    "failed": "$error",
    "queued": "$foreground-muted",
    "full": "$success",
    "partial": "$warning",
    "remote": "$foreground-muted",
    "marked": "$accent",
    "excluded": "$error",
    "ok": "$success",
    "warning": "$warning",
    "error": "$error",
    "unknown": "$foreground-muted",
}
"""Name of a state to the theme variable that its sign is drawn in."""


def sign(state: str) -> str:
    """Return the sign of a state, ``?`` for a state that this version does not know."""
    return SIGNS.get(state, SIGNS["unknown"])[ascii_only()]


def colour(state: str) -> str:
    """Return the theme variable of a state."""
    return COLOURS.get(state, COLOURS["unknown"])


def ascii_only(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the terminal can show nothing but ASCII: the Linux console, or a C locale."""
    environ = os.environ if environ is None else environ
    if environ.get("TERM") == "linux":
        return True
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return locale in {"C", "POSIX"}
