"""`MarketVectorEnv` against `SyncVectorEnv` of single environments, in each autoreset mode and seed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from env_parity import (
    DEFAULT,
    DISABLED,
    DRAWN,
    GAMES,
    NEXT,
    SAME,
    WINDOWS,
    assert_same_reset,
    assert_same_step,
    draw_actions,
    pair,
    play_both,
)
from gymnasium.vector import AutoresetMode

import vecmarket as vm

N = 5


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_episodes_seed_by_seed(mode: AutoresetMode, name: str) -> None:
    scenario = GAMES[name]
    ours, theirs = pair(N, mode, scenario)
    for seed in (11, 12345678901):
        assert_same_reset(ours.reset(seed=seed), theirs.reset(seed=seed))
        assert play_both(ours, theirs, 4 * scenario.horizon + 3) >= 3 * N
        # No seed: every environment goes on with its next episode, in mid-episode too.
        assert_same_reset(ours.reset(), theirs.reset())
        play_both(ours, theirs, 3)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_episodes_out_of_step(mode: AutoresetMode, name: str) -> None:
    """Partial resets put the environments out of step, so that they end on different steps."""
    scenario = GAMES[name]
    ours, theirs = pair(N, mode, scenario)
    assert_same_reset(ours.reset(seed=5), theirs.reset(seed=5))
    rng = np.random.default_rng(1)
    for _ in range(12):
        play_both(ours, theirs, int(rng.integers(1, scenario.horizon)), seed=int(rng.integers(1000)))
        mask = rng.random(N) < 0.4
        mask[rng.integers(N)] = True
        mine = ours.reset(options={"reset_mask": mask})
        assert_same_reset(mine, theirs.reset(options={"reset_mask": mask.copy()}))
    assert play_both(ours, theirs, 2 * scenario.horizon + 2) >= N


@pytest.mark.parametrize("name", GAMES)
def test_episodes_without_autoreset(name: str) -> None:
    """Autoreset disabled: what is finished is reset by mask, with and without seeds."""
    scenario = GAMES[name]
    ours, theirs = pair(N, DISABLED, scenario)
    assert_same_reset(ours.reset(seed=2), theirs.reset(seed=2))
    early = np.arange(N) % 2 == 0
    play_both(ours, theirs, 2)
    assert_same_reset(ours.reset(options={"reset_mask": early}), theirs.reset(options={"reset_mask": early}))

    rng, ended = np.random.default_rng(0), 0
    for step in range(5 * scenario.horizon):
        actions = draw_actions(rng, N)
        mine, other = ours.step(actions), theirs.step(actions)
        assert_same_step(mine, other)
        over = mine[2] | mine[3]
        if over.any():
            ended += int(over.sum())
            with pytest.raises(ValueError, match="episode has ended"):
                ours.step(actions)
            seed = 100 + step if ended % 2 else None
            mine_reset = ours.reset(seed=seed, options={"reset_mask": over})
            assert_same_reset(mine_reset, theirs.reset(seed=seed, options={"reset_mask": over.copy()}))
    assert ended >= 4 * N


def test_stepping_a_finished_env_is_an_error_there_too() -> None:
    """AssertionError there, after it has stepped the rows before; ValueError here, and nothing has moved."""
    ours, theirs = pair(1, DISABLED, DEFAULT)
    ours.reset(seed=2)
    theirs.reset(seed=2)
    play_both(ours, theirs, DEFAULT.horizon)
    actions = np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="episode has ended"):
        ours.step(actions)
    with pytest.raises(AssertionError):
        theirs.step(actions)


SEEDS: dict[str, tuple[Any, Any]] = {
    "int": (7, 7),
    "numpy integer": (np.int64(7), 7),
    "unsigned": (np.uint8(200), 200),
    "list": ([5, 1, 5, 9, 0], [5, 1, 5, 9, 0]),
    "tuple": ((5, 1, 5, 9, 0), [5, 1, 5, 9, 0]),
    "list of numpy integers": ([np.int32(s) for s in (5, 1, 5, 9, 0)], [5, 1, 5, 9, 0]),
    "array": (np.array([5, 1, 5, 9, 0]), [5, 1, 5, 9, 0]),
    "some None": ([None, 3, None, 8, None], [None, 3, None, 8, None]),
    "all None": ([None] * N, [None] * N),
    "None": (None, None),
}


@pytest.mark.parametrize("form", SEEDS)
@pytest.mark.parametrize("mode", [NEXT, SAME, DISABLED])
def test_seed_forms(mode: AutoresetMode, form: str) -> None:
    ours, theirs = pair(N, mode, DRAWN)
    assert_same_reset(ours.reset(seed=40), theirs.reset(seed=40))
    play_both(ours, theirs, 2)
    seed, plain = SEEDS[form]
    for options in (None, {"reset_mask": np.array([True, False, True, True, False])}):
        mine = ours.reset(seed=seed, options=options)
        assert_same_reset(mine, theirs.reset(seed=plain, options=options and dict(options)))
        play_both(ours, theirs, 3 if mode is DISABLED else 10)
        if mode is DISABLED:
            assert_same_reset(ours.reset(), theirs.reset())


def test_equal_seeds_play_equal_markets_and_others_do_not() -> None:
    ours, _ = pair(3, NEXT, DRAWN)
    observations, _ = ours.reset(seed=[4, 4, 5])
    np.testing.assert_array_equal(observations[0], observations[1])
    assert (observations[0] != observations[2]).any()


@pytest.mark.parametrize("learner", [0, 3, "G2"])
@pytest.mark.parametrize("rivals", [None, "truthful", 4.5, {"G1": 10.0}, [None, "truthful", 3, -2.0]])
def test_learners_and_rivals(learner: Any, rivals: Any) -> None:
    if isinstance(rivals, list):
        rivals = rivals.copy()
        rivals[{"G2": 2}.get(learner, learner)] = None
    ours, theirs = pair(3, NEXT, WINDOWS, learner=learner, rivals=rivals)
    assert_same_reset(ours.reset(seed=1), theirs.reset(seed=1))
    assert play_both(ours, theirs, 65) == 6


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_rivals_in_python(mode: AutoresetMode) -> None:
    """A rival that answers to what it sees, one row at a time or all at once."""

    def answer(observations: np.ndarray) -> np.ndarray:
        return np.stack([observations[:, 0] * 0.3, 1.0 - observations[:, 2]], axis=1)

    ours, theirs = pair(N, mode, WINDOWS, learner=1, rivals=[answer, None, 2.0, answer])
    assert_same_reset(ours.reset(seed=3), theirs.reset(seed=3))
    assert play_both(ours, theirs, 70) == 2 * N


@pytest.mark.parametrize("limit", [1, 4, 6, 9])
@pytest.mark.parametrize("mode", [NEXT, SAME])
@pytest.mark.parametrize("name", ["default", "windows"])
def test_max_episode_steps_is_the_time_limit(name: str, mode: AutoresetMode, limit: int) -> None:
    """Truncates at the limit and leaves `terminated` alone, also where both fall on one step."""
    ours, theirs = pair(3, mode, GAMES[name], limit=limit)
    assert_same_reset(ours.reset(seed=0), theirs.reset(seed=0))
    assert play_both(ours, theirs, 25) >= 6


def test_max_episode_steps_without_autoreset() -> None:
    ours, theirs = pair(3, DISABLED, DEFAULT, limit=3)
    assert_same_reset(ours.reset(seed=0), theirs.reset(seed=0))
    for _ in range(4):
        assert play_both(ours, theirs, 3) == 3
        assert_same_reset(ours.reset(), theirs.reset())


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_the_live_arrays_hold_the_same(threads: int) -> None:
    """copy=False hands out the same values; threads do not change them."""
    _, theirs = pair(N, NEXT, DEFAULT)
    ours = vm.MarketVectorEnv(N, DEFAULT, copy=False, threads=threads)
    assert_same_reset(ours.reset(seed=1), theirs.reset(seed=1))
    assert play_both(ours, theirs, 20) == 3 * N


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_the_default_game_at_full_length(mode: AutoresetMode) -> None:
    ours, theirs = pair(4, mode, vm.Scenario.default(), learner=4)
    assert_same_reset(ours.reset(seed=9), theirs.reset(seed=9))
    assert play_both(ours, theirs, 77) == 12
