"""Several learners in the same markets, as a vector environment of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from vecmarket import _core
from vecmarket.config import Scenario

__all__ = ["LearnersEnv"]

Array = NDArray[Any]


class LearnersEnv(VectorEnv[Array, Array, Array]):
    """N markets in which L of the agents learn at once; a row is one learner in one market.

    Row = market * L + learner, learners in the order of their places in the scenario. Ended episodes start
    anew in the same step. The arrays are live: the next step overwrites them. Where all agents learn it is
    ``MarketVectorEnv(N, scenario, learner="all", autoreset_mode="same_step", copy=False)``.

    Parameters
    ----------
    num_markets
        Markets N.
    scenario
        The market game.
    learners
        Places of the agents that learn, L of them.
    others
        How the others bid, one entry per agent, "truthful" or a markup in $/MWh; learners' entries are not
        read.
    space
        Action space of one row.
    threads
        Threads of the engine; 0 for all cores. Never change a result.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_markets: int,
        scenario: Scenario,
        learners: Sequence[int],
        others: Sequence[str | float],
        space: Box,
        *,
        threads: int = 1,
    ) -> None:
        seats = ["acts" if place in learners else other for place, other in enumerate(others)]
        self.engine = _core.Engine(scenario, num_markets, threads=threads, seats=tuple(seats))
        self.learners = tuple(self.engine.acting)
        self.num_envs = num_markets * len(self.learners)
        low, high = self.engine.observation_bounds()
        low, high = low.min(axis=0), high.max(axis=0)
        constant = low == high  # Gymnasium warns of a side without length
        low, high = np.where(constant, np.minimum(low, 0), low), np.where(constant, np.maximum(high, 1), high)
        self.single_observation_space = Box(low, high, dtype=np.float32)
        self.single_action_space = space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(space, self.num_envs)
        live = self.engine.views()
        rows, features = self.num_envs, low.shape[0]
        self._observations = live["observations"].reshape(rows, features)
        self._final = live["final_observations"].reshape(rows, features)
        self._rewards = live["rewards"].reshape(rows)
        self._flags, self._markets, self._profits = live["flags"], live["markets"], live["profits"]
        self._places = np.array(self.learners)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start new episodes in all markets; market m gets the seed ``seed + m``."""
        self.engine.reset(seed)
        return self._observations, {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """Step all markets; actions (rows, 2), float32. Infos have each row's profit, $, and price, $/MWh."""
        count = len(self.learners)
        self.engine.step(actions.reshape(-1, count, 2), "same_step")
        terminated, truncated, over = (np.repeat(flag, count) for flag in self._flags)
        everyone = np.ones(self.num_envs, np.bool_)
        infos: dict[str, Any] = {
            "profit": self._profits[:, self._places].reshape(-1),
            "_profit": everyone,
            "price": np.repeat(self._markets[0], count),
            "_price": everyone,
        }
        if over.any():
            infos |= {"final_obs": self._final, "_final_obs": over}
        return self._observations, self._rewards, terminated, truncated, infos

    def refresh(self) -> None:
        """Do nothing: every array is the engine's own."""

    def snapshot(self) -> bytes:
        """Return all that the next steps depend on, for `restore`."""
        return self.engine.snapshot()

    def restore(self, state: bytes) -> None:
        """Go on from a snapshot."""
        self.engine.restore(state)
