"""From a draft to the rows of the form and all that is wrong; called in a thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmap_tui.app.config_rows import FormRow, form_rows
from cellmap_tui.errors import CellmapError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from cellmap_tui.app.config_draft import ConfigDraft
    from cellmap_tui.learning.config_checks import World
    from cellmap_tui.learning.config_python import PythonConfig, PythonFacts
    from cellmap_tui.learning.config_read import Resolved
    from cellmap_tui.services.config import ConfigProblem
    from cellmap_tui.services.settings import Settings

PYTHON_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a draft comes to."""

    draft: ConfigDraft
    """What was read."""
    rows: tuple[FormRow, ...]
    """The lines of the form."""
    resolved: Resolved | None
    """The configuration; None where its file cannot be read."""
    problems: tuple[ConfigProblem, ...] = ()
    """What is wrong with its keys."""
    warnings: tuple[str, ...] = ()
    """What may not be meant."""
    error: CellmapError | None = None
    """Why its file cannot be read."""
    asks: PythonFacts | None = None
    """A Python file that has to be allowed first."""

    @property
    def wrong(self) -> tuple[FormRow, ...]:
        """Lines that are wrong."""
        return tuple(row for row in self.rows if row.problem)


class ConfigReader:
    """Reads drafts; a Python file runs once for each content, however often a key is pressed.

    Parameters
    ----------
    settings
        Where things lie.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ran: dict[tuple[Path, str], PythonConfig] = {}
        self._world: World | None = None
        self._asks: PythonFacts | None = None

    def read(self, draft: ConfigDraft) -> Reading:
        """Return what a draft comes to; what is wrong with it is part of the answer."""
        from cellmap_tui.services.config import shown_config, told_problems

        self._asks = None
        try:
            resolved = self._resolved(draft, draft.config, draft.sets())
            shown = shown_config(self._filled(draft, resolved))
        except CellmapError as error:
            # The defaults, and what was typed: nothing is hidden because a file cannot be read.
            rows = form_rows(draft, shown_config(self._resolved(draft, None, ())).rows, (), error)
            return Reading(draft, rows, None, error=error, asks=self._asks)
        problems = told_problems(resolved)
        return Reading(draft, form_rows(draft, shown.rows, problems, None), resolved, problems, resolved.warnings)

    def _filled(self, draft: ConfigDraft, resolved: Resolved) -> Resolved:
        """Return the configuration with values that are wrong at their defaults, so that the others can be shown."""
        from cellmap_tui.learning.config_model import keys
        from cellmap_tui.learning.config_write import toml_value

        if resolved.config is not None:
            return resolved
        wrong = dict.fromkeys(problem.key for problem in resolved.problems if problem.key in keys())
        defaults = (f"{name}={' '.join(toml_value(_default(name)).split())}" for name in wrong)
        filled = self._resolved(draft, draft.config, (*draft.sets(), *defaults))
        return replace(filled, origins=resolved.origins)

    def _resolved(self, draft: ConfigDraft, path: Path | None, sets: tuple[str, ...]) -> Resolved:
        from cellmap_tui.learning.config_read import read_config
        from cellmap_tui.services.config import config_file

        def run(file: Path) -> PythonConfig:
            return self._run(file, trust=draft.base.trust)

        file = None if path is None else config_file(path)
        return read_config(file, sets=sets, run_python=run, world=self._known())

    def _run(self, path: Path, *, trust: bool) -> PythonConfig:
        from cellmap_tui.learning.config_python import python_facts
        from cellmap_tui.services.trust import trusted_runner

        facts = python_facts(path)
        key = (path.absolute(), facts.sha256)
        if key not in self._ran:
            run = trusted_runner(
                self._settings.state_dir, trust=trust, timeout_s=PYTHON_TIMEOUT_S, ask=self._remember_question
            )
            self._ran[key] = run(path)
        return self._ran[key]

    def _remember_question(self, facts: PythonFacts) -> bool:
        self._asks = facts
        return False

    def _known(self) -> World:
        from cellmap_tui.learning.config_checks import World
        from cellmap_tui.services.config import known_labels

        if self._world is None:
            try:
                self._world = World(labels=known_labels(self._settings.data_root))
            except CellmapError:
                # A broken list of local crops is told where crops are shown; here names are only fewer.
                self._world = World()
        return self._world


def save_draft(reading: Reading, path: Path) -> None:
    """Write the configuration of a draft as TOML.

    Raises
    ------
    RequestError
        If it has a problem.
    RefusedError
        If the file cannot be written.
    """
    from cellmap_tui.learning.config_write import resolved_toml
    from cellmap_tui.services.config import write_text

    if reading.resolved is None:
        raise reading.error or RequestError("there is no configuration to write")
    before = reading.draft.config
    heading = "" if before in (None, path) else f"Made from {before.name}."
    write_text(path, resolved_toml(reading.resolved, path.parent, everything=False, heading=heading))


def _default(name: str) -> object:
    from cellmap_tui.learning.config_model import keys

    key = keys()[name]
    return keys()["input_array_info"].default if name == "target_array_info" else key.default
