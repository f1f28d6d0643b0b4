"""The batch of markets as a `gymnasium.vector.VectorEnv`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from vecmarket.envs.arguments import (
    as_autoreset_mode,
    as_mask,
    as_seeds,
    as_starts,
    check_options,
    no_render_mode,
    per_market,
)
from vecmarket.envs.game import Game
from vecmarket.envs.state import pack, unpack

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from vecmarket import _core
    from vecmarket.config import Scenario
    from vecmarket.envs.seats import Rivals

__all__ = ["MarketVectorEnv"]

_Array: TypeAlias = "NDArray[Any]"

_ENGINE_MODES = {
    AutoresetMode.NEXT_STEP: "next_step",
    AutoresetMode.SAME_STEP: "same_step",
    AutoresetMode.DISABLED: None,
}


class MarketVectorEnv(VectorEnv["NDArray[np.float32]", "ArrayLike", _Array]):
    """N markets stepped together by the engine, as Gymnasium's vector API wants them.

    Equal, value for value, to ``SyncVectorEnv([MarketEnv] * N)`` in each autoreset mode. A row of the batch
    is one learner in one market: `num_envs` rows, or, with ``learner="all"``, ``num_envs * A`` rows for A
    agents, row = market * A + agent, and the attribute `num_envs` counts rows.

    Observations are (rows, F) float32, actions (rows, 2) of any real dtype (float32, C-contiguous, is not
    copied): withheld share of capacity and price parameter. A finite action outside the box counts as the
    nearest legal one. Rewards are (rows,) float32, flags (rows,) bool. The infos of a step hold, as (rows,)
    float64 arrays with their masks, the learner's ``profit`` ($) and ``dispatch`` (MW) and the market's
    ``price`` ($/MWh), ``demand`` and ``unserved`` (MW); rows that were just reset have none.

    Parameters
    ----------
    num_envs
        Markets N, at least 1.
    scenario
        The market game, the name of one that ships, or None for ``"default"``.
    learner
        The learning agent's place or name, or ``"all"``.
    rivals
        How the others bid: None or ``"truthful"``, a markup in $/MWh, a callable f(observations (N, F)) ->
        (N, 2) that is called once per step, one of these per agent (None for the learner, or left out), or a
        mapping from names or places (the others truthful). Can be set again between episodes.
    autoreset_mode
        Gymnasium's enum, or its name in any spelling: ``"next_step"``, ``"same_step"``, ``"disabled"``.
    copy
        Return fresh arrays; False hands out the live ones, infos included, which the next step overwrites.
    threads
        Threads that share the work; 0 for all cores, 1 for none of its own. The results do not depend on it.
    max_episode_steps
        Truncates episodes after that many steps, as Gymnasium's TimeLimit does; None or -1 never.
    render_mode
        Must be None.

    Raises
    ------
    ValueError, TypeError
        When an argument cannot be used; the message names it.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | str | None = None,
        *,
        learner: int | str = 0,
        rivals: Rivals = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        threads: int = 0,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        no_render_mode(render_mode)
        self.autoreset_mode = as_autoreset_mode(autoreset_mode)
        self._game = Game(
            scenario,
            num_envs,
            learner,
            rivals,
            threads=threads,
            max_episode_steps=None if max_episode_steps == -1 else max_episode_steps,
        )
        self.num_envs = self._game.rows
        self.copy = copy
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._np_random, self._np_random_seed = seeding.np_random(self._game.seed)
        self.single_observation_space = self._game.observation_space
        self.single_action_space = self._game.action_space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

        self._engine_mode = _ENGINE_MODES[self.autoreset_mode]

    @property
    def engine(self) -> _core.Engine:
        """The engine that plays; its arrays are per market, (N, ...), and live."""
        return self._game.engine

    @property
    def scenario(self) -> Scenario:
        """The market game."""
        return self._game.scenario

    @property
    def learner(self) -> int | str:
        """Place of the learning agent, or ``"all"``."""
        return "all" if self._game.learner is None else self._game.learner

    @property
    def rivals(self) -> Rivals:
        """How the other agents bid; can be set between episodes, within the observation space."""
        return self._game.rivals

    @rivals.setter
    def rivals(self, rivals: Rivals) -> None:
        self._game.rivals = rivals

    @property
    def observations(self) -> NDArray[np.float32]:
        """The current observations, (rows, F) float32: live where `copy` is False."""
        return self._out(self._game.observations)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | NDArray[np.integer[Any]] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new episodes in all markets, or in those that a mask chooses.

        Parameters
        ----------
        seed
            None moves each market on to its next episode (an environment that never had a seed took one from
            the system). An integer s gives market m the seed s + m. A list has one entry per row, None to
            move on; with ``learner="all"`` the rows of a market must agree.
        options
            ``"reset_mask"``, (rows,) bool array, chooses what is reset: the full batch comes back, the other
            rows unchanged. ``"start"``, an hour of the demand series or one per row, is where episodes start.
            With ``learner="all"`` the rows of a market must agree. The dictionary is not changed.

        Returns
        -------
        observations, infos
            (rows, F) float32, and an empty dictionary.

        Raises
        ------
        ValueError, TypeError
            When the seed or an option cannot be used; nothing is reset then.
        """
        rows, agents = self.num_envs, self._game.rows_per_market
        given = check_options(options, ("reset_mask", "start"))
        seeds = as_seeds(seed, rows)
        mask, start = given.get("reset_mask"), given.get("start")
        if isinstance(seeds, list):
            seeds = per_market("seed", seeds, agents)
        if mask is not None:
            mask = per_market('options["reset_mask"]', as_mask(mask, rows), agents)
        if start is not None:
            start = as_starts(start, rows)
            if isinstance(start, np.ndarray):
                start = per_market('options["start"]', start, agents)
        self._game.reset(seeds, mask, start)
        first = seeds if isinstance(seeds, int) else next((s for s in seeds or () if s is not None), None)
        super().reset(seed=first)
        return self._out(self._game.observations), {}

    def step(
        self, actions: ArrayLike
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]
    ]:
        """Step all markets once.

        Parameters
        ----------
        actions
            (rows, 2), any real dtype. Rows that a next-step autoreset resets ignore theirs.

        Returns
        -------
        observations, rewards, terminated, truncated, infos
            As the class says.

        Raises
        ------
        ValueError
            When the shape does not fit, a number is not finite, an environment was never reset, or, with
            autoreset disabled, one is finished. No environment is changed then.
        TypeError
            When the actions are not real numbers.
        """
        game = self._game
        infos: dict[str, Any]
        if game.step(actions, self._engine_mode):
            infos = self._infos_around_resets()
        elif self.copy:
            infos = {name: live.copy() for name, live in game.infos.items()}
        else:
            infos = game.infos.copy()
        if self.copy:
            return (
                game.observations.copy(),
                game.rewards.copy(),
                game.terminated.copy(),
                game.truncated.copy(),
                infos,
            )
        return game.observations, game.rewards, game.terminated, game.truncated, infos

    def refresh(self) -> None:
        """Bring the environment's arrays up to date after its engine was stepped by somebody else."""
        self._game.refresh()

    def snapshot(self) -> bytes:
        """Return all that the next steps depend on, for `restore`; rivals are the caller's to keep."""
        return pack(self._game.engine.snapshot(), self.np_random, self.np_random_seed)

    def restore(self, state: bytes) -> None:
        """Go on from a snapshot, also one of another process; `observations` are those of that moment.

        Raises
        ------
        ValueError, TypeError
            When it is no snapshot of such an environment; this one is as before then.
        """
        engine_state, np_random, np_random_seed = unpack(state)
        self._game.engine.restore(engine_state)
        self._game.refresh()
        self._np_random, self._np_random_seed = np_random, np_random_seed

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Return an attribute, or what a method returns, once per row; the method is called once, for all."""
        # An environment of the batch has the single spaces.
        value = getattr(self, f"single_{name}" if name in ("observation_space", "action_space") else name)
        return (value(*args, **kwargs) if callable(value) else value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Return an attribute once per row: the environments of a batch share theirs."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of the batch: one value, or a list of `num_envs` equal ones.

        Raises
        ------
        ValueError
            When a list has another length, or its values differ: the environments of a batch share theirs.
        """
        if isinstance(values, list | tuple):
            if len(values) != self.num_envs:
                raise ValueError(f"values: must have num_envs={self.num_envs} entries, got {len(values)}")
            if any(value != values[0] for value in values):
                raise ValueError(f"values: the environments share {name!r}, so all values must be equal")
            values = values[0]
        setattr(self, name, values)

    def render(self) -> None:
        """Draw nothing."""

    def close_extras(self, **kwargs: Any) -> None:
        """Release nothing: buffers and threads go with the last reference to the engine."""

    def _infos_around_resets(self) -> dict[str, Any]:
        """Return the infos of a step that ended or began episodes."""
        game, over = self._game, self._game.over
        infos = self._facts(~over)
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            infos["final_obs"], infos["_final_obs"] = self._out(game.final_observations), over.copy()
            infos["final_info"], infos["_final_info"] = self._facts(over), over.copy()
        return infos

    def _facts(self, rows: NDArray[np.bool_]) -> dict[str, Any]:
        """Return the infos of the chosen rows as `SyncVectorEnv` lays them out."""
        infos: dict[str, Any] = {}
        if rows.any():
            for name, live in self._game.facts.items():
                infos[name], infos[f"_{name}"] = np.where(rows, live, 0.0), rows.copy()
        return infos

    def _out(self, live: _Array) -> _Array:
        return live.copy() if self.copy else live
