"""What the environment tests share: games to play, and the comparison with `SyncVectorEnv`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import TimeLimit

import vecmarket as vm

NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED

DEFAULT = vm.Scenario.default(horizon=6)

# Windows of 30 hours, longer than the day they start on, cut from three weeks: they end truncated.
WINDOWS = vm.Scenario(
    generators=tuple(vm.Generator(60.0, cost) for cost in (12.0, 25.0, 25.0, 41.0)),
    demand=vm.Demand(tuple(90 + 60 * np.sin(np.arange(24 * 21) * 2 * np.pi / 24)), noise=0.04, first_hour=5),
    horizon=30,
    episode_end="truncate",
    episode_start="random_day",
    name="windows",
)

# Every environment and episode draws its own fleet and demand level.
DRAWN = vm.Scenario(
    generators=(
        vm.Generator(vm.Uniform(40.0, 80.0), vm.Normal(20.0, 4.0, 5.0, 35.0), name="coal"),
        vm.Generator(vm.Choice((30.0, 60.0)), 30.0, name="gas"),
        vm.Generator(50.0, vm.Uniform(35.0, 45.0), name="oil"),
    ),
    demand=vm.Demand((60.0, 100.0, 140.0, 90.0), noise=0.1, factor=vm.Uniform(0.7, 1.2)),
    horizon=4,
    name="drawn",
)

GAMES = {game.name: game for game in (DEFAULT, WINDOWS, DRAWN)}


def sync(
    envs: int, mode: AutoresetMode, scenario: vm.Scenario, limit: int | None = None, **options: Any
) -> SyncVectorEnv[Any, Any]:
    """The reference: single environments, one after the other."""

    def single() -> Any:
        env = vm.MarketEnv(scenario, **options)
        return env if limit is None else TimeLimit(env, limit)

    return SyncVectorEnv([single] * envs, autoreset_mode=mode)


def pair(
    envs: int, mode: AutoresetMode, scenario: vm.Scenario, limit: int | None = None, **options: Any
) -> tuple[vm.MarketVectorEnv, SyncVectorEnv[Any, Any]]:
    """Ours and the reference."""
    ours = vm.MarketVectorEnv(envs, scenario, autoreset_mode=mode, max_episode_steps=limit, **options)
    return ours, sync(envs, mode, scenario, limit, **options)


FOUR = 4
"""Markets in the tests that compare with nothing."""


def make(scenario: vm.Scenario = DEFAULT, **options: Any) -> vm.MarketVectorEnv:
    return vm.MarketVectorEnv(FOUR, scenario, **options)


def started(scenario: vm.Scenario = DEFAULT, **options: Any) -> vm.MarketVectorEnv:
    env = make(scenario, **options)
    env.reset(seed=0)
    return env


def zeros(env: vm.MarketVectorEnv) -> np.ndarray:
    return np.zeros((env.num_envs, 2), np.float32)


def draw_actions(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Actions in the box and, a few of them, outside."""
    return np.stack([rng.uniform(-0.2, 1.1, rows), rng.normal(0.0, 1.5, rows)], axis=1).astype(np.float32)


def assert_same_reset(ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> None:
    assert_same(ours[0], theirs[0], "observations")
    assert_same_infos(ours[1], theirs[1])


def assert_same_step(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    """Everything that a step returns; rewards are float32 values, compared as such."""
    assert_same(ours[0], theirs[0], "observations")
    assert ours[1].dtype == np.float32
    np.testing.assert_array_equal(ours[1].astype(np.float64), theirs[1], err_msg="rewards")
    assert_same(ours[2], theirs[2], "terminated")
    assert_same(ours[3], theirs[3], "truncated")
    assert_same_infos(ours[4], theirs[4])


def assert_same(ours: Any, theirs: Any, what: str) -> None:
    assert type(ours) is np.ndarray, what
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), what
    np.testing.assert_array_equal(ours, theirs, err_msg=what)


def assert_same_infos(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Key by key, masks and dtypes included; `final_obs` where its mask is True."""
    assert set(ours) == set(theirs)
    for key, value in ours.items():
        if isinstance(value, dict):
            assert_same_infos(value, theirs[key])
        elif key == "final_obs":
            mask = ours["_final_obs"]
            assert value.dtype == np.float32
            np.testing.assert_array_equal(value[mask], np.stack(list(theirs[key][mask])), err_msg=key)
        else:
            assert_same(value, theirs[key], key)


def play_both(
    ours: VectorEnv[Any, Any, Any], theirs: VectorEnv[Any, Any, Any], steps: int, seed: int = 0
) -> int:
    """Step both alike and compare; return how many episodes ended."""
    rng = np.random.default_rng(seed)
    ended = 0
    for _ in range(steps):
        actions = draw_actions(rng, ours.num_envs)
        mine, other = ours.step(actions), theirs.step(actions)
        assert_same_step(mine, other)
        ended += int(np.count_nonzero(mine[2] | mine[3]))
    return ended
