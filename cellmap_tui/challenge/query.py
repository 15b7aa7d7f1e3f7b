"""The filter language of the browser, of `crops` and of `--crops`: from text to a `Query`.

Words are joined by AND, commas inside a word by OR. A bare word is a class (a group includes its
members), else part of a dataset's name, a crop number, a range or ``dataset/crop``.
`docs/catalog.md` has the whole language. Errors point at the bad word. While somebody types,
``partial=True`` takes the last word as unfinished: it is looked for anywhere in the names.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from cellmap_tui.challenge.crops import SOURCES, SPLITS
from cellmap_tui.challenge.matching import Query
from cellmap_tui.challenge.terms import Term, Word
from cellmap_tui.challenge.vocabulary import FilterError, UnknownWordError, Vocabulary, dataset_words, missing_crop
from cellmap_tui.text import cut_middle, nearest, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cellmap_tui.challenge.terms import Key

MAX_LENGTH = 2000
KEYS = ("class", "dataset", "split", "crop", "id", "voxel", "shape", "source")
FLAGS = ("local", "remote", "excluded")
__all__ = ["FilterError", "Query", "UnknownWordError", "Vocabulary", "missing_crop", "parse_query"]

_COMPARED = ("voxel", "shape")
_KEYWORDS = (*KEYS, *FLAGS, "all", "test", "train", "not")
_EXAMPLES = {
    "class": "class:mito",
    "dataset": "dataset:hela",
    "split": "split:train",
    "crop": "crop:234",
    "id": "id:234",
    "voxel": "voxel<=4",
    "shape": "shape>=128",
    "source": "source:import",
}

# Spaces beside commas and comparison signs belong to the word: `voxel <= 4`, `234, 236`.
_TOKEN = re.compile(r"(?:[^\s,<>=]|\s*[,<>=]+\s*)+")
_KEYED = re.compile(r"([a-z_]+)\s*(<=|>=|==|=<|=>|:|=|<|>)\s*(.*)", re.DOTALL)
_NUMBER = re.compile(r"(?:crop)?([0-9]{1,9})")
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_REF = re.compile(r"([^/]+)/(?:crop)?([0-9]{1,9})")
_SIZES = re.compile(r"[x×,]")


def parse_query(text: str, vocabulary: Vocabulary | None = None, *, partial: bool = False) -> Query:
    """Parse a filter.

    Parameters
    ----------
    text
        The filter as typed.
    vocabulary
        Names to accept; the built-in tables when not given. `Catalog.query` gives a catalog's own.
    partial
        Whether somebody is still typing: a last word without a space after it that is no whole word
        yet matches any name that contains it, and one such as ``dataset:`` or ``voxel<`` does not narrow.

    Raises
    ------
    FilterError
        If a word means nothing; its message names the word and the position of its first character
        (from 1), its remedy the nearest that does.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"filter: longer than {MAX_LENGTH} characters", 0, len(text), "name fewer things")
    if vocabulary is None:
        from cellmap_tui.challenge.catalog import builtin_catalog

        vocabulary = builtin_catalog().vocabulary
    tokens = [(match.group().strip(), match.start()) for match in _TOKEN.finditer(text)]
    unfinished = partial and bool(text) and not text[-1].isspace()
    words: list[Word] = []
    negated = False
    for position, (token, start) in enumerate(tokens):
        is_last = position == len(tokens) - 1
        if token.lower() == "not" and not (is_last and not partial):
            negated = not negated
            continue
        start += text[start:].index(token)
        word = _Reader(vocabulary, token, start, unfinished and is_last).word()
        if word is not None:
            words.append(Word(word.terms, negated != word.negated))
        negated = False
    return Query(tuple(words))


