"""The settings of a training run: what a user writes, and what ``vecmarket train --help`` shows."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

__all__ = ["Activation", "Backend", "PPOConfig", "Schedule", "TrainConfig", "market_ppo"]

Activation = Literal["tanh", "relu", "silu"]
Schedule = Literal["linear", "constant"]
Backend = Literal["native", "torch"]

MOST_THREADS = 1024
"""More threads than any machine has use for; torch ends the process where it cannot start them."""


@dataclass(frozen=True)
class PPOConfig:
    """Settings of PPO. The defaults are common ones for continuous control; `market_ppo` holds the market's.

    Attributes
    ----------
    rollout_steps
        Steps that every environment plays before each update, T.
    epochs
        Passes over the rollout in each update.
    minibatches
        Parts into which the rollout is cut in each epoch; one gradient step each.
    learning_rate
        Step size of Adam.
    schedule
        "linear" lets the learning rate fall to 0 at the end of the run; "constant" keeps it.
    gamma
        Discount of later rewards, in [0, 1].
    gae_lambda
        Trace decay of generalised advantage estimation, in [0, 1].
    clip_range
        How far the probability ratio may leave 1 before its gradient is cut.
    value_clip_range
        The same for the change of a value, in units of the scaled return; None for no clipping.
    value_coefficient
        Weight of the value loss.
    entropy_coefficient
        Weight of the entropy bonus.
    normalise_advantages
        Scale the advantages of each minibatch to mean 0 and standard deviation 1.
    normalise_by_step
        First scale the advantages of each step of the rollout over the environments in the same way. Where
        all environments' episodes run in step, and steps do not interact, every hour then has the same
        weight, whatever is at stake in it.
    observation_range
        Map observations from the bounds of their space to [-x, x]. A wider range lets small networks turn
        faster from one action to another. None leaves observations as they are.
    normalise_observations
        Instead, subtract the running mean of the observations seen so far and divide by their running
        standard deviation. It is brought up to date between iterations and saved with the policy.
    normalise_rewards
        Divide rewards by a running standard deviation of the discounted return, so that the critic's step
        size does not depend on the unit of account.
    max_gradient_norm
        Largest norm of the gradient; a longer one is scaled down.
    target_kl
        Stop the epochs of an update once the policy has moved this far (approximate KL divergence); None
        never stops.
    hidden
        Widths of the hidden layers of the actor and of the critic.
    activation
        Activation of the hidden layers.
    initial_log_std
        Log standard deviation of the policy at the start, in units of the action.
    final_log_std
        Take the log standard deviation from its start to here over the run, instead of learning it; None
        learns it.
    log_std_power
        After a share s of the run, s to this power of that way is done: 1 is linear, with more the policy
        stays wide for longer and then narrows faster.

    Raises
    ------
    ValueError
        When a setting cannot be used; the message names it.
    """

    rollout_steps: int = 128
    epochs: int = 4
    minibatches: int = 4
    learning_rate: float = 3e-4
    schedule: Schedule = "linear"
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    value_clip_range: float | None = None
    value_coefficient: float = 0.5
    entropy_coefficient: float = 0.0
    normalise_advantages: bool = True
    normalise_by_step: bool = False
    observation_range: float | None = 1.0
    normalise_observations: bool = False
    normalise_rewards: bool = True
    max_gradient_norm: float = 0.5
    target_kl: float | None = None
    hidden: tuple[int, ...] = (64, 64)
    activation: Activation = "tanh"
    initial_log_std: float = 0.0
    final_log_std: float | None = None
    log_std_power: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name in ("rollout_steps", "epochs", "minibatches"):
            _check_whole(f"ppo.{name}", getattr(self, name), 1)
        for i, width in enumerate(self.hidden):
            _check_whole(f"ppo.hidden[{i}]", width, 1)
        for name in ("gamma", "gae_lambda"):
            _check_range(f"ppo.{name}", getattr(self, name), 0.0, 1.0)
        for name in ("value_coefficient", "entropy_coefficient"):
            _check_range(f"ppo.{name}", getattr(self, name), 0.0, math.inf)
        for name in ("learning_rate", "clip_range", "max_gradient_norm", "log_std_power"):
            _check_positive(f"ppo.{name}", getattr(self, name))
        for name in ("value_clip_range", "target_kl", "observation_range"):
            if getattr(self, name) is not None:
                _check_positive(f"ppo.{name}", getattr(self, name))
        for name in ("initial_log_std", "final_log_std"):
            if getattr(self, name) is not None:
                _check_range(f"ppo.{name}", getattr(self, name), -20.0, 20.0)
        _check_choice("ppo.schedule", self.schedule, get_args(Schedule))
        _check_choice("ppo.activation", self.activation, get_args(Activation))


def market_ppo() -> PPOConfig:
    """Return the settings for the market's own environments.

    The discount is 0. A thermal unit's offer in one hour changes nothing in the next: demand, the rivals and
    the clock move on as they would have, so the best offer is the one that earns most in its own hour, and
    any later reward in an advantage is noise. A scenario whose hours are linked (storage) needs another.

    The spread of the policy falls on a schedule, slowly at first. In many hours the profitable offers lie
    between two costs a few $/MWh apart, and an offer above them earns nothing. A spread that is learned
    shrinks as fast as the dear peak hours ask for, before the cheaper hours have found their step; under a
    schedule every hour's offer can follow its own narrowing optimum.

    Many small updates do better than few large ones: 64 environments to an update (the default of
    `TrainConfig`) and small steps. ``docs/training.md`` has the measurements.
    """
    return PPOConfig(
        rollout_steps=24,
        minibatches=4,
        learning_rate=1e-3,
        gamma=0.0,
        target_kl=0.1,
        max_gradient_norm=2.0,
        observation_range=4.0,
        initial_log_std=0.0,
        final_log_std=-5.0,
        log_std_power=1.5,
    )


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run.

    Attributes
    ----------
    scenario
        A shipped scenario's name ("ieee-rts", "default", "competitive"), the path of a .toml file, or "csv"
        for tables.
    fleet
        Table of the units (.csv), for the scenario "csv".
    demand
        Table of the hourly load (.csv), for the scenario "csv".
    renewables
        Table of the hourly renewables (.csv), subtracted from the load; for the scenario "csv".
    learner
        The agent that learns: its name, or its place from 0.
    rivals
        How the others bid: "truthful", or a number, a fixed markup on their cost in $/MWh.
    seed
        Seed of the run. The same seed gives the same result on the same machine.
    backend
        Where the algorithm runs: "native" is the core, several times as fast; "torch" the readable reference,
        which also runs on a GPU. Both learn alike, but not to the same bits.
    total_steps
        Steps of the learner in the whole run, over all environments.
    num_envs
        Markets stepped together.
    engine_threads
        Threads of the core: of the market engine, and of the native backend; 0 for all cores. Never changes a
        result.
    torch_threads
        Threads of torch; 0 for torch's own choice, the physical cores. Networks this small gain little from
        more than one and lose a lot on a busy machine. The last bits of a result depend on it.
    device
        Where the networks of the torch backend live: "cpu" or "cuda".
    ppo
        Settings of the algorithm.
    out
        Folder of all runs.
    name
        Name of this run and of its folder in `out`; when empty, a free one is made from scenario, learner and
        seed.
    checkpoint_every
        Iterations between two checkpoints.
    progress
        Show a progress bar.
    csv
        Write metrics.csv, one row an iteration.
    tensorboard
        Write TensorBoard logs.

    Raises
    ------
    ValueError
        When a setting cannot be used; the message names it.
    """

    scenario: str = "ieee-rts"
    fleet: Path | None = None
    demand: Path | None = None
    renewables: Path | None = None
    learner: int | str = "U350_1"
    rivals: float | str = "truthful"
    seed: int = 0
    backend: Backend = "native"
    total_steps: int = 3_000_000
    num_envs: int = 64
    engine_threads: int = 1
    torch_threads: int = 1
    device: str = "cpu"
    ppo: PPOConfig = field(default_factory=market_ppo)
    out: Path = Path("runs")
    name: str = ""
    checkpoint_every: int = 25
    progress: bool = True
    csv: bool = True
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for name in ("fleet", "demand", "renewables", "out"):
            _take_path(self, name, optional=name != "out")
        for name in ("total_steps", "num_envs", "checkpoint_every"):
            _check_whole(name, getattr(self, name), 1)
        for name in ("seed", "engine_threads", "torch_threads"):
            _check_whole(name, getattr(self, name), 0)
        _check_choice("backend", self.backend, get_args(Backend))
        if self.backend == "native" and self.device != "cpu":
            raise ValueError(
                f'device: the native backend runs on the CPU, got {self.device!r}; use backend="torch"'
            )
        if self.torch_threads > MOST_THREADS:
            raise ValueError(f"torch_threads: must be at most {MOST_THREADS}, got {self.torch_threads}")
        if self.scenario == "csv":
            for name in ("fleet", "demand"):
                if getattr(self, name) is None:
                    raise ValueError(f'{name}: the scenario "csv" needs a {name} table')
        else:
            for name in ("fleet", "demand", "renewables"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f'{name}: only the scenario "csv" takes tables, the scenario is {self.scenario!r}'
                    )
        if isinstance(self.rivals, str) and self.rivals != "truthful":
            raise ValueError(f'rivals: must be "truthful" or a markup in $/MWh, got {self.rivals!r}')
        if isinstance(self.rivals, float) and not math.isfinite(self.rivals):
            raise ValueError(f"rivals: a markup must be finite, got {self.rivals}")
        if self.name != Path(self.name).name:
            raise ValueError(f"name: must be a plain folder name, got {self.name!r}")

    def to_json(self) -> str:
        """Return the settings as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2, default=str)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Read settings that `to_json` wrote; a ValueError names what is wrong."""
        values = json_object(text, "training run", ("ppo",))
        try:
            ppo = _from_mapping(PPOConfig, values.pop("ppo"), "ppo.")
            config: TrainConfig = _from_mapping(cls, {**values, "ppo": ppo}, "")
        except TypeError as error:
            raise ValueError(f"settings: not a training run's: {error}") from error
        return config


