"""Configurations as tests of the form need them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cellmap_tui.app.screens.config import ConfigScreen
from cellmap_tui.services.train_model import TrainRequest
from tests.app.builders import app_with, settings_at
from tests.app.test_live_jobs import until

if TYPE_CHECKING:
    from textual.pilot import Pilot

TOML = """\
# A small one.
classes = ["mito", "er"]
model_name = "3d_unet"
epochs = 40
batch_size = 4
learning_rate = 0.002
"""


def write_config(text: str = TOML, name: str = "mine.toml") -> Path:
    """Write a configuration into the current directory."""
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def request_of(path: Path | None = None, *sets: str) -> TrainRequest:
    """Return the request of a command line."""
    return TrainRequest(config=path, sets=sets)


def app_of_form(theme: str = "cellmap-dark"):
    """Return an app with a state folder that is there to stay."""
    return app_with(settings=settings_at(Path(), theme=theme), start="train")


async def opened(pilot: Pilot[None], request: TrainRequest | None = None, answers: list[object] | None = None):
    """Push the form and wait until it shows what the draft comes to."""
    await pilot.pause()
    screen = ConfigScreen(request)
    pilot.app.push_screen(screen, None if answers is None else answers.append)
    await settled(pilot, screen)
    return screen


async def settled(pilot: Pilot[None], screen: ConfigScreen) -> None:
    """Wait until what is shown is what is typed."""
    await until(pilot, lambda: screen.reading is not None and screen.reading.draft == screen.draft)
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


async def go_to(pilot: Pilot[None], screen: ConfigScreen, name: str) -> None:
    """Put the cursor on a key."""
    assert screen.table.go_to(name), f"{name} is not shown"
    await pilot.pause()


async def typed(pilot: Pilot[None], screen: ConfigScreen, name: str, text: str) -> None:
    """Open the line of a key and replace what stands in it."""
    await go_to(pilot, screen, name)
    await pilot.press("enter")
    await pilot.pause()
    screen.line.value = text
    await settled(pilot, screen)


def row_of(screen: ConfigScreen, name: str):
    """Return the line of a key."""
    assert screen.reading is not None
    return next(row for row in screen.reading.rows if row.name == name)


def about(screen: ConfigScreen) -> str:
    """Return what is told of the key in hand."""
    return str(screen.query_one("#one").content)
