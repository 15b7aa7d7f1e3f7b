"""Every command of the registry can be found, asked and done."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys

import pytest

from cellmap_tui.errors import UnknownNameError
from cellmap_tui.services.registry import COMMANDS, find_command


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_has_a_request_model_and_a_function_of_request_and_reporter(name):
    command = find_command(name)
    assert command.name == name
    assert dataclasses.is_dataclass(command.request_model())
    assert len(inspect.signature(command.function()).parameters) == 2


def test_a_mistyped_command_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="no command 'dmeo' in this version; did you mean 'demo'"):
        find_command("dmeo")
    with pytest.raises(UnknownNameError, match="this version has"):
        find_command("zzz")


def test_reading_the_table_imports_no_service():
    code = (
        "import sys, cellmap_tui.services.registry\n"
        "loaded = {name for name in sys.modules if name.startswith('cellmap_tui.')}\n"
        "expected = {'services', 'services.registry', 'errors', 'text', 'version'}\n"
        "assert loaded <= {f'cellmap_tui.{name}' for name in expected}, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
