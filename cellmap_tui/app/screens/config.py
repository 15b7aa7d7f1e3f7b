"""The form of a training configuration: every key with its value, where that comes from, and what is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellmap_tui.app.screens.sub import SubScreen

if TYPE_CHECKING:
    from cellmap_tui.services.train_model import TrainRequest


class ConfigScreen(SubScreen):
    """A configuration to fill in; answers with the id of the run that was started, or None.

    Parameters
    ----------
    request
        What is filled in already; None: what was typed last.
    """

    MODE = "train"

    def __init__(self, request: TrainRequest | None = None) -> None:
        super().__init__()
        self._request = request
