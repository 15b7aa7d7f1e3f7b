"""Which metrics and runs to show, in a few words: parts of names, globs, expressions, AND, OR, NOT.

``loss val`` both, ``dice OR iou`` one of them, ``-perf`` or ``NOT perf`` not, ``loss/*`` a glob over the whole
name, ``/dice$/`` a regular expression, ``"a b"`` as it stands, brackets group; of runs also
``cfg.learning_rate>=1e-3``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from cellmap_tui.errors import RequestError
from cellmap_tui.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MOST_CHARACTERS = 500
SHORT_KEYS = {"lr": "learning_rate", "batch": "batch_size", "classes": "classes", "model": "model_name"}
"""Short names of keys of configurations."""

_TOKEN = re.compile(r"\s*(?:(?P<bracket>[()])|(?P<regex>-?/(?:\\.|[^/\\])*/)|(?P<word>\"[^\"]*\"|[^\s()]+))")
_CONFIG = re.compile(r"(?:cfg|config)\.(?P<key>[\w.]+)(?P<sign><=|>=|==|!=|=|<|>|~)(?P<value>.*)")


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """A filter that was understood; the empty one lets everything pass."""

    text: str
    """As it was typed."""
    _test: Callable[[str, Mapping[str, Any]], bool]

    def matches(self, name: str, config: Mapping[str, Any] | None = None) -> bool:
        """Return whether a metric, or a run with this configuration, is to be shown."""
        return self._test(name, config or {})

    def chosen(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names that are to be shown, in their order."""
        return tuple(name for name in names if self._test(name, {}))


def parse_metric_filter(text: str) -> MetricFilter:
    """Return a filter.

    Raises
    ------
    RequestError
        If it cannot be understood; the message says what and where.
    """
    if len(text) > MOST_CHARACTERS:
        raise RequestError(f"a filter of {len(text)} characters", f"at most {MOST_CHARACTERS}")
    tokens = _tokens(text)
    if not tokens:
        return MetricFilter(text, lambda _name, _config: True)
    parser = _Parser(tokens)
    test = parser.either()
    if parser.here is not None:
        raise RequestError(
            f"{printable(parser.here[0])} at {parser.here[1] + 1} has no opening bracket", "leave it out"
        )
    return MetricFilter(text, test)


def _tokens(text: str) -> list[tuple[str, int]]:
    found = []
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:  # cannot be: a word takes whatever is no space or bracket
            break
        group = match.lastgroup or "word"
        found.append((match.group(group), match.start(group)))
        place = match.end()
    return found


class _Parser:
    """OR binds least, then AND (or nothing between words), then NOT."""

    def __init__(self, tokens: list[tuple[str, int]]) -> None:
        self._tokens, self._place = tokens, 0

    @property
    def here(self) -> tuple[str, int] | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def either(self) -> Callable[[str, Mapping[str, Any]], bool]:
        tests = [self.every()]
        while self._takes("OR"):
            tests.append(self.every())
        return tests[0] if len(tests) == 1 else lambda name, config: any(test(name, config) for test in tests)

    def every(self) -> Callable[[str, Mapping[str, Any]], bool]:
        tests = [self.one()]
        while self.here is not None and self.here[0] not in {")", "OR"}:
            self._takes("AND")
            tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda name, config: all(test(name, config) for test in tests)

    def one(self) -> Callable[[str, Mapping[str, Any]], bool]:
        if self.here is None:
            raise RequestError("the filter ends where a name is expected", "such as `loss OR dice`")
        word, place = self.here
        if word in {"AND", "OR", ")"}:
            raise RequestError(f"{word} at {place + 1} has nothing before it", "such as `loss OR dice`")
        self._place += 1
        if word == "NOT":
            test = self.one()
            return lambda name, config: not test(name, config)
        if word == "(":
            test = self.either()
            if not self._takes(")"):
                raise RequestError(f"the bracket at {place + 1} is not closed", "add a closing bracket")
            return test
        return _word_test(word, place)

    def _takes(self, word: str) -> bool:
        if self.here is None or self.here[0] != word:
            return False
        self._place += 1
        return True


def _word_test(word: str, place: int) -> Callable[[str, Mapping[str, Any]], bool]:
    if len(word) > 1 and word[0] == "-":
        test = _word_test(word[1:], place + 1)
        return lambda name, config: not test(name, config)
    if (match := _CONFIG.fullmatch(word)) is not None:
        return _config_test(match["key"], match["sign"], match["value"])
    if len(word) > 1 and word[0] == "/" and word[-1] == "/":
        return _pattern_test(word[1:-1], place)
    is_quoted = len(word) > 1 and word[0] == word[-1] == '"'
    plain = (word[1:-1] if is_quoted else word).casefold()
    if not is_quoted and any(sign in plain for sign in "*?"):
        whole = re.compile(translate(plain))
        return lambda name, _config: whole.match(name.casefold()) is not None
    return lambda name, _config: plain in name.casefold()


def _pattern_test(pattern: str, place: int) -> Callable[[str, Mapping[str, Any]], bool]:
    try:
        found = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise RequestError(
            f"the expression at {place + 1} cannot be read: {printable(str(error))}", "or leave the slashes out"
        ) from None
    return lambda name, _config: found.search(name) is not None


def _config_test(key: str, sign: str, value: str) -> Callable[[str, Mapping[str, Any]], bool]:
    if not value:
        raise RequestError(f"cfg.{key}{sign} has no value", "such as cfg.learning_rate>=1e-3")
    key = SHORT_KEYS.get(key, key)
    wanted = _number(value)
    if sign in {"<", ">", "<=", ">="} and wanted is None:
        raise RequestError(f"cfg.{key}{sign} needs a number, not {printable(value)}", "for texts there are = and ~")
    return lambda _name, config: _compares(_looked_up(config, key), sign, value, wanted)


def _compares(told: object, sign: str, value: str, wanted: float | None) -> bool:
    number = _number(str(told)) if not isinstance(told, bool) else None
    if sign == "~":
        return told is not None and value.casefold() in str(told).casefold()
    if sign in {"=", "==", "!="}:
        is_same = number == wanted if number is not None and wanted is not None else _is_text(told, value)
        return is_same is (sign != "!=")
    if number is None or wanted is None:
        return False
    return {"<": number < wanted, "<=": number <= wanted, ">": number > wanted, ">=": number >= wanted}[sign]


def _is_text(told: object, value: str) -> bool:
    if isinstance(told, list):
        return any(_is_text(item, value) for item in told)
    return told is not None and str(told).casefold() == value.strip('"').casefold()


def _looked_up(config: Mapping[str, Any], key: str) -> object:
    found: object = config
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
