"""Policies as arrays: what they compute, where they come from, and what they refuse."""

from __future__ import annotations

import copy
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium.spaces import Box
from torch import nn

import vecmarket as vm
from policies.nets import draw, slowly
from vecmarket.training import (
    ActorCritic,
    PPOConfig,
    TrainConfig,
    as_numpy_policy,
    load_policy,
    save_policy,
    train,
)

F = 7
# Of the largest number before clipping: what sums of 64 products in single precision leave.
BOUND = 1e-5
FIELDS = ("centre", "scale", "log_std", "low", "high")


def observations(rows: int, features: int = F, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 2.0, (rows, features)).astype(np.float32)


def actor_critic(**options: Any) -> ActorCritic:
    low, high = np.full(F, -1.0, np.float32), np.linspace(0.0, 3.0, F, dtype=np.float32)
    model = ActorCritic(Box(low, high), Box(np.float32([0, -10]), np.float32([1, 10])), **options)
    with torch.no_grad():  # the head begins near zero, which tests little
        model.actor[-1].weight *= 100.0
        model.log_std += torch.tensor([-0.5, 0.25])
    return model


class TestForward:
    @pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
    @pytest.mark.parametrize("hidden", [(), (1,), (64, 64), (5, 33, 17), (256,), (16, 16, 16, 16)])
    def test_agrees_with_doubles(self, activation: str, hidden: tuple[int, ...]) -> None:
        for features in (1, 7, 16, 20):
            policy = draw(features, hidden, activation=activation)
            seen = observations(131, features)
            expected = slowly(policy, seen)
            found = policy(seen)
            assert (found.shape, found.dtype) == ((131, 2), np.float32)
            clipped = np.clip(expected, policy.low, policy.high)
            np.testing.assert_allclose(found, clipped, rtol=0, atol=BOUND * max(1.0, np.abs(expected).max()))

    @pytest.mark.parametrize("activation", ["tanh", "relu", "silu"])
    def test_agrees_with_torch(self, activation: str) -> None:
        for hidden in ((64, 64), (300,), (20, 30, 40)):
            model = actor_critic(hidden=hidden, activation=activation)
            policy = vm.MlpPolicy.from_torch(model)
            seen = observations(500)
            with torch.no_grad():
                reach = float(model.mean_action(torch.tensor(seen)).abs().max())
            np.testing.assert_allclose(
                policy(seen), as_numpy_policy(model)(seen), rtol=0, atol=BOUND * max(1.0, reach)
            )

    def test_rows_depend_on_nothing_else(self) -> None:
        policy, seen = draw(F), observations(10_000)
        whole = policy(seen, threads=1)
        np.testing.assert_array_equal(policy(seen, threads=3), whole)
        np.testing.assert_array_equal(policy(seen), whole)
        for rows in (slice(0, 1), slice(5000, 5001), slice(47, 49), slice(9999, None)):
            np.testing.assert_array_equal(policy(seen[rows]), whole[rows])
        assert policy(seen[:0]).shape == (0, 2)

    def test_any_real_dtype_and_layout(self) -> None:
        policy, seen = draw(F), observations(9)
        expected = policy(seen)
        for given in (
            seen.tolist(),
            seen.astype(np.float64),
            np.asfortranarray(seen),
            np.repeat(seen, 2, 0)[::2],
        ):
            np.testing.assert_array_equal(policy(given), expected)

    def test_actions_stay_within_bounds(self) -> None:
        policy = draw(F, log_std=[2.0, 3.0])
        for actions in (policy(observations(500)), policy.sample(observations(500), seed=0)):
            assert (actions >= policy.low).all()
            assert (actions <= policy.high).all()
        free = draw(F, low=[-np.inf] * 2, high=[np.inf] * 2)
        assert (free(observations(500)) < 0).any()

    @pytest.mark.parametrize(
        ("seen", "error", "message"),
        [
            (np.zeros(F), ValueError, r"observations: must have shape \(N, 7\), got \(7,\)"),
            (np.zeros((3, 6)), ValueError, r"observations: must have shape \(N, 7\), got \(3, 6\)"),
            (np.zeros((2, F), complex), TypeError, "observations"),
            ("text", TypeError, "observations"),
            (None, TypeError, "observations"),
            (
                [[0.0] * F, [0.0, 0.0, np.nan] + [0.0] * 4],
                ValueError,
                r"observations\[1, 2\]: must be finite, got NaN",
            ),
            (
                [[0.0] * F, [0.0, -1e300] + [0.0] * 5],
                ValueError,
                r"observations\[1, 1\]: must be at most 3\.40282\S*e\+38 in size, got -1e\+300",
            ),
        ],
    )
    def test_bad_observations(self, seen: Any, error: type[Exception], message: str) -> None:
        policy = draw(F)
        with pytest.raises(error, match=message):
            policy(seen)
        with pytest.raises(error, match=message):
            policy.sample(seen, seed=0)

    @pytest.mark.parametrize("threads", [-1, 10**9, "all", None])
    def test_bad_threads(self, threads: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="threads"):
            draw(F)(observations(2), threads=threads)

    def test_threads_at_one_policy(self) -> None:
        policy, seen = draw(F), observations(6000)
        expected = policy(seen)
        found: list[np.ndarray] = [np.empty(0)] * 4

        def ask(i: int) -> None:
            found[i] = policy(seen, threads=1 + i % 2)

        helpers = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
        for helper in helpers:
            helper.start()
        for helper in helpers:
            helper.join()
        for actions in found:
            np.testing.assert_array_equal(actions, expected)


