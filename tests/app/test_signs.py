"""Signs: one cell wide, and in ASCII where there is nothing else."""

from __future__ import annotations

import pytest
from wcwidth import wcswidth

from cellmap_tui.app.signs import SIGNS, ascii_only, colour, sign


@pytest.mark.parametrize("state", SIGNS)
def test_every_sign_is_one_cell_wide_and_has_an_ascii_twin(state: str) -> None:
    wide, plain = SIGNS[state]

    assert wcswidth(wide) == 1
    assert plain.isascii()
    assert len(plain) == 1


def test_a_state_that_this_version_does_not_know_is_shown_as_unknown() -> None:
    assert sign("hibernating") == "?"
    assert colour("hibernating")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "xterm", "LANG": "C"}, True),
        ({"TERM": "xterm", "LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"TERM": "xterm", "LANG": "C.UTF-8"}, False),
        ({"TERM": "tmux-256color"}, False),
    ],
)
def test_the_linux_console_and_the_c_locale_get_ascii(environ: dict[str, str], expected: bool) -> None:
    assert ascii_only(environ) is expected
