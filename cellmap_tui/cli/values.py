"""Values of options as requests hold them: whole paths, and names in a row."""

from __future__ import annotations

from pathlib import Path


def absolute(path: Path | None) -> Path | None:
    """Return a path that means the same in a job that runs in another folder; None where none was given."""
    return None if path is None else path.expanduser().absolute()


def absolute_word(path: str | None) -> str | None:
    """Return the same of a path that a request holds as text."""
    return None if path is None else str(Path(path).expanduser().absolute())


def names(text: str | None) -> tuple[str, ...]:
    """Return names that are separated by commas or blanks."""
    return tuple((text or "").replace(",", " ").split())
