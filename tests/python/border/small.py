"""The small market, and the engine in mid-episode, that bad input is tried on."""

from __future__ import annotations

import numpy as np

import vecmarket as vm

REFUSED = (ValueError, TypeError)
ENVS, AGENTS = 3, 2


def small() -> vm.Scenario:
    """Return a market of two units and three hours."""
    return vm.Scenario(
        generators=(vm.Generator(50.0, 10.0, "coal"), vm.Generator(50.0, 20.0, "gas")),
        demand=vm.Demand((40.0, 60.0, 80.0)),
        horizon=3,
    )


def engine() -> vm.Engine:
    made = vm.Engine(small(), ENVS, threads=1)
    made.keep_offers()
    made.reset()
    made.step(np.full((ENVS, AGENTS, 2), 0.25, dtype=np.float32))
    return made


def fingerprint(made: vm.Engine) -> tuple[bytes, ...]:
    """Return the state and everything that an engine shows."""
    buffers = (made.observations, made.rewards, made.terminated, made.truncated, made.prices, made.demand)
    more = (
        made.dispatch,
        made.profits,
        made.unserved,
        made.final_observations,
        *made.offers(),
        *made.clock(),
    )
    return (made.snapshot(), *(array.tobytes() for array in (*buffers, *more)))
