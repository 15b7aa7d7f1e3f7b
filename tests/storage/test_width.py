"""The width against simulated servers, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import heapq

import pytest

from cellmap_tui.storage import width as module
from cellmap_tui.storage.width import Width


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer instead of passing."""

    def __init__(self):
        super().__init__()
        self._virtual_s = 0.0

    def time(self):
        """Return the time of the simulation."""
        return self._virtual_s

    def _run_once(self):
        if not self._ready and self._scheduled:
            heapq.heapify(self._scheduled)
            self._virtual_s = max(self._virtual_s, self._scheduled[0].when())
        super()._run_once()


class Server:
    """Answers after `latency_s`; more than `per_s` requests a second are told to slow down."""

    def __init__(self, per_s=1e9, latency_s=0.05, burst=20.0):
        self.per_s, self.latency_s, self.burst = per_s, latency_s, burst
        burst = max(burst, per_s / 1e6)
        self.tokens, self.at, self.requests, self.most = burst, 0.0, 0, 0
        self.in_flight = 0

    async def ask(self, now):
        """Return whether a request is answered well."""
        self.requests += 1
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_s)
        self.at = now
        is_good = self.tokens >= 1
        self.tokens -= is_good
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await asyncio.sleep(self.latency_s)
        self.in_flight -= 1
        return is_good


def simulate(server, count, widest=256, change=None):
    """Send `count` requests until each is answered; return the width and the seconds it took."""
    loop = VirtualLoop()
    width = Width(widest, clock=loop.time)

    async def work(rest):
        for _ in rest:
            while True:
                await width.enter()
                began = loop.time()
                is_good = await server.ask(began)
                width.leave()
                if is_good:
                    width.answered(loop.time() - began)
                    break
                width.slowed(began)
                await asyncio.sleep(0.1)

    async def main():
        rest = iter(range(count))
        tasks = [asyncio.create_task(work(rest)) for _ in range(widest)]
        if change:
            await asyncio.sleep(change[0])
            server.per_s = change[1]
        await asyncio.gather(*tasks)

    try:
        loop.run_until_complete(main())
        return width, loop.time()
    finally:
        loop.close()


@pytest.mark.parametrize(("latency_s", "low", "high"), [(0.002, 64, 128), (0.05, 128, 170), (0.2, 256, 256)])
def test_the_width_is_as_large_as_the_latency_makes_useful(latency_s, low, high):
    server = Server(latency_s=latency_s)
    simulate(server, 5000)
    assert low <= server.most <= high


def test_the_width_never_exceeds_what_was_asked_for():
    server = Server()
    simulate(server, 500, widest=7)
    assert server.most == 7


@pytest.mark.parametrize("per_s", [50, 200, 1000])
@pytest.mark.parametrize("latency_s", [0.002, 0.05])
def test_a_limit_is_used_with_few_refusals(per_s, latency_s):
    server = Server(per_s=per_s, latency_s=latency_s)
    count = per_s * 20
    _, seconds = simulate(server, count)
    assert count / seconds >= 0.85 * per_s
    assert server.requests <= 1.2 * count + 200


def test_the_width_narrows_under_a_limit_and_widens_after_it():
    server = Server(per_s=100, latency_s=0.05)
    width, seconds = simulate(server, 30_000, change=(10, 1e9))
    assert width.rate is None
    assert width.limit >= 128
    assert seconds < 60


def test_a_few_refusals_at_any_rate_change_nothing():
    loop = VirtualLoop()
    width = Width(clock=loop.time)
    for i in range(5000):
        loop._virtual_s += 0.002
        width.slowed(loop.time()) if i % 20 == 0 else width.answered(0.05)
    loop.close()
    assert width.rate is None
    assert width.limit >= module._START


def test_a_pause_holds_every_request_back():
    loop = VirtualLoop()
    width = Width(clock=loop.time)

    async def enter():
        width.pause(30)
        await asyncio.gather(*(width.enter() for _ in range(10)))
        return loop.time()

    assert loop.run_until_complete(enter()) >= 30
    loop.close()


def test_a_place_given_up_while_waiting_goes_to_the_next():
    loop = VirtualLoop()
    width = Width(1, clock=loop.time)

    async def main():
        await width.enter()
        first, second = (asyncio.create_task(width.enter()) for _ in range(2))
        await asyncio.sleep(0)
        width.leave()
        first.cancel()
        await second
        return width.in_flight

    assert loop.run_until_complete(asyncio.wait_for(main(), 5)) == 1
    loop.close()
