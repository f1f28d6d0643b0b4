"""A batch of markets seen from the learner's side: what the single and the vector environment share."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.spaces import Box

from vecmarket import _core
from vecmarket.checks import action_array
from vecmarket.config import Scenario
from vecmarket.envs.seats import Rivals, Seats, learner_place, take_seats
from vecmarket.scenarios import by_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Game"]


class Game:
    """N markets, the learner's rows in them, and its rivals.

    A row is one learner in one market: N rows, or N * A where all agents learn, row = market * A + agent. The
    arrays are live: views of the engine's buffers, or filled after each step.

    Attributes
    ----------
    scenario, engine, seed
        The market game, the engine that plays it, and the seed it was made with, drawn from the system.
    learner
        Place of the learner; None where all agents learn.
    rows, rows_per_market
        Rows of the batch, and of one market.
    observations
        (rows, F) float32.
    final_observations
        The last observations of episodes that a same-step autoreset has just ended, (rows, F) float32.
    observation_space
        Space of one row, as the rivals of the construction allow it; later rivals must fit into it.
    rewards
        (rows,) float32.
    terminated, truncated
        (rows,) bool.
    over
        Where the last step returned True: the rows that it reset instead of stepped, or, under a same-step
        autoreset, whose episodes it ended, (rows,) bool.
    facts
        What the reward hides, (rows,) float64 each: profit $, price $/MWh, demand, dispatch and unserved MW.
    infos
        The facts with the masks that say that every row has them, read-only.
    """

    def __init__(
        self,
        scenario: Scenario | str | None,
        num_markets: int,
        learner: int | str,
        rivals: Rivals,
        *,
        threads: int,
        max_episode_steps: int | None = None,
    ) -> None:
        self.scenario = _as_scenario(scenario)
        self.learner = learner_place(self.scenario, learner)
        seats = take_seats(self.scenario, self.learner, rivals)
        self.seed = secrets.randbits(62)
        self.engine = _core.Engine(
            self.scenario,
            num_markets,
            seed=self.seed,
            threads=threads,
            seats=seats.engine,
            max_episode_steps=max_episode_steps,
        )
        self.rows_per_market = 1 if self.learner is not None else self.engine.num_agents
        self.rows = self.engine.num_envs * self.rows_per_market
        self._everyone = np.ones(self.rows, np.bool_)
        self._everyone.flags.writeable = False  # handed out where nothing is copied
        self.observation_space = self._seen(self.engine)
        self._sit(rivals, seats)

    @property
    def rivals(self) -> Rivals:
        """How the other agents bid, as it was given."""
        return self._rivals

    @rivals.setter
    def rivals(self, rivals: Rivals) -> None:
        seats = take_seats(self.scenario, self.learner, rivals)
        # A market of its own tells what these rivals can lead to, so that a refusal changes nothing here.
        seen = self._seen(_core.Engine(self.scenario, 1, threads=1, seats=seats.engine))
        space = self.observation_space
        if (seen.low < space.low).any() or (seen.high > space.high).any():
            raise ValueError(
                "rivals: observations could leave the observation space that the environment was made with; "
                f"make a new one for rivals={rivals!r}"
            )
        self.engine.set_seats(seats.engine)
        self._sit(rivals, seats)

    def _sit(self, rivals: Rivals, seats: Seats) -> None:
        """Find the learner and the rivals in Python among the acting agents, and lay out the rows."""
        engine, place = self.engine, self.learner
        acting = engine.acting
        self._rivals = rivals
        self._bidders = [
            (acting.index(seat), bid, self._seat_name(seat)) for seat, bid in seats.bidders.items()
        ]
        self._slot = 0 if place is None else acting.index(place)
        self._actions = np.zeros((engine.num_envs, len(acting), 2), np.float32)
        self._spread: list[tuple[NDArray[Any], NDArray[Any]]] = []

        live = engine.views()
        self._seen_by_all: NDArray[np.float32] = live["observations"]
        self.observations: NDArray[np.float32] = self._of_learner(self._seen_by_all)
        self.final_observations: NDArray[np.float32] = self._of_learner(live["final_observations"])
        self.rewards: NDArray[np.float32] = self._of_learner(live["rewards"])
        self.terminated, self.truncated, self.over = self._per_row(live["flags"])
        price, demand, unserved = self._per_row(live["markets"])
        profits, dispatch = live["profits"], live["dispatch"]
        self.facts: dict[str, NDArray[np.float64]] = {
            "profit": profits.reshape(-1) if place is None else profits[:, place],
            "price": price,
            "demand": demand,
            "dispatch": dispatch.reshape(-1) if place is None else dispatch[:, place],
            "unserved": unserved,
        }
        self.infos: dict[str, Any] = {}
        for name, fact in self.facts.items():
            self.infos[name], self.infos[f"_{name}"] = fact, self._everyone
        self.refresh()

    def _seen(self, engine: _core.Engine) -> Box[np.float32]:
        """Return the space of one row in this engine: the true bounds, over all agents where all learn."""
        low, high = engine.observation_bounds()
        if self.learner is None:
            low, high = low.min(axis=0), high.max(axis=0)
        else:
            slot = engine.acting.index(self.learner)
            low, high = low[slot], high[slot]
        # Room for what never changes, such as the capacity: Gymnasium warns of a side without length, and
        # its RescaleObservation divides by it.
        constant = low == high
        low = np.where(constant, np.minimum(low, 0), low)
        high = np.where(constant, np.maximum(high, 1), high)
        return Box(low, high, dtype=np.float32)

    @staticmethod
    def action_space() -> Box[np.float32]:
        """Return the space of one row's action: withheld share of capacity, price parameter."""
        low, high = np.array([0.0, -10.0], np.float32), np.array([1.0, 10.0], np.float32)
        return Box(low, high, dtype=np.float32)

    def reset(
        self,
        seed: int | Sequence[int | None] | None,
        mask: NDArray[np.bool_] | None = None,
        start: int | NDArray[np.int64] | None = None,
    ) -> None:
        """Start new episodes, of all markets or the masked ones; arguments are per market."""
        self.engine.reset(seed, mask, start)
        self.refresh()

    def step(self, actions: ArrayLike, autoreset: str | None) -> bool:
        """Step all markets once with the rows' actions, (rows, 2); return whether `over` marks any row."""
        engine = self.engine
        if self._bidders:
            actions = self._with_bids(actions)
        over = engine.play(actions, autoreset)
        if over is None:  # not as the engine takes them; to convert only then saves all checks in Python
            over = engine.play(action_array("actions", actions, (self.rows, 2)), autoreset)
            assert over is not None
        if self._spread:
            self.refresh()
        return over

    def _with_bids(self, actions: ArrayLike) -> NDArray[np.float32]:
        """Return the learner's actions and those that the rivals in Python choose, (N * L, 2)."""
        bids, seen, shape = self._actions, self._seen_by_all, (self.rows, 2)
        bids[:, self._slot] = action_array("actions", actions, shape)
        for slot, bid, name in self._bidders:
            # A copy: the rival may keep or change what it is shown.
            bids[:, slot] = action_array(name, bid(seen[:, slot].copy()), shape)
        return bids.reshape(-1, 2)

    def refresh(self) -> None:
        """Bring the arrays that hold a market's value once per row up to date."""
        for target, source in self._spread:
            np.copyto(target, source)

    def _of_learner(self, acting: NDArray[Any]) -> NDArray[Any]:
        """View (N, L, ...) of the acting agents as rows."""
        if self.learner is None:
            return acting.reshape(self.rows, *acting.shape[2:])
        return acting[:, self._slot]

    def _per_row(self, markets: NDArray[Any]) -> NDArray[Any]:
        """Return (k, N) values of markets as (k, rows): themselves, or an array that `refresh` fills."""
        if self.rows_per_market == 1:
            return markets
        rows = np.zeros((*markets.shape, self.rows_per_market), markets.dtype)
        self._spread.append((rows, markets[..., np.newaxis]))
        return rows.reshape(len(markets), -1)

    def _seat_name(self, place: int) -> str:
        return f"rivals[{self.scenario.agents[place]!r}]"


def _as_scenario(scenario: Scenario | str | None) -> Scenario:
    if scenario is None:
        return Scenario.default()
    if isinstance(scenario, str):
        return by_name(scenario)
    if not isinstance(scenario, Scenario):
        raise TypeError(f"scenario: must be a Scenario, a name or None, got {type(scenario).__name__}")
    return scenario