def json_object(text: str, whose: str, parts: Sequence[str]) -> dict[str, Any]:
    """Return the object that JSON text of settings holds, some entries of which are objects themselves.

    Raises
    ------
    ValueError
        When it is something else.
    """
    wrong = f"settings: not a {whose}'s"
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{wrong}: no JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{wrong}: must be a JSON object, is {type(values).__name__}")
    for part in parts:
        if part not in values:
            raise ValueError(f"{wrong}: {part!r} is missing")
        if not isinstance(values[part], dict):
            raise ValueError(f"{wrong}: {part!r} must be an object, is {values[part]!r}")
    return values


def _from_mapping(cls: Any, values: dict[str, Any], place: str) -> Any:
    known = {f.name for f in dataclasses.fields(cls)}
    for name in values:
        if name not in known:
            raise ValueError(f"{place}{name}: no such setting")
    return cls(**values)


def _take_path(settings: object, name: str, *, optional: bool) -> None:
    """Turn a path of any kind into a `Path`."""
    value = getattr(settings, name)
    if value is None and optional:
        return
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name}: must be a path, got {value!r}")
    object.__setattr__(settings, name, Path(value))


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: must be a whole number of at least {least}, got {value!r}")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high or math.isinf(value):
        raise ValueError(f"{name}: must be finite and in [{low}, {high}], got {value}")


def _check_positive(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise ValueError(f"{name}: must be positive and finite, got {value}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: must be one of {', '.join(choices)}, got {value!r}")
