"""Filters of metrics and runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmap_tui.errors import RequestError
from cellmap_tui.monitor.metric_filter import parse_metric_filter

NAMES = ("loss", "loss/er", "loss/mito", "lr", "perf/step_ms", "val/dice", "val/dice/er", "val/loss", "weird [x]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NAMES),
        ("dice", ("val/dice", "val/dice/er")),
        ("DICE", ("val/dice", "val/dice/er")),
        ("loss val", ("val/loss",)),
        ("loss AND val", ("val/loss",)),
        ("dice OR lr", ("lr", "val/dice", "val/dice/er")),
        ("loss -val", ("loss", "loss/er", "loss/mito")),
        ("NOT loss NOT val NOT perf", ("lr", "weird [x]")),
        ("loss/*", ("loss/er", "loss/mito")),
        ("*/er", ("loss/er", "val/dice/er")),
        ("l?", ("lr",)),
        ("/^loss$/", ("loss",)),
        ("/(dice|loss)$/", ("loss", "val/dice", "val/loss")),
        ("-/loss/", ("lr", "perf/step_ms", "val/dice", "val/dice/er", "weird [x]")),
        ("val (er OR loss)", ("val/dice/er", "val/loss")),
        ("lr OR val -dice", ("lr", "val/loss")),
        ('"weird [x]"', ("weird [x]",)),
        ('"loss/*"', ()),
        ("[x]", ("weird [x]",)),
        ("weird", ("weird [x]",)),
    ],
)
def test_names_are_chosen(text: str, expected: tuple[str, ...]) -> None:
    assert parse_metric_filter(text).chosen(NAMES) == expected


@pytest.mark.parametrize(
    ("text", "is_shown"),
    [
        ("cfg.lr>=1e-3", True),
        ("cfg.learning_rate<0.001", False),
        ("cfg.epochs=40", True),
        ("cfg.epochs!=40", False),
        ("cfg.classes=er", True),
        ("cfg.model~unet", True),
        ("cfg.optimizer_kwargs.weight_decay<=0.01", True),
        ("cfg.nothing>1", False),
        ("cfg.compile=false", True),
        ("-cfg.compile=false", False),
        ("healthy cfg.epochs>10", True),
    ],
)
def test_runs_are_chosen_by_their_configuration(text: str, is_shown: bool) -> None:
    config = {
        "learning_rate": 0.001,
        "epochs": 40,
        "classes": ["er", "nuc"],
        "model_name": "2d_unet",
        "optimizer_kwargs": {"weight_decay": 0.01},
        "compile": False,
    }
    assert parse_metric_filter(text).matches("healthy-run", config) is is_shown


@pytest.mark.parametrize(
    "text", ["(a", "a)", "a OR", "OR a", "NOT", "/[/", "cfg.lr>=x", "cfg.lr>=", "a" * 501, ") a"]
)
def test_what_cannot_be_understood_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_metric_filter(text)
    assert caught.value.remedy


@given(st.text(max_size=60), st.text(max_size=30))
def test_nothing_typed_does_more_than_be_refused(text: str, name: str) -> None:
    try:
        found = parse_metric_filter(text)
    except RequestError:
        return
    assert found.matches(name, {"a": 1}) in {True, False}
