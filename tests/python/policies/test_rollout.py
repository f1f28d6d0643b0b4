"""`Engine.rollout`: k steps of policies in one call are k steps whose actions Python asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecmarket as vm
from core.scenes import lively
from policies.nets import draw
from vecmarket import _core

N, K, SEED = 133, 9, 5  # three shards, the last not full; steps enough to end an episode of six
AFTER = ("rewards", "terminated", "truncated", "prices", "demand", "unserved", "dispatch", "profits")


def policies(engine: _core.Engine, *, sampled: bool = True) -> list[vm.MlpPolicy]:
    """Return policies of several shapes and bounds, the last of which plays its mean."""
    options: list[dict[str, Any]] = [
        {"hidden": (64, 64)},
        {"hidden": (16,), "activation": "relu", "low": [0.1, -1.0], "high": [0.2, 2.0]},
        {"hidden": (64, 64), "low": [-np.inf] * 2, "high": [np.inf] * 2},
        {"hidden": (5, 3), "activation": "silu"},
    ]
    made = [draw(engine.num_features, seed=i, sampled=sampled, **o) for i, o in enumerate(options)]
    return [*made[:-1], made[-1].deterministic()]


def engine(envs: int = N, **options: Any) -> vm.Engine:
    made = vm.Engine(lively(), envs, seed=SEED, **options)
    made.keep_offers()
    made.reset()
    return made


def unbounded(policy: vm.MlpPolicy) -> vm.MlpPolicy:
    """Return the policy whose actions are not cut."""
    fields = {name: getattr(policy, name) for name in ("centre", "scale", "log_std", "sampled")}
    infinite = {"low": [-np.inf] * 2, "high": [np.inf] * 2}
    return vm.MlpPolicy(policy.weights, policy.biases, policy.activation, **fields, **infinite)


def slowly(engine: vm.Engine, players: list[vm.MlpPolicy], steps: int) -> dict[str, np.ndarray]:
    """Ask the policies in Python before each step, and return what `rollout` promises."""
    history: dict[str, list[np.ndarray]] = {}

    def keep(**arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            history.setdefault(name, []).append(np.array(array))

    for _ in range(steps):
        seen = engine.observations.copy()
        steps_taken, _, episodes = engine.clock()
        drawn = np.empty((*seen.shape[:2], 2), np.float32)
        played = np.empty_like(drawn)
        log_probs = np.full(seen.shape[:2], np.nan)
        for agent, policy in enumerate(players):
            keys = {"seed": SEED, "episode": episodes, "step": steps_taken, "agent": agent}
            rows = np.ascontiguousarray(seen[:, agent])
            mean = unbounded(policy)(rows)
            drawn[:, agent] = unbounded(policy).sample(rows, **keys) if policy.sampled else mean
            played[:, agent] = policy.sample(rows, **keys) if policy.sampled else policy(rows)
            if policy.sampled:
                std = np.exp(policy.log_std.astype(np.float64))
                noise = (drawn[:, agent].astype(np.float64) - mean) / std
                log_probs[:, agent] = (-0.5 * noise**2 - np.log(std) - 0.5 * np.log(2 * np.pi)).sum(axis=1)
        engine.step(played, autoreset="same_step")
        ended = (engine.terminated | engine.truncated)[:, None, None]
        keep(observations=seen, actions=drawn, log_probs=log_probs, next_observations=engine.observations)
        keep(final_observations=np.where(ended, engine.final_observations, 0.0))
        keep(**{name: getattr(engine, name) for name in AFTER})
    return {name: np.stack(arrays) for name, arrays in history.items()}


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("threads", [1, 3])
def test_is_what_python_would_have_done(threads: int, limit: int | None) -> None:
    fast = engine(threads=threads, max_episode_steps=limit)
    slow = engine(threads=1, max_episode_steps=limit)
    for _ in range(2):  # the second call goes on where the first ended
        found = fast.rollout(policies(fast), K)
        expected = slowly(slow, policies(slow), K)
        ended = (found["terminated"] | found["truncated"])[:, :, None, None]
        assert ended.any()
        assert not ended.all()
        found["final_observations"] = np.where(ended, found["final_observations"], 0.0)
        assert found.keys() == expected.keys()
        # The means and the noise come back from rounded numbers.
        log_probs, reference = found.pop("log_probs"), expected.pop("log_probs")
        np.testing.assert_allclose(log_probs, reference, rtol=0, atol=2e-4)
        assert np.isnan(log_probs[..., 3]).all()
        assert np.isfinite(log_probs[..., :3]).all()
        for name, array in found.items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)
        assert fast.snapshot() == slow.snapshot()


def test_steps_at_once_or_one_at_a_time() -> None:
    at_once, one_by_one = engine(), engine()
    whole = at_once.rollout(policies(at_once), K)
    for t in range(K):
        step = one_by_one.rollout(policies(one_by_one), 1)
        for name in set(whole) - {"final_observations"}:
            np.testing.assert_array_equal(step[name][0], whole[name][t], err_msg=name)
    assert at_once.snapshot() == one_by_one.snapshot()


def test_one_policy_plays_everybody() -> None:
    one, each = engine(), engine()
    policy = draw(one.num_features, sampled=True)
    found, expected = one.rollout(policy, K), each.rollout([policy] * 4, K)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    assert (found["actions"][:, :, 0] != found["actions"][:, :, 1]).any()


def test_rivals_of_the_engine_play_along() -> None:
    """The same market, whether a policy plays for the caller or in a seat."""
    everybody = engine()
    players = policies(everybody)
    made = _core.Engine(lively(), N, seed=SEED, seats=["acts", players[1], players[2], "acts"])
    made.keep_offers()
    made.reset()
    found = made.rollout([players[0], players[3]], K)
    expected = everybody.rollout(players, K)
    for name in ("prices", "demand", "unserved", "dispatch", "profits"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    for name in ("observations", "actions", "log_probs", "rewards", "next_observations"):
        np.testing.assert_array_equal(found[name], expected[name][:, :, [0, 3]], err_msg=name)


def test_arrays_are_used_again_for_the_same_steps() -> None:
    made = engine()
    first = made.rollout(policies(made), 2)
    again = made.rollout(policies(made), 2)
    assert all(again[name] is array for name, array in first.items())
    assert made.rollout(policies(made), 3)["actions"].shape == (3, N, 4, 2)


def refused(made: vm.Engine, *arguments: Any, error: type[Exception], match: str, **options: Any) -> None:
    before = made.snapshot()
    with pytest.raises(error, match=match):
        made.rollout(*arguments, **options)
    assert made.snapshot() == before


def test_what_cannot_be_played_changes_nothing() -> None:
    made = engine(3)
    good = policies(made)
    refused(made, good[:3], 2, error=ValueError, match=r"policies: must be one per acting agent, 4, got 3")
    other = draw(made.num_features + 1)
    refused(
        made, [*good[:2], other, good[3]], 2, error=ValueError, match=r"policies\[2\]: takes \d+ features"
    )
    refused(made, [*good[:3], "truthful"], 2, error=TypeError, match=r"policies\[3\]: must be a policy")
    refused(made, None, 2, error=TypeError, match=r"policies\[0\]: must be a policy")
    refused(made, "truthful", 2, error=TypeError, match="policies: must be a policy, or one per acting agent")
    refused(made, good, 0, error=ValueError, match=r"steps: must be in 1\.\.1048576, got 0")
    refused(made, good, 10**9, error=ValueError, match=r"steps: must be in 1\.\.1048576, got 1000000000")
    refused(made, good, 1.5, error=TypeError, match="steps: must be an integer")
    for name in ("sometimes", "next_step", "disabled"):
        refused(
            made,
            good,
            2,
            name,
            error=ValueError,
            match=f'autoreset: must be "same_step" or None, got "{name}"',
        )
    refused(made, good, 2, 3, error=TypeError, match='autoreset: must be "same_step" or None, got 3')
    refused(
        made,
        good,
        7,
        None,
        error=ValueError,
        match="environment 0: its episode ends in 6 steps, before the 7",
    )
    made.rollout(good, 6, None)
    refused(made, good, 1, error=ValueError, match="environment 0: its episode has ended")
    unborn = vm.Engine(lively(), 2)
    refused(unborn, good, 1, error=ValueError, match="environment 0: must be reset")


def test_moves_nothing_when_an_array_of_its_own_cannot_be_written() -> None:
    made = engine(3)
    found = made.rollout(policies(made), 2)
    for name in ("observations", "actions", "log_probs", "next_observations", "prices"):
        found[name].flags.writeable = False
        refused(made, policies(made), 2, error=RuntimeError, match="cannot be borrowed")
        found[name].flags.writeable = True
    made.rollout(policies(made), 2)
