"""One market as a plain `gymnasium.Env`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding

from vecmarket.checks import action_array, whole_number
from vecmarket.envs.arguments import check_options, no_render_mode
from vecmarket.envs.game import Game

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from vecmarket.config import Scenario
    from vecmarket.envs.seats import Rivals

__all__ = ["MarketEnv"]


class MarketEnv(gym.Env["NDArray[np.float32]", "NDArray[np.float32]"]):
    """One market with one learning agent; the same engine as `MarketVectorEnv`, number for number.

    Observations are (F,) float32, actions (2,): withheld share of capacity and price parameter. A finite
    action outside the box counts as the nearest legal one. The info of a step holds the learner's ``profit``
    ($) and ``dispatch`` (MW), and the market's ``price`` ($/MWh), ``demand`` and ``unserved`` (MW); that of a
    reset is empty.

    Parameters
    ----------
    scenario
        The market game, the name of one that ships, or None for ``"default"``.
    learner
        The learning agent's place or name.
    rivals
        How the others bid: None or ``"truthful"``, a markup in $/MWh, an `MlpPolicy` or a `PolicyPool`, which
        the engine plays, a callable f(observations (1, F)) -> (1, 2), one of these per agent (None for the
        learner, or left out), or a mapping from names or places (the others truthful).
    render_mode
        Must be None.

    Raises
    ------
    ValueError, TypeError
        When an argument cannot be used; the message names it.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own annotation

    def __init__(
        self,
        scenario: Scenario | str | None = None,
        *,
        learner: int | str = 0,
        rivals: Rivals = None,
        render_mode: str | None = None,
    ) -> None:
        no_render_mode(render_mode)
        self._game = Game(scenario, 1, learner, rivals, threads=1)
        if self._game.learner is None:
            raise ValueError('learner: must be one agent here; MarketVectorEnv takes "all"')
        self._np_random, self._np_random_seed = seeding.np_random(self._game.seed)
        self.observation_space = self._game.observation_space
        self.action_space = self._game.action_space()
        self.render_mode = render_mode

    @property
    def scenario(self) -> Scenario:
        """The market game."""
        return self._game.scenario

    @property
    def learner(self) -> int:
        """Place of the learning agent."""
        assert self._game.learner is not None
        return self._game.learner

    @property
    def rivals(self) -> Rivals:
        """How the other agents bid; can be set, within the observation space, from the next step on."""
        return self._game.rivals

    @rivals.setter
    def rivals(self, rivals: Rivals) -> None:
        self._game.rivals = rivals

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start a new episode.

        Parameters
        ----------
        seed
            Seed of the environment, which starts again at its first episode; None moves on to the next one.
            An environment that never had a seed took one from the system.
        options
            ``{"start": hour}`` starts at that hour of the demand series.

        Raises
        ------
        ValueError, TypeError
            When the seed or an option cannot be used.
        """
        given = check_options(options, ("start",))
        if seed is not None:
            seed = whole_number("seed", seed, least=0)
        self._game.reset(seed, start=given.get("start"))
        super().reset(seed=seed)
        return self._game.observations[0].copy(), {}

    def step(self, action: ArrayLike) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Offer, clear the market and be paid.

        Raises
        ------
        ValueError
            When the action's shape is not (2,), a number is not finite, or the episode is over or not begun.
        TypeError
            When the action is not made of real numbers.
        """
        game = self._game
        game.step(action_array("action", action, (2,)).reshape(1, 2), None)
        info = {name: float(value[0]) for name, value in game.facts.items()}
        return (
            game.observations[0].copy(),
            float(game.rewards[0]),
            bool(game.terminated[0]),
            bool(game.truncated[0]),
            info,
        )

    def render(self) -> None:
        """Draw nothing."""
