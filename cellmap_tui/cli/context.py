"""How a command was called: the global options and the settings behind them."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cellmap_tui.cli.arguments import hoist, truthy
from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cellmap_tui.services.settings import Settings

SWITCHES = {
    "--batch": "run here, without the app",
    "--json": "answer in JSON: one document, or an event a line while work is going on",
    "--quiet": "no progress and no notes",
    "--debug": "show the traceback of an error",
    "--yes": "answer yes to every question",
    "--trust-config": "run a Python configuration file without asking",
    "--detach": "start the work as a job of its own and return",
}
VALUED = {
    "--data-root": "folder of the challenge data",
    "--runs-root": "folder of the runs",
    "--settings": "settings file to use",
    "--endpoint-url": "S3 endpoint in place of the public one",
    "--bucket": "bucket name",
    "--images": "how the app draws slices: half, kitty or sixel",
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the errors of the house."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and leaving."""
        command = self.prog.partition(" ")[2]
        raise RequestError(f"{command}: {message}" if command else message, f"see: {self.prog} --help")


@dataclass(frozen=True)
class Context:
    """The global options of one call."""

    argv: tuple[str, ...]
    """All words of the command line."""
    batch: bool = False
    json: bool = False
    quiet: bool = False
    debug: bool = False
    yes: bool = False
    trust_config: bool = False
    detach: bool = False
    data_root: Path | None = None
    runs_root: Path | None = None
    settings_file: Path | None = None
    endpoint_url: str | None = None
    bucket: str | None = None
    images: str | None = None

    @cached_property
    def settings(self) -> Settings:
        """The settings with this call's flags on top; read on first use."""
        from cellmap_tui.services.settings import load_settings

        flags: dict[str, str | Path | None] = {
            "data_root": self.data_root,
            "runs_root": self.runs_root,
            "endpoint_url": self.endpoint_url,
            "bucket": self.bucket,
            "images": self.images,
        }
        settings = load_settings(settings_file=self.settings_file, flags=flags)
        if self.settings_file is not None:
            # Jobs that are started from here read the same file: it may say whom to tell of their end.
            os.environ["CELLMAP_TUI_SETTINGS"] = str(self.settings_file.expanduser().absolute())
        return settings

    @property
    def headless(self) -> bool:
        """Whether work runs here or as a job, not in the app."""
        return self.batch or self.detach

    @property
    def has_terminal(self) -> bool:
        """Whether a person sits at both ends."""
        return sys.stdin.isatty() and sys.stdout.isatty()


def split_globals(argv: Sequence[str]) -> tuple[Context, list[str]]:
    """Take the global options out of the words, wherever they stand.

    Raises
    ------
    RequestError
        If a global option lacks its value.
    """
    global_words, rest = hoist(argv, SWITCHES, VALUED)
    parser = Parser(prog="cellmap-tui", add_help=False, allow_abbrev=False)
    add_global_options(parser)
    known = parser.parse_args(global_words)
    names = [flag[2:].replace("-", "_") for flag in SWITCHES]
    switches = {name: getattr(known, name) or truthy(os.environ.get(f"CELLMAP_TUI_{name.upper()}")) for name in names}
    return (
        Context(
            argv=tuple(argv),
            data_root=known.data_root,
            runs_root=known.runs_root,
            settings_file=known.settings,
            endpoint_url=known.endpoint_url,
            bucket=known.bucket,
            images=known.images,
            **switches,
        ),
        rest,
    )


def add_global_options(parser: argparse.ArgumentParser) -> None:
    """Add the global options; `split_globals` reads them, every ``--help`` shows them."""
    group = parser.add_argument_group("global options, before or after the command")
    for flag, words in SWITCHES.items():
        group.add_argument(flag, action="store_true", help=words)
    for flag, words in VALUED.items():
        kind = str if flag in {"--endpoint-url", "--bucket", "--images"} else Path
        group.add_argument(flag, type=kind, metavar=flag[2:].upper().replace("-", "_"), help=words)