class _Reader:
    """Reads one token."""

    def __init__(self, vocabulary: Vocabulary, token: str, start: int, unfinished: bool) -> None:
        self.vocabulary = vocabulary
        self.token = token
        self.start = start
        self.unfinished = unfinished
        self.value_at = 0
        """Where in the token its values begin, behind a key and an operator."""

    def word(self) -> Word | None:
        """Return the word; None where an unfinished one says nothing yet."""
        body = self.token.lower()
        negated = body.startswith("-")
        body = body.removeprefix("-").strip()
        keyed = _KEYED.fullmatch(body)
        if body in {"", "not"}:
            terms = self._nothing(self.token, "has nothing after it", "write what to leave out, such as -mito")
        else:
            terms = self._keyed(*keyed.groups()) if keyed else self._bare_words(body)
        known = [term for term in terms if term is not None]
        return Word(tuple(dict.fromkeys(known)), negated) if known and len(known) == len(terms) else None

    def _keyed(self, key: str, operator: str, value: str) -> list[Term | None]:
        if key not in KEYS:
            raise self._error(key, "is no key", self._near(key, KEYS, f"keys are {', '.join(KEYS)}"))
        key = "crop" if key == "id" else key
        operator = {"==": "=", "=<": "<=", "=>": ">="}.get(operator, operator)
        if not value.strip(" ,"):
            return self._nothing(key, "says nothing", f"for instance {_EXAMPLES[key]}")
        if key not in _COMPARED and operator not in {":", "="}:
            raise self._error(operator, f"compares a {key}", f"for instance {_EXAMPLES[key]}")
        self.value_at = len(self.token) - len(value)
        if key in _COMPARED:
            return [self._comparison(key, operator, value)]
        read: Callable[[str, str], Term | None] = getattr(self, f"_{key}")
        return [read(part, operator) for part in _parts(value)]

    def _bare_words(self, body: str) -> list[Term | None]:
        parts = _parts(body)
        if not parts:
            return self._nothing(self.token, "has nothing between its commas", "write a word, such as mito")
        return [self._bare(part, is_last=index == len(parts) - 1) for index, part in enumerate(parts)]

    def _bare(self, word: str, *, is_last: bool) -> Term | None:
        if word in FLAGS:
            return Term(word, "")  # type: ignore[arg-type]
        if word in {"all", *SPLITS}:
            return Term("split", ":", "train" if word == "all" else word)
        found = self._find_crop(word) or self._find_class(word, ":") or self._find_dataset(word, ":")
        if found is not None:
            return found
        if self.unfinished and is_last:
            return self._half_typed(word)
        if _NUMBER.fullmatch(word) or _RANGE.fullmatch(word) or _REF.fullmatch(word):
            raise self._unknown_crop(word)
        if word in KEYS:
            raise self._error(word, "says nothing", f"for instance {_EXAMPLES[word]}")
        near = self._near(word, [*self._names(), *_KEYWORDS], "`classes` lists the classes, `crops` the datasets")
        raise self._unknown(word, "is neither a class nor part of a dataset's name", near)

    def _half_typed(self, word: str) -> Term | None:
        """Look for an unfinished word in every name; one that may become a keyword does not narrow."""
        names = {*self.vocabulary.datasets}.union(*{crop.classes for crop in self.vocabulary.crops})
        is_keyword = any(keyword.startswith(word) for keyword in _KEYWORDS)
        if is_keyword and not any(word in name.lower() for name in names):
            return None
        return Term("text", "", word)

    def _class(self, value: str, operator: str) -> Term:
        found = self._find_class(value, operator)
        if found is not None:
            return found
        if self.unfinished:
            names = {info.name for info in self.vocabulary.classes} | self.vocabulary.other_classes
            return Term("class", ":", value, frozenset(name for name in names if value in name.lower()))
        near = self._near(value, self.vocabulary.classes.names, "`classes` lists them all")
        raise self._unknown(value, "is no class", near)

    def _dataset(self, value: str, operator: str) -> Term:
        found = self._find_dataset(value, operator)
        if found is not None:
            return found
        if self.unfinished:
            return Term("dataset", ":", value)
        problem = "is no dataset" if operator == "=" else "is in no dataset's name"
        near = self._near(value, dataset_words(self.vocabulary.datasets), "`crops` lists them all")
        raise self._unknown(value, problem, near)

    def _crop(self, value: str, _operator: str) -> Term:
        found = self._find_crop(value)
        if found is not None:
            return found
        if self.unfinished and value.isascii() and value.isdigit():
            return Term("crop", ":", value)
        raise self._unknown_crop(value)

    def _split(self, value: str, _operator: str) -> Term | None:
        return self._one_of("split", value, SPLITS)

    def _source(self, value: str, _operator: str) -> Term | None:
        return self._one_of("source", value, SOURCES)

    def _one_of(self, key: Key, value: str, choices: tuple[str, ...]) -> Term | None:
        if value in choices:
            return Term(key, ":", value)
        fits = [choice for choice in choices if choice.startswith(value)] if self.unfinished else []
        if fits:
            return Term(key, ":", fits[0]) if len(fits) == 1 else None
        raise self._error(value, f"is no {key}", f"use one of {', '.join(choices)}")

    def _comparison(self, key: str, operator: str, value: str) -> Term:
        operator = "=" if operator == ":" else operator
        parts = _SIZES.split(value.strip(" ,").removesuffix("nm"))
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = []
        if len(numbers) not in {1, 3} or not all(math.isfinite(n) and n > 0 for n in numbers):
            raise self._error(value, "is not one positive number or three", f"for instance {_EXAMPLES[key]}")
        written = "x".join(repr(n).removesuffix(".0") for n in numbers)
        return Term(key, operator, written, numbers=tuple(numbers * 3)[:3])  # type: ignore[arg-type]

    def _find_class(self, word: str, operator: str) -> Term | None:
        info = self.vocabulary.classes.named(word)
        if info is not None:
            members = self.vocabulary.classes.with_members(info)
            return Term("class", operator, info.name, members if operator == ":" else frozenset({info.name}))
        others = frozenset(name for name in self.vocabulary.other_classes if name.lower() == word)
        return Term("class", operator, word, others) if others else None

    def _find_dataset(self, word: str, operator: str) -> Term | None:
        names = [name.lower() for name in self.vocabulary.datasets]
        found = word in names if operator == "=" else any(word in name for name in names)
        return Term("dataset", operator, word) if found else None

    def _find_crop(self, word: str) -> Term | None:
        if match := _NUMBER.fullmatch(word):
            first = last = int(match[1])
        elif match := _RANGE.fullmatch(word):
            first, last = int(match[1]), int(match[2])
        elif match := _REF.fullmatch(word):
            ref = f"{match[1]}/crop{int(match[2])}"
            known = any(crop.ref.lower() == ref for crop in self.vocabulary.crops)
            return Term("crop", ":", ref) if known else None
        else:
            return None
        if not any(first <= crop.id <= last for crop in self.vocabulary.crops):
            return None
        written = str(first) if first == last else f"{first}-{last}"
        return Term("crop", ":", written, numbers=(first, last))

    def _unknown_crop(self, word: str) -> FilterError:
        if match := _RANGE.fullmatch(word):
            if int(match[1]) > int(match[2]):
                return self._error(word, "counts down", f"write {match[2]}-{match[1]}")
            return self._unknown(word, "names no crop", "`crops` lists the numbers")
        if match := _REF.fullmatch(word):
            return self._unknown(word, *missing_crop(match[1], int(match[2]), self.vocabulary.crops))
        if match := _NUMBER.fullmatch(word):
            return self._unknown(word, *missing_crop("", int(match[1]), self.vocabulary.crops))
        return self._error(word, "is no crop number", f"for instance {_EXAMPLES['crop']}")

    def _names(self) -> Iterator[str]:
        yield from self.vocabulary.classes.names
        yield from self.vocabulary.other_classes
        yield from dataset_words(self.vocabulary.datasets)

    def _near(self, word: str, names: Iterable[str], otherwise: str) -> str:
        near = nearest(word, names)
        return f"did you mean {near!r}?" if near else otherwise

    def _nothing(self, part: str, problem: str, remedy: str) -> list[Term | None]:
        if self.unfinished:
            return []
        raise self._error(part, problem, remedy)

    def _error(self, part: str, problem: str, remedy: str) -> FilterError:
        return FilterError(*self._pointed(part, problem), remedy)

    def _unknown(self, part: str, problem: str, remedy: str) -> FilterError:
        return UnknownWordError(*self._pointed(part, problem), remedy)

    def _pointed(self, part: str, problem: str) -> tuple[str, int, int]:
        start = self.start + max(0, self.token.lower().find(part.lower(), self.value_at))
        shown = cut_middle(printable(part), 40)
        return f"filter: '{shown}' at position {start + 1} {problem}", start, start + len(part)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
