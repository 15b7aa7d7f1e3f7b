"""Ask whether a Python configuration may run, before it is needed; a yes is remembered for its content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message
from textual.worker import get_current_worker

from cellmap_tui.app.run_actions import RunScreen
from cellmap_tui.errors import CellmapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cellmap_tui.learning.config_python import PythonFacts


def unknown_code(paths: Iterable[Path], state_dir: Path) -> PythonFacts | None:
    """Return the first Python file that nobody has allowed to run; None where there is none. Called in a thread.

    Raises
    ------
    CellmapError
        If a file cannot be read.
    """
    from cellmap_tui.learning.config_python import python_facts
    from cellmap_tui.services.trust import is_trusted

    for path in paths:
        if path.suffix == ".py":
            facts = python_facts(path)
            if not is_trusted(state_dir, facts.sha256):
                return facts
    return None


class AskTrust(RunScreen):
    """A screen whose work may need code of the user."""

    class CodeSeen(Message):
        """It is known whether a file may run."""

        def __init__(self, facts: PythonFacts | None, error: CellmapError | None, then: Callable[[], object]) -> None:
            self.facts = facts
            self.error = error
            self.then = then
            super().__init__()

    class CodeAllowed(Message):
        """A file may run from now on."""

        def __init__(self, then: Callable[[], object]) -> None:
            self.then = then
            super().__init__()

    def if_allowed(self, path: Path, then: Callable[[], object]) -> None:
        """Go on at once where a file may run, else after a yes.

        Parameters
        ----------
        path
            The file; anything but Python may run.
        then
            What goes on.
        """
        self._look_at_code(path, then)

    def ask_trust(self, facts: PythonFacts, then: Callable[[], object]) -> None:
        """Ask, remember a yes, and go on."""
        from cellmap_tui.app.screens.trust import TrustQuestion

        def take(answer: bool | None) -> None:
            if answer:
                self._remember(facts, then)

        self.app.push_screen(TrustQuestion(facts), take)

    @work(thread=True, exclusive=True, group="trust.look", exit_on_error=False)
    def _look_at_code(self, path: Path, then: Callable[[], object]) -> None:
        facts = error = None
        try:
            facts = unknown_code((path,), self.cellmap.settings.state_dir)
        except CellmapError as found:
            error = found
        if not get_current_worker().is_cancelled:
            self.post_message(self.CodeSeen(facts, error, then))

    @on(CodeSeen)
    def _go_on(self, event: CodeSeen) -> None:
        if event.error is not None:
            self.tell_error(event.error)
        elif event.facts is not None:
            self.ask_trust(event.facts, event.then)
        else:
            event.then()

    @work(thread=True, exclusive=True, group="trust.remember", exit_on_error=False)
    def _remember(self, facts: PythonFacts, then: Callable[[], object]) -> None:
        from cellmap_tui.services.trust import remember_trust

        remember_trust(self.cellmap.settings.state_dir, facts)
        self.post_message(self.CodeAllowed(then))

    @on(CodeAllowed)
    def _go_on_allowed(self, event: CodeAllowed) -> None:
        event.then()
