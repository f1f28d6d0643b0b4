"""The settings of a game: who learns, in which order, and when it is over."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from vecmarket.training.config import TrainConfig, json_object

__all__ = ["BEST_RESPONSE", "GameConfig", "GameRun", "Schedule"]

Schedule = Literal["iterated", "simultaneous", "fictitious", "independent", "shared"]
Start = Literal["last", "fresh"]
Accept = Literal["better", "always"]

BEST_RESPONSE = ("iterated", "simultaneous", "fictitious")
"""The schedules in which an agent learns while the others stand still."""

_NOT_OF_A_GAME = {"learner": "--agents names who learns", "total_steps": "--round-steps gives its length"}

_OF_BEST_RESPONSE = ("update_probability", "patience", "tolerance", "accept", "start", "starts")
"""Settings of the schedules in which an agent learns while the others stand still."""


@dataclass(frozen=True)
class GameConfig:
    """Settings of a game, beside those of its training jobs (`TrainConfig`).

    Attributes
    ----------
    game
        Who learns when. iterated: one after another, against the others' newest policies (Gauss-Seidel).
        simultaneous: all of a round against the policies of the round before (Jacobi). fictitious: likewise,
        but each rival is drawn, per market and episode, from all its past policies. independent: all at once
        in the same markets, a policy each. shared: all at once, one policy for all. None: no game, one agent
        learns.
    agents
        Names or places of the agents that learn; all when empty. The others bid as `rivals` says.
    rounds
        Rounds at most.
    round_steps
        Steps of each learning agent in each round, over all environments; rounded up to whole iterations.
    update_probability
        Chance of each agent, in each round, to be asked for a best response; the others keep their policies
        (inertia). In (0, 1].
    patience
        Stop after so many rounds in a row in which no agent improved by more than the tolerance, once every
        agent has been asked since the last improvement. 0 plays all rounds.
    tolerance
        Gain in mean profit, $/h, that counts as an improvement.
    accept
        better: an agent changes to what it learned only where it gains more than the tolerance. always:
        it changes in any case.
    start
        fresh: an agent's training starts from new weights. last: from its last policy, which the search may
        then not get away from.
    starts
        Training jobs for each best response, from markups spread evenly over what can be reached; the best
        is taken. Gradients find one of the market's many local optima, several starts find several.
    withholding
        Whether learning agents may withhold capacity. Without, they offer all of it and choose prices only,
        as in most models of auctions.
    initial
        How the learning agents bid before they learned anything: "truthful", or a number, a fixed markup in
        $/MWh.
    pool
        Past policies that a mixture of fictitious play is drawn from, the newest; 0 for all.
    episodes
        Fixed episodes of training days on which gains are measured, and as many of evaluation days for the
        profits and prices in rounds.csv; fewer where the scenario draws nothing and has fewer days. The
        exact best responses at the end do not depend on it: they are found on every evaluation day.

    Raises
    ------
    ValueError
        When a setting cannot be used; the message names it.
    """

    game: Schedule | None = None
    agents: tuple[str | int, ...] = ()
    rounds: int = 10
    round_steps: int = 300_000
    update_probability: float = 1.0
    patience: int = 2
    tolerance: float = 1.0
    accept: Accept = "better"
    start: Start = "fresh"
    starts: int = 1
    withholding: bool = True
    initial: float | str = "truthful"
    pool: int = 0
    episodes: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "agents", tuple(self.agents))
        if self.game is not None:
            _check_choice("game", self.game, get_args(Schedule))
        _check_choice("accept", self.accept, get_args(Accept))
        _check_choice("start", self.start, get_args(Start))
        for name, least in (
            ("rounds", 1),
            ("round_steps", 1),
            ("starts", 1),
            ("episodes", 1),
            ("patience", 0),
            ("pool", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}: must be a whole number of at least {least}, got {value!r}")
        if not isinstance(self.withholding, bool):
            raise ValueError(f"withholding: must be True or False, got {self.withholding!r}")
        if not 0.0 < self.update_probability <= 1.0:
            raise ValueError(f"update_probability: must be in (0, 1], got {self.update_probability}")
        if not 0.0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance: must be finite and at least 0 $/h, got {self.tolerance}")
        if isinstance(self.initial, str):
            if self.initial != "truthful":
                raise ValueError(f'initial: must be "truthful" or a markup in $/MWh, got {self.initial!r}')
        elif not math.isfinite(self.initial):
            raise ValueError(f"initial: a markup must be finite, got {self.initial}")


@dataclass(frozen=True)
class GameRun:
    """All settings of a run of a game; a run's config.json holds them.

    Attributes
    ----------
    game
        The game.
    train
        Scenario, seed, environments, algorithm, folder: what each training job uses. Its `learner` and
        `total_steps` have no meaning in a game and must be left as they are; `csv` has none either, since
        the table of the rounds is always written.

    Raises
    ------
    ValueError
        When no schedule is named, or a setting is given that a game does not have.
    """

    game: GameConfig
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if self.game.game is None:
            raise ValueError(f"game: must be one of {', '.join(get_args(Schedule))}, got None")
        usual = TrainConfig()
        for name, instead in _NOT_OF_A_GAME.items():
            if getattr(self.train, name) != getattr(usual, name):
                raise ValueError(f"{name}: is no setting of a game; {instead}")
        one, plain = self.game, GameConfig()
        for name in _OF_BEST_RESPONSE:
            if one.game not in BEST_RESPONSE and getattr(one, name) != getattr(plain, name):
                raise ValueError(
                    f"{name}: is no setting of {one.game} learning, only of {', '.join(BEST_RESPONSE)}"
                )
        if one.game != "fictitious" and one.pool != plain.pool:
            raise ValueError(f"pool: is no setting of a game that is {one.game}, only of a fictitious one")

    def to_json(self) -> str:
        """Return the settings as JSON text."""
        game = dataclasses.asdict(self.game)
        return json.dumps({"game": game, "train": json.loads(self.train.to_json())}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> GameRun:
        """Read settings that `to_json` wrote; a ValueError names what is wrong."""
        values = json_object(text, "game", ("game", "train"))
        game, train = values["game"], json.dumps(values["train"])
        known = {f.name for f in dataclasses.fields(GameConfig)}
        for name in game:
            if name not in known:
                raise ValueError(f"game.{name}: no such setting")
        try:
            return cls(GameConfig(**game), TrainConfig.from_json(train))
        except TypeError as error:
            raise ValueError(f"settings: not a game's: {error}") from error


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: must be one of {', '.join(choices)}, got {value!r}")
