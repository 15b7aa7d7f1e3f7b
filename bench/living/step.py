"""A training's step, and what viewers do to it: arithmetic on some cores, in turns with and without them."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.living.terminal import Terminal

STEP = """
import os, sys, time, threading
import numpy as np
def work(times):
    a = np.random.default_rng(0).standard_normal((256, 256), np.float32)
    while True:
        begun = time.perf_counter()
        for _ in range(40):
            a = a @ a
            a /= np.abs(a).max()
        times.append(time.perf_counter() - begun)
        if times is told:
            os.write(1, f"{time.monotonic()} {times[-1]}\\n".encode())
told = []
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=work, args=([],), daemon=True).start()
work(told)
"""
TURNS = 6


def steps_beside(
    threads: int, seconds: float, watch: Callable[[], None], apps: list[Terminal]
) -> tuple[float, float, float]:
    """Return the mean seconds of a step without and with viewers, and what share of a core these take.

    The viewers are stopped and let go on in turns, so that other work on the machine meets both sides alike.
    """
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STEP, str(threads)]
    watch()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **one}) as trainer:
        try:
            return _turns(trainer, seconds, apps)
        finally:
            trainer.kill()
            for app in apps:
                _signal(app, signal.SIGCONT)
                app.close()


def _turns(trainer: subprocess.Popen[bytes], seconds: float, apps: list[Terminal]) -> tuple[float, float, float]:
    without, beside, shares = [], [], []
    for turn in range(2 * TURNS):
        is_watched = turn % 2 == 1
        for app in apps:
            _signal(app, signal.SIGCONT if is_watched else signal.SIGSTOP)
        time.sleep(1.0)
        begun_s, before_s = time.monotonic(), sum(app.usage().cpu_s for app in apps)
        time.sleep(seconds / 2)
        ended_s, after_s = time.monotonic(), sum(app.usage().cpu_s for app in apps)
        (beside if is_watched else without).append(_mean(trainer, begun_s, ended_s))
        if is_watched:
            shares.append((after_s - before_s) / (ended_s - begun_s))
    return statistics.median(without), statistics.median(beside), statistics.mean(shares)


def _mean(trainer: subprocess.Popen[bytes], begun_s: float, ended_s: float) -> float:
    assert trainer.stdout is not None
    found = []
    os.set_blocking(trainer.stdout.fileno(), False)
    for line in (trainer.stdout.read() or b"").splitlines():
        when, _, took = line.partition(b" ")
        if took and begun_s <= float(when) <= ended_s:
            found.append(float(took))
    return statistics.mean(found)


def _signal(app: Terminal, number: signal.Signals) -> None:
    os.kill(app.pid, number)
