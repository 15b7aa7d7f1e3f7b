"""A recipe while it is edited, and its copy on disk: nothing typed is lost, even when the terminal is killed."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cellmap_tui.errors import CellmapError, RefusedError
from cellmap_tui.services.process_recipe import Recipe, read_recipe, recipe_text
from cellmap_tui.services.recipe_edits import problem_of, read_lenient

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "recipe-drafts"
MOST_PAST = 200
"""Changes that can be taken back."""


@dataclass(frozen=True, slots=True)
class RecipeDraft:
    """A recipe while it is edited."""

    recipe: Recipe = field(default_factory=Recipe)
    """As it is now."""
    past: tuple[Recipe, ...] = ()
    """As it was before each change, the oldest first."""
    path: Path | None = None
    """The file that it was read from or saved to."""
    saved: Recipe = field(default_factory=Recipe)
    """As the file has it."""
    was_kept: bool = False
    """Whether it goes on from changes that an earlier session had not saved."""
    backup: Path | None = None
    """Where the file is as it was before the last saving, which could not keep its comments; None: it kept them."""

    @property
    def is_saved(self) -> bool:
        """Whether the file has it as it is now."""
        return recipe_text(self.recipe) == recipe_text(self.saved)

    def changed(self, recipe: Recipe) -> RecipeDraft:
        """Return the draft after a change."""
        if recipe == self.recipe:
            return self
        return replace(self, recipe=recipe, past=(*self.past, self.recipe)[-MOST_PAST:])

    def undone(self) -> RecipeDraft:
        """Return the draft as it was before the last change."""
        return replace(self, recipe=self.past[-1], past=self.past[:-1]) if self.past else self


def open_draft(path: Path | None, state_dir: Path) -> RecipeDraft:
    """Return the recipe of a file, with changes that an earlier session had not saved.

    Parameters
    ----------
    path
        The file; None: a recipe that has none yet.
    state_dir
        Folder of what the tool remembers.

    Raises
    ------
    CellmapError
        If the file cannot be read or is no recipe.
    """
    saved = Recipe() if path is None else read_recipe(path)
    kept = _kept(path, state_dir)
    if kept is None or recipe_text(kept) == recipe_text(saved):
        return RecipeDraft(saved, (), path, saved)
    return RecipeDraft(kept, (saved,), path, saved, was_kept=True)


def keep_draft(draft: RecipeDraft, state_dir: Path) -> None:
    """Keep changes that are not saved yet; forget them once they are.

    Raises
    ------
    CellmapError
        If the disk does not take them.
    """
    place = _place(draft.path, state_dir)
    try:
        if draft.is_saved:
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        told = {"path": str(draft.path or ""), "recipe": recipe_text(draft.recipe)}
        _write(place, json.dumps(told))
    except OSError as error:
        raise RefusedError(f"the draft cannot be kept in {place.parent}: {error.strerror}", "save with w") from None


def save_draft(draft: RecipeDraft, path: Path, state_dir: Path) -> RecipeDraft:
    """Write the recipe into a file and return the draft as it stands then.

    Comments of the file that was opened stay, at the steps that they are about. Where they cannot, the file is
    copied before.

    Raises
    ------
    CellmapError
        If the recipe is wrong or the file cannot be written.
    """
    _, problem = problem_of(draft.recipe)
    if problem:
        raise RefusedError(problem, "correct it first; the draft is kept")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text, backup = _text_of(draft, path)
        _write(path, text)
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", "save it elsewhere") from None
    forgotten = replace(draft, saved=draft.recipe)
    keep_draft(forgotten, state_dir)
    saved = replace(forgotten, path=path, was_kept=False, backup=backup)
    keep_draft(saved, state_dir)
    return saved


def _text_of(draft: RecipeDraft, path: Path) -> tuple[str, Path | None]:
    """Return the text that is written, and the copy of the file where its comments cannot be kept."""
    from cellmap_tui.services.recipe_write import has_comments, text_with

    try:
        there = "" if draft.path is None else draft.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        there = ""
    kept = text_with(there, draft.recipe) if has_comments(there) else None
    if kept is not None or not has_comments(there) or path != draft.path:
        return recipe_text(draft.recipe) if kept is None else kept, None
    backup = path.with_name(f"{path.name}.bak")
    _write(backup, there)
    return recipe_text(draft.recipe), backup


def file_changed(draft: RecipeDraft, path: Path) -> bool:
    """Return whether writing to a file would lose what somebody else wrote there."""
    if not path.exists():
        return False
    try:
        return path != draft.path or recipe_text(read_recipe(path)) != recipe_text(draft.saved)
    except CellmapError:
        return True


def _kept(path: Path | None, state_dir: Path) -> Recipe | None:
    try:
        told = json.loads(_place(path, state_dir).read_bytes())
    except (OSError, ValueError):
        return None
    text = told.get("recipe") if isinstance(told, dict) else None
    return read_lenient(text) if isinstance(text, str) else None


def _place(path: Path | None, state_dir: Path) -> Path:
    name = hashlib.sha256(str(path or "").encode(errors="surrogateescape")).hexdigest()[:24]
    return state_dir / FOLDER / f"{name}.json"


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
