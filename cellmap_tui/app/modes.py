"""The screens of this version by the name of their mode; each is imported when it is first shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen


def _home() -> Screen[None]:
    from cellmap_tui.app.screens.home import HomeScreen

    return HomeScreen()


def _data() -> Screen[None]:
    from cellmap_tui.app.screens.data import DataScreen

    return DataScreen()


def _classes() -> Screen[None]:
    from cellmap_tui.app.screens.classes import ClassesScreen

    return ClassesScreen()


def _fetch() -> Screen[None]:
    from cellmap_tui.app.screens.fetch import FetchScreen

    return FetchScreen()


def _train() -> Screen[None]:
    from cellmap_tui.app.screens.train import TrainScreen

    return TrainScreen()


def _eval() -> Screen[None]:
    from cellmap_tui.app.screens.eval import EvalScreen

    return EvalScreen()


def _predict() -> Screen[None]:
    from cellmap_tui.app.screens.predict import PredictScreen

    return PredictScreen()


def _submit() -> Screen[None]:
    from cellmap_tui.app.screens.submit import SubmitScreen

    return SubmitScreen()


def _runs() -> Screen[None]:
    from cellmap_tui.app.screens.runs import RunsScreen

    return RunsScreen()


def _settings() -> Screen[None]:
    from cellmap_tui.app.screens.settings import SettingsScreen

    return SettingsScreen()


def _doctor() -> Screen[None]:
    from cellmap_tui.app.screens.doctor import DoctorScreen

    return DoctorScreen()


SCREENS: dict[str, Callable[[], Screen[None]]] = {
    "home": _home,
    "data": _data,
    "classes": _classes,
    "fetch": _fetch,
    "train": _train,
    "eval": _eval,
    "predict": _predict,
    "submit": _submit,
    "runs": _runs,
    "settings": _settings,
    "doctor": _doctor,
}
"""Mode to what makes its screen."""
