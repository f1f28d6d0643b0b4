"""The ways of learning a best response whose times to solution are measured.

How long a run of a method is stands here; its settings stand beside its training. The length is a setting
like any other: where rates and spreads fall over the whole run, a short one reaches a low share sooner, and a
long one a higher share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

import vecmarket as vm

NATIVE, TORCH = "vecmarket, native", "vecmarket, torch"
SB3_TUNED, SB3_DEFAULTS = "Stable-Baselines3, tuned", "Stable-Baselines3, defaults"

EASY, HARD = 4, 3  # places of the two agents of `default`


Train: TypeAlias = Callable[[Any, Callable[[Any], None]], None]  # a task, and what is shown its policies


class Budget(NamedTuple):
    """How much a run of a method plays."""

    num_envs: int
    total_steps: int  # over all environments

    def __str__(self) -> str:
        return f"{self.num_envs} environments, " + f"{self.total_steps:,} steps".replace(",", " ")


class Task(NamedTuple):
    """What one run has to do."""

    scenario: vm.Scenario
    agent: int
    budget: Budget
    seed: int
    threads: int


@dataclass(frozen=True)
class Method:
    """One way of learning."""

    name: str
    train: Train
    does: str
    budgets: Mapping[int, Budget]  # by agent; of what has one
    needs: str = ""  # the module without which it cannot be had
    install: str = ""  # what pip is told, where that is not the module's name

    @property
    def hint(self) -> str:
        """The command that installs what it needs."""
        return f"pip install {self.install or self.needs}"


def trained_by(module: str, function: str) -> Train:
    """Return what trains by a function of a module of ours that is imported when it is first asked for."""

    def train(task: Any, look: Callable[[Any], None]) -> None:
        chosen: Train = getattr(import_module(f"bench.{module}"), function)
        chosen(task, look)

    return train


OURS = {EASY: Budget(64, 250_000), HARD: Budget(64, 2_000_000)}
METHODS = (
    Method(
        NATIVE,
        trained_by("own", "train_native"),
        "`NativePPO` with `market_ppo()` in `MarketVectorEnv`: market, networks and update in the core; "
        f'for agent {HARD} alone `activation="relu"` and `log_std_power=2`',
        OURS,
    ),
    Method(
        TORCH,
        trained_by("own", "train_torch"),
        "`PPO` with `market_ppo()` in `MarketVectorEnv`: the same, with torch",
        OURS,
    ),
    Method(
        SB3_TUNED,
        trained_by("sb3", "train_tuned"),
        "its PPO in `MarketVectorEnv`, through a thin `VecEnv`, inside its `VecNormalize`, with settings of "
        "its own that were searched for: rollouts of 24 steps, 4 epochs of 4 minibatches, discount 0, rate "
        f"from 3e-3 to 0, target_kl 0.03, entropy bonus 0.01 for agent {HARD} alone, the rest its defaults",
        {EASY: Budget(64, 150_000), HARD: Budget(64, 500_000)},
        needs="stable_baselines3",
        install="stable-baselines3",
    ),
    Method(
        SB3_DEFAULTS,
        trained_by("sb3", "train_defaults"),
        "its PPO as it comes, in its `DummyVecEnv` of single `MarketEnv`s",
        {EASY: Budget(8, 250_000), HARD: Budget(8, 500_000)},
        needs="stable_baselines3",
        install="stable-baselines3",
    ),
)