class TestSample:
    def test_the_mean_and_the_spread(self) -> None:
        policy = draw(F, low=[-np.inf] * 2, high=[np.inf] * 2)
        seen = np.repeat(observations(1), 40_000, 0)
        noise = (policy.sample(seen, seed=3) - policy(seen)) / np.exp(policy.log_std)
        np.testing.assert_allclose(noise.mean(0), 0.0, atol=0.02)
        np.testing.assert_allclose(noise.std(0), 1.0, atol=0.02)
        assert abs(np.corrcoef(noise.T)[0, 1]) < 0.02

    def test_keys(self) -> None:
        policy, seen = draw(F), observations(5000)
        one = policy.sample(seen, seed=3, episode=2, step=5, agent=1)
        np.testing.assert_array_equal(policy.sample(seen, seed=3, episode=2, step=5, agent=1, threads=3), one)
        seeds = np.arange(3, 5003)
        np.testing.assert_array_equal(
            policy.sample(seen, seed=seeds, episode=np.full(5000, 2), step=[5] * 5000, agent=1), one
        )
        np.testing.assert_array_equal(policy.sample(seen[7:9], seed=10, episode=2, step=5, agent=1), one[7:9])
        for other in ({"seed": 4}, {"episode": 3}, {"step": 6}, {"agent": 2}):
            keys = {"seed": 3, "episode": 2, "step": 5, "agent": 1, **other}
            assert (policy.sample(seen, **keys) != one).any(axis=1).mean() > 0.5
        wrapped = policy.sample(seen[:2], seed=2**64 - 1)
        np.testing.assert_array_equal(wrapped[1], policy.sample(seen[1:2], seed=0)[0])

    @pytest.mark.parametrize(
        ("keys", "error", "message"),
        [
            ({"seed": -1}, ValueError, "seed: must be at least 0"),
            ({"seed": 2**64}, ValueError, "seed: must be at most"),
            ({"seed": 1.5}, TypeError, "seed"),
            ({"seed": [1, 2]}, ValueError, r"seed: must have shape \(3,\)"),
            ({"seed": [1, 2, -3]}, ValueError, r"seed\[2\]"),
            ({"seed": [1.0, 2.0, 3.0]}, TypeError, "seed"),
            ({"seed": 0, "step": 2**32}, ValueError, "step"),
            ({"seed": 0, "step": [0, 2**32, 0]}, ValueError, r"step\[1\]"),
            ({"seed": 0, "episode": None}, TypeError, "episode"),
            ({"seed": 0, "agent": 1 << 24}, ValueError, "agent"),
            ({"seed": 0, "agent": -1}, ValueError, "agent"),
        ],
    )
    def test_bad_keys(self, keys: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            draw(F).sample(observations(3), **keys)


class TestObject:
    def test_cannot_be_changed(self) -> None:
        weight = np.ones((2, 3), np.float32)
        policy = vm.MlpPolicy([weight], [np.zeros(2)])
        before = policy(np.ones((1, 3)))
        weight[:] = 5.0
        np.testing.assert_array_equal(policy(np.ones((1, 3))), before)
        with pytest.raises(ValueError, match="read-only"):
            policy.weights[0][0, 0] = 1.0
        with pytest.raises(AttributeError, match="low: an MlpPolicy cannot be changed"):
            policy.low = np.zeros(2)
        with pytest.raises(AttributeError):
            del policy.low

    def test_copies_are_equal(self) -> None:
        policy = draw(F, (9, 8), activation="silu", sampled=True)
        for other in (pickle.loads(pickle.dumps(policy)), copy.copy(policy), copy.deepcopy(policy)):
            assert other == policy
            assert hash(other) == hash(policy)
            assert other.sampled
            with pytest.raises(ValueError, match="read-only"):
                other.biases[0][0] = 1.0
        assert policy != draw(F, (9, 8), activation="relu", sampled=True)
        assert policy != draw(F, (9, 8), activation="silu", seed=1, sampled=True)
        assert policy != policy.deterministic()
        assert policy.deterministic().stochastic() == policy
        assert policy.stochastic() is policy
        assert policy != "policy"
        assert {policy: 1}[copy.copy(policy)] == 1

    def test_what_it_tells(self) -> None:
        policy = draw(F, (9, 8), activation="relu")
        assert repr(policy) == "MlpPolicy(7-9-8-2, relu)"
        assert repr(policy.stochastic()) == "MlpPolicy(7-9-8-2, relu, sampled)"
        assert (policy.widths, policy.num_features) == ((7, 9, 8, 2), 7)
        plain = vm.MlpPolicy([np.ones((2, 3))], [[0, 0]])
        assert (plain.activation, plain.sampled) == ("tanh", False)
        for name, value in zip(FIELDS, ([0] * 3, [1] * 3, [0] * 2, [0, -10], [1, 10]), strict=True):
            np.testing.assert_array_equal(getattr(plain, name), value)

    @pytest.mark.parametrize(
        ("weights", "biases", "options", "error", "message"),
        [
            ([], [], {}, ValueError, "one entry per layer, got 0 and 0"),
            ([np.ones((2, 3))], [], {}, ValueError, "one entry per layer, got 1 and 0"),
            (3, [], {}, TypeError, "weights: must be a sequence of arrays, got int"),
            ("ab", "ab", {}, TypeError, "weights"),
            (
                [np.ones(3)],
                [np.ones(3)],
                {},
                ValueError,
                r"weights\[0\]: must have shape \(out, in\), got \(3,\)",
            ),
            ([np.ones((2, 0))], [np.ones(2)], {}, ValueError, r"weights\[0\]"),
            ([np.ones((3, 3))], [np.ones(3)], {}, ValueError, r"weights\[0\]: must have 2 rows, got 3"),
            (
                [np.ones((2, 3))],
                [np.ones(3)],
                {},
                ValueError,
                r"biases\[0\]: must have shape \(2,\), got \(3,\)",
            ),
            (
                [np.ones((4, 3)), np.ones((2, 5))],
                [np.ones(4), np.ones(2)],
                {},
                ValueError,
                r"weights\[1\]: must have 4 columns, the width before, got 5",
            ),
            (
                [[[1, np.nan], [0, 0]]],
                [[0, 0]],
                {},
                ValueError,
                r"weights\[0\]\[0, 1\]: must be finite, got nan",
            ),
            ([[[1, 2], [0, 0]]], [[0, np.inf]], {}, ValueError, r"biases\[0\]\[1\]: must be finite, got inf"),
            ([[[1, 2j], [0, 0]]], [[0, 0]], {}, TypeError, r"weights\[0\]"),
            (
                [[[1, 0], [0, 1e39]]],
                [[0, 0]],
                {},
                ValueError,
                r"weights\[0\]\[1, 1\]: must be at most 3\.40282\S*e\+38 in size, got 1e\+39",
            ),
            (
                None,
                None,
                {"high": [1.0, 1e39]},
                ValueError,
                r"high\[1\]: must be at most .* got 1e\+39",
            ),
            (None, None, {"low": [np.nan, 0.0]}, ValueError, r"low\[0\]: must be a number, got nan"),
            (
                None,
                None,
                {"activation": "gelu"},
                ValueError,
                "activation: must be one of tanh, relu, silu, got 'gelu'",
            ),
            (None, None, {"activation": None}, ValueError, "activation"),
            (None, None, {"sampled": 1}, TypeError, "sampled"),
            (None, None, {"centre": [1.0]}, ValueError, r"centre: must have shape \(3,\), got \(1,\)"),
            (None, None, {"centre": [1.0, np.nan, 0]}, ValueError, r"centre\[1\]: must be finite, got nan"),
            (
                None,
                None,
                {"scale": [1.0, 1.0, 0.0]},
                ValueError,
                r"scale\[2\]: must be at least 1e-37, got 0",
            ),
            (None, None, {"scale": [1.0, 1.0, -1.0]}, ValueError, r"scale\[2\]"),
            (None, None, {"log_std": [0.0, 81.0]}, ValueError, r"log_std\[1\]: must be in \[-80, 80\], got"),
            (None, None, {"log_std": [-200, 0]}, ValueError, r"log_std\[0\]: must be in \[-80, 80\]"),
            (None, None, {"log_std": 0.0}, ValueError, "log_std: must have shape"),
            (None, None, {"low": [2.0, 0.0]}, ValueError, r"low\[0\]: must be at most high"),
            (None, None, {"high": [np.nan, 0.0]}, ValueError, r"high\[0\]"),
        ],
    )
    def test_bad_arrays(
        self, weights: Any, biases: Any, options: Any, error: type[Exception], message: str
    ) -> None:
        if weights is None:
            weights, biases = [np.ones((2, 3))], [np.ones(2)]
        with pytest.raises(error, match=message):
            vm.MlpPolicy(weights, biases, **options)


class TestTorch:
    def test_an_actor_critic(self) -> None:
        model = actor_critic(hidden=(9, 5), activation="relu")
        policy = vm.MlpPolicy.from_torch(model, sampled=True)
        assert (policy.widths, policy.activation, policy.sampled) == ((F, 9, 5, 2), "relu", True)
        for name, tensor in zip(
            FIELDS,
            (model.centre, model.scale, model.log_std, model.action_low, model.action_high),
            strict=True,
        ):
            np.testing.assert_array_equal(getattr(policy, name), tensor.detach().numpy())
        wider = vm.MlpPolicy.from_torch(model, high=[2.0, 20.0])
        np.testing.assert_array_equal(wider.high, [2.0, 20.0])
        np.testing.assert_array_equal(wider.scale, policy.scale)

    @pytest.mark.parametrize("log_std", [-81.0, 81.0, float("-inf")])
    def test_a_spread_out_of_range_is_refused_wherever_it_comes_from(
        self, log_std: float, tmp_path: Path
    ) -> None:
        model, path = actor_critic(), tmp_path / "policy.safetensors"
        with torch.no_grad():
            model.log_std[1] = log_std
        message = r"log_std\[1\]: must be (in \[-80, 80\]|finite), got "
        save_policy(model, path)
        with pytest.raises(ValueError, match=message):
            vm.MlpPolicy.from_torch(model)
        with pytest.raises(ValueError, match=rf"policy\.safetensors: incomplete policy: {message}"):
            vm.MlpPolicy.load(path)
        net = torch.nn.Sequential(torch.nn.Linear(3, 2))
        with pytest.raises(ValueError, match=message):
            vm.MlpPolicy.from_torch(net, log_std=[0.0, log_std])

    @pytest.mark.parametrize("end", [-80.0, 80.0])
    def test_the_narrowest_and_widest_spreads_have_a_density(self, end: float) -> None:
        scenario = vm.Scenario.default()
        engine = vm.Engine(scenario, 2)
        engine.reset()
        features = engine.observations.shape[2]
        policy = draw(features, log_std=[end, end]).stochastic()
        log_probs = engine.rollout([policy] * len(scenario.agents), 3)["log_probs"]
        # -2 end less the constant, less half a chi-squared number of two degrees
        rest = log_probs + 2 * end
        assert ((rest > -100.0) & (rest <= 0.0)).all()

    def test_a_snapshot_does_not_follow(self) -> None:
        model = actor_critic()
        policy, seen = vm.MlpPolicy.from_torch(model), observations(5)
        before = policy(seen)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 1.0
        np.testing.assert_array_equal(policy(seen), before)
        assert vm.MlpPolicy.from_torch(model) != policy

    def test_a_sequence(self) -> None:
        net = nn.Sequential(nn.Linear(F, 6), nn.SiLU(), nn.Linear(6, 2, bias=False)).double()
        policy = vm.MlpPolicy.from_torch(net, low=[-9, -9], high=[9, 9], log_std=[-1, -1])
        seen = observations(30)
        with torch.no_grad():
            expected = net(torch.tensor(seen, dtype=torch.float64)).numpy()
        np.testing.assert_allclose(policy(seen), expected, rtol=0, atol=BOUND)
        assert policy.activation == "silu"
        assert vm.MlpPolicy.from_torch(nn.Sequential(nn.Linear(3, 2))).widths == (3, 2)

    @pytest.mark.parametrize(
        ("module", "error", "message"),
        [
            (nn.Linear(3, 2), TypeError, "module: must be an ActorCritic or a Sequential, got Linear"),
            (3, TypeError, "module: .*got int"),
            (nn.Sequential(), ValueError, "module: must end with a Linear layer"),
            (nn.Sequential(nn.Linear(3, 2), nn.Tanh()), ValueError, "module: must end with a Linear layer"),
            (
                nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 2)),
                ValueError,
                r"module\[1\]: must be Tanh or ReLU or SiLU, got Dropout",
            ),
            (nn.Sequential(nn.Tanh()), ValueError, r"module\[0\]: must be Linear, got Tanh"),
            (
                nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)),
                ValueError,
                "one kind of activation, got ReLU and Tanh",
            ),
            (
                nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)),
                ValueError,
                "must have 2 rows, got 3",
            ),
        ],
    )
    def test_other_modules(self, module: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            vm.MlpPolicy.from_torch(module)


class TestFiles:
    def test_the_trainers_file(self, tmp_path: Path) -> None:
        model = actor_critic(hidden=(12, 7, 5), activation="silu")
        path = tmp_path / "policy.safetensors"
        save_policy(model, path)
        assert vm.MlpPolicy.load(path) == vm.MlpPolicy.from_torch(model)
        assert vm.MlpPolicy.load(str(path), sampled=True).sampled
        assert vm.MlpPolicy.load(path) == vm.MlpPolicy.from_torch(load_policy(path))

    def test_its_own_file(self, tmp_path: Path) -> None:
        for hidden in ((), (11,), (4, 4, 4, 4, 4, 4)):
            policy = draw(F, hidden, activation="relu", low=[-np.inf, 0.0], high=[np.inf, 1.0])
            policy.save(tmp_path / "deep" / "policy.safetensors")
            assert vm.MlpPolicy.load(tmp_path / "deep" / "policy.safetensors") == policy
        assert os.listdir(tmp_path / "deep") == ["policy.safetensors"]
        policy.save(str(tmp_path / "other"))
        assert vm.MlpPolicy.load(str(tmp_path / "other")) == policy

    def test_a_checkpoint(self, tmp_path: Path) -> None:
        config = TrainConfig(
            scenario="default",
            learner=0,
            num_envs=2,
            total_steps=40,
            ppo=PPOConfig(rollout_steps=10, epochs=1, minibatches=1, hidden=(8,), activation="relu"),
            out=tmp_path,
            name="run",
            progress=False,
            tensorboard=False,
        )
        result = train(config)
        expected = vm.MlpPolicy.from_torch(result.model)
        for path in (result.run, result.run / "checkpoint.pt", str(result.run)):
            assert vm.MlpPolicy.from_checkpoint(path) == expected
        assert vm.MlpPolicy.load(result.run / "policy.safetensors") == expected

    def test_bad_files(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.safetensors"
        with pytest.raises(FileNotFoundError, match="no such policy file"):
            vm.MlpPolicy.load(path)
        with pytest.raises(FileNotFoundError, match="no such checkpoint"):
            vm.MlpPolicy.from_checkpoint(tmp_path / "checkpoint.pt")
        path.write_bytes(b"nothing")
        with pytest.raises(ValueError, match="not a readable safetensors file"):
            vm.MlpPolicy.load(path)
        tensors = {"centre": torch.zeros(3)}
        for metadata, message in (
            (None, "not a vecmarket policy"),
            ({"format": "vecmarket-policy", "version": "99"}, "version '99'"),
            ({"format": "vecmarket-policy", "version": "1"}, "incomplete policy: 'shape'"),
            ({"format": "vecmarket-policy", "version": "1", "shape": "{"}, "incomplete policy"),
            ({"format": "vecmarket-policy", "version": "1", "shape": "[]"}, "incomplete policy"),
            (
                {"format": "vecmarket-policy", "version": "1", "shape": '{"activation": "tanh"}'},
                "incomplete policy: 'scale'",
            ),
        ):
            safetensors.torch.save_file(tensors, path, metadata)
            with pytest.raises(ValueError, match=message):
                vm.MlpPolicy.load(path)
        model = actor_critic()
        save_policy(model, path)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"actor.2.bias", b"actor.2.bits"))
        with pytest.raises(ValueError, match="damaged: the checksum does not fit"):
            vm.MlpPolicy.load(path)


