"""The stock vector wrappers give here what they give on `SyncVectorEnv`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from env_parity import DEFAULT, DISABLED, NEXT, SAME, draw_actions, pair
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers import TransformReward
from gymnasium.wrappers import vector as wrappers

import vecmarket as vm

N = 3

Wrap = Callable[[Any], VectorEnv[Any, Any, Any]]

ON_ANY_MODE: dict[str, Wrap] = {
    "RecordEpisodeStatistics": wrappers.RecordEpisodeStatistics,
    "NormalizeReward": wrappers.NormalizeReward,
    "ClipReward": lambda env: wrappers.ClipReward(env, -0.001, 0.001),
    "TransformReward": lambda env: wrappers.TransformReward(env, lambda reward: 3 * reward),
    "VectorizeTransformReward": lambda env: wrappers.VectorizeTransformReward(
        env, TransformReward, func=lambda reward: reward + 1
    ),
    "ClipAction": wrappers.ClipAction,
    "RescaleAction": lambda env: wrappers.RescaleAction(
        env, np.float32([-1.0, -1.0]), np.float32([1.0, 1.0])
    ),
    "TransformAction": lambda env: wrappers.TransformAction(env, lambda actions: actions / 2),
    "DictInfoToList": wrappers.DictInfoToList,
    "DictInfoToList over RecordEpisodeStatistics": lambda env: wrappers.DictInfoToList(
        wrappers.RecordEpisodeStatistics(env)
    ),
}

NOT_ON_SAME_STEP: dict[str, Wrap] = {
    "NormalizeObservation": wrappers.NormalizeObservation,
    "TransformObservation": lambda env: wrappers.TransformObservation(env, lambda seen: seen * 2),
    "RescaleObservation": lambda env: wrappers.RescaleObservation(
        env, np.zeros(7, np.float32), np.ones(7, np.float32)
    ),
    "FlattenObservation": wrappers.FlattenObservation,
    "DtypeObservation": lambda env: wrappers.DtypeObservation(env, np.float64),
    "ReshapeObservation": lambda env: wrappers.ReshapeObservation(env, (1, 7)),
}


def assert_close(ours: Any, theirs: Any) -> None:
    """Equal but for the last digits: rewards are float32 here and float64 there."""
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        for key in ours:
            # Wall-clock times, and the rows of `final_obs` that mean nothing.
            if key == "t":
                continue
            mask = ours.get(f"_{key}")
            if key == "final_obs" and mask is not None:
                assert_close(ours[key][mask], np.stack(list(theirs[key][mask])))
            else:
                assert_close(ours[key], theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_close(mine, other)
    else:
        assert np.shape(ours) == np.shape(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def play(ours: VectorEnv[Any, Any, Any], theirs: VectorEnv[Any, Any, Any], steps: int = 20) -> None:
    rng = np.random.default_rng(0)
    assert_close(ours.reset(seed=1)[0], theirs.reset(seed=1)[0])
    for _ in range(steps):
        actions = draw_actions(rng, N)
        mine, other = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine, other, strict=True):
            assert_close(a, b)


@pytest.mark.parametrize("name", ON_ANY_MODE)
@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_wrappers(name: str, mode: AutoresetMode) -> None:
    ours, theirs = map(ON_ANY_MODE[name], pair(N, mode, DEFAULT))
    play(ours, theirs)


@pytest.mark.parametrize("name", NOT_ON_SAME_STEP)
def test_observation_wrappers(name: str) -> None:
    ours, theirs = map(NOT_ON_SAME_STEP[name], pair(N, NEXT, DEFAULT))
    play(ours, theirs)


@pytest.mark.parametrize("name", NOT_ON_SAME_STEP)
def test_observation_wrappers_refuse_same_step(name: str) -> None:
    ours, _ = pair(N, SAME, DEFAULT)
    with pytest.raises((ValueError, AssertionError)):
        NOT_ON_SAME_STEP[name](ours)


def test_a_stack_of_wrappers_that_write_in_place() -> None:
    """Two that edit what they are given, one over the other, leave the environment's own arrays alone."""

    def stack(env: Any) -> VectorEnv[Any, Any, Any]:
        def halve(seen: np.ndarray) -> np.ndarray:
            seen *= 0.5
            return seen

        return wrappers.TransformObservation(wrappers.ClipReward(env, -0.01, 0.0), halve)

    ours, theirs = map(stack, pair(N, NEXT, DEFAULT))
    play(ours, theirs)
    plain = vm.MarketVectorEnv(N, DEFAULT)
    plain.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        last = plain.step(draw_actions(rng, N))
    np.testing.assert_array_equal(ours.unwrapped.observations, last[0])


@pytest.mark.parametrize("mode", [NEXT, SAME])
def test_numpy_to_torch(mode: AutoresetMode) -> None:
    """Also on SAME_STEP, thanks to a dense `final_obs`; what is kept does not change under the tensor."""
    torch = pytest.importorskip("torch")
    env = wrappers.NumpyToTorch(vm.MarketVectorEnv(N, DEFAULT, autoreset_mode=mode))
    plain = vm.MarketVectorEnv(N, DEFAULT, autoreset_mode=mode)
    kept = [(env.reset(seed=1)[0], plain.reset(seed=1)[0])]
    rng = np.random.default_rng(0)
    for _ in range(15):
        actions = draw_actions(rng, N)
        mine, other = env.step(torch.from_numpy(actions)), plain.step(actions)
        kept += list(zip(mine[:4], other[:4], strict=True))
        assert set(mine[4]) == set(other[4])
        if "final_obs" in other[4]:
            kept.append((mine[4]["final_obs"], other[4]["final_obs"]))
    for tensor, array in kept:
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_statistics_under_partial_resets() -> None:
    """Rows that a mask resets start to count again; the others count on."""
    env = wrappers.RecordEpisodeStatistics(vm.MarketVectorEnv(N, DEFAULT, autoreset_mode=DISABLED))
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    returns, lengths = np.zeros(N), np.zeros(N, int)
    recorded = 0
    for step in range(40):
        _, rewards, terminated, truncated, infos = env.step(draw_actions(rng, N))
        returns += rewards
        lengths += 1
        over = terminated | truncated
        mask = over.copy()
        if over.any():
            recorded += int(over.sum())
            np.testing.assert_array_equal(infos["_episode"], over)
            np.testing.assert_allclose(infos["episode"]["r"][over], returns[over])
            np.testing.assert_array_equal(infos["episode"]["l"][over], lengths[over])
        if step % 5 == 3:
            mask[step % N] = True
        if mask.any():
            env.reset(options={"reset_mask": mask.copy()})
            returns[mask], lengths[mask] = 0.0, 0
    assert recorded >= N
    assert env.episode_count == recorded
