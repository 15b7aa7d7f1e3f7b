"""The words of a command line, put in order before the parser reads them.

Three habits of users that argparse does not share: hyphens and underscores in long flags mean the
same, global options stand before or after the command, and a voxel size is ``8``, ``8,8,8`` or
``8 8 8`` without swallowing the word that follows.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from cellmap_tui.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def with_hyphens(argv: Sequence[str]) -> list[str]:
    """Return the words with the underscores of long flags turned into hyphens; values stay as they are."""
    words: list[str] = []
    for position, word in enumerate(argv):
        if word == "--":
            return [*words, *argv[position:]]
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            word = flag.replace("_", "-") + equals + value
        words.append(word)
    return words


def join_numbers(argv: Sequence[str], flags: dict[str, int]) -> list[str]:
    """Return the words with the numbers after each of `flags` joined by commas: ``-s 8 8 8`` to ``-s=8,8,8``.

    Parameters
    ----------
    flags
        Flag to the largest number of values that it takes.
    """
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*words, word, *rest]
        if word not in flags:
            words.append(word)
            continue
        values: list[str] = []
        while rest and len(values) < flags[word] and _NUMBER.fullmatch(rest[0]):
            values.append(rest.pop(0))
        if not values and rest:
            values.append(rest.pop(0))
        words.append(f"{word}={','.join(values)}" if values else word)
    return words


class WordError(RequestError, argparse.ArgumentTypeError):
    """A wrong value of an option; the parser shows what it says, after the name of the option."""


def hoist(argv: Sequence[str], switches: Collection[str], valued: Collection[str]) -> tuple[list[str], list[str]]:
    """Split the words into global options and the rest, wherever the global options stand.

    Parameters
    ----------
    switches
        Global flags without a value.
    valued
        Global flags with one value.

    Raises
    ------
    RequestError
        If a flag that needs a value stands last.
    """
    global_words: list[str] = []
    others: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        flag = word.partition("=")[0]
        if word == "--":
            return global_words, [*others, word, *rest]
        if word in switches or (flag in valued and "=" in word):
            global_words.append(word)
        elif word in valued:
            if not rest:
                raise RequestError(f"{word} needs a value")
            global_words.append(f"{word}={rest.pop(0)}")
        else:
            others.append(word)
    return global_words, others


def triple(text: str) -> tuple[float, float, float]:
    """Read a z, y, x triple from ``8``, ``8,8,8``, ``8;8;8``, ``8x8x8`` or ``8 8 8``.

    Raises
    ------
    WordError
        If it is not one or three numbers.
    """
    words = [word for word in re.split(r"[\s,;x×]+", text.strip("[]() ")) if word]
    if len(words) not in {1, 3} or not all(_NUMBER.fullmatch(word) for word in words):
        raise WordError(f"{text!r}: three numbers z,y,x are wanted, as 8,8,8, or one for all three axes")
    numbers = [float(word) for word in words]
    z, y, x = numbers * 3 if len(numbers) == 1 else numbers
    return (z, y, x)


def truthy(text: str | None) -> bool:
    """Read a switch from an environment variable: unset, empty, ``0``, ``false``, ``no`` and ``off`` are off."""
    return (text or "").strip().lower() not in {"", "0", "false", "no", "off"}