class TestPool:
    def test_members(self) -> None:
        policy = draw(F)
        pool = vm.PolicyPool(
            [policy, "truthful", None, 3, np.float32(2.5)], weights=np.array([1, 2, 0, 4, 5])
        )
        assert pool.members == (policy, "truthful", "truthful", 3.0, 2.5)
        assert pool.weights == (1.0, 2.0, 0.0, 4.0, 5.0)
        assert pool == pickle.loads(pickle.dumps(pool))
        assert vm.PolicyPool((policy,)).weights is None

    @pytest.mark.parametrize(
        ("members", "weights", "error", "message"),
        [
            ([], None, ValueError, "members: must name at least one"),
            ("truthful", None, TypeError, "members: must be a sequence, got str"),
            (3.0, None, TypeError, "members: must be a sequence, got float"),
            (["honest"], None, ValueError, r"members\[0\]: unknown member 'honest'"),
            ([1.0, len], None, TypeError, r"members\[1\]: must be an MlpPolicy.*got builtin_function"),
            ([True], None, TypeError, r"members\[0\]"),
            ([np.inf], None, ValueError, r"members\[0\]: must be finite"),
            ([vm.PolicyPool([1.0])], None, TypeError, r"members\[0\].*PolicyPool"),
            ([1.0], [1.0, 2.0], ValueError, "weights: must have one entry per member, 1, got 2"),
            ([1.0, 2.0], [1.0, -2.0], ValueError, r"weights\[1\]: must be >= 0, got -2"),
            ([1.0, 2.0], [0, 0], ValueError, "weights: must not all be 0"),
            ([1.0], [np.nan], ValueError, r"weights\[0\]: must be finite"),
            ([1.0], "1", TypeError, "weights"),
            ([1.0], 1.0, TypeError, "weights"),
        ],
    )
    def test_refused(self, members: Any, weights: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            vm.PolicyPool(members, weights)
