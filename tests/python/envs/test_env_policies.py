"""Policies and pools as rivals that the engine plays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from env_parity import DEFAULT, DISABLED, DRAWN, GAMES, NEXT, SAME, WINDOWS, draw_actions, pair
from gymnasium.vector import AutoresetMode

import vecmarket as vm
from policies.nets import draw
from vecmarket import _core
from vecmarket.engine import record_episode

N = 70  # more than a shard
LOOKS_BACK = DRAWN.replace(
    observation=("demand", "last_price", "last_dispatch", "rival_offers", "hour_sin_cos")
)


def policy_for(scenario: vm.Scenario, seed: int = 0, **options: Any) -> vm.MlpPolicy:
    return draw(len(_core.feature_names(scenario)), (20, 9), seed=seed, **options)


def history(env: vm.MarketVectorEnv, steps: int, seed: int | None = 5) -> list[np.ndarray]:
    """Everything that a caller and the engine's buffers show."""
    rng = np.random.default_rng(0)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observations, rewards, terminated, truncated, infos = env.step(draw_actions(rng, env.num_envs))
        engine = env.engine
        seen += [observations, rewards, terminated, truncated, engine.dispatch.copy(), engine.prices.copy()]
        seen += [engine.profits.copy(), infos.get("final_obs", np.zeros(0))]
    return seen


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


class Sampled:
    """A sampled policy, played from Python with the keys of the engine's environments."""

    def __init__(self, policy: vm.MlpPolicy, place: int) -> None:
        self.policy, self.place = policy, place
        self.env: Any = None

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        t, _, episode = self.env.engine.clock()
        seeds = np.arange(5, 5 + len(observations))
        return self.policy.sample(observations, seed=seeds, episode=episode, step=t, agent=self.place)


class TestPolicies:
    @pytest.mark.parametrize("mode", [NEXT, SAME])
    @pytest.mark.parametrize(
        "scenario", [*GAMES.values(), LOOKS_BACK], ids=["default", "windows", "drawn", "back"]
    )
    def test_in_the_engine_and_in_python(self, scenario: vm.Scenario, mode: AutoresetMode) -> None:
        """Bit for bit: the core computes both, from the same observations."""
        policy = policy_for(scenario)
        steps = 2 * scenario.horizon + 3
        for rivals in (policy, {1: policy}, {0: policy, 2: 3.0}):
            learner = 1 if isinstance(rivals, dict) and 0 in rivals else 0
            called = _called(rivals, policy)
            inside = vm.MarketVectorEnv(N, scenario, learner=learner, rivals=rivals, autoreset_mode=mode)
            outside = vm.MarketVectorEnv(N, scenario, learner=learner, rivals=called, autoreset_mode=mode)
            assert_same(history(inside, steps), history(outside, steps))

    @pytest.mark.parametrize("mode", [NEXT, SAME])
    def test_sampled(self, mode: AutoresetMode) -> None:
        policy = policy_for(DRAWN).stochastic()
        inside = vm.MarketVectorEnv(N, DRAWN, rivals=policy, autoreset_mode=mode)
        players = {place: Sampled(policy, place) for place in (1, 2)}
        outside = vm.MarketVectorEnv(N, DRAWN, rivals=players, autoreset_mode=mode)
        for player in players.values():
            player.env = outside
        found = history(inside, 20)
        assert_same(found, history(outside, 20))
        still = history(vm.MarketVectorEnv(N, DRAWN, rivals=policy.deterministic(), autoreset_mode=mode), 20)
        assert any((a != b).any() for a, b in zip(found, still, strict=True))

    @pytest.mark.parametrize("mode", [NEXT, SAME, DISABLED])
    def test_equal_to_single_environments(self, mode: AutoresetMode) -> None:
        rivals = {"gas": policy_for(DRAWN, 1), "oil": vm.PolicyPool([policy_for(DRAWN, 2).stochastic(), 4.0])}
        ours, reference = pair(5, mode, DRAWN, rivals=rivals)
        np.testing.assert_array_equal(ours.reset(seed=3)[0], reference.reset(seed=3)[0])
        rng = np.random.default_rng(0)
        for _ in range(DRAWN.horizon if mode is DISABLED else 3 * DRAWN.horizon):
            actions = draw_actions(rng, 5)
            for a, b in zip(ours.step(actions)[:4], reference.step(actions)[:4], strict=True):
                np.testing.assert_array_equal(a, b)

    def test_threads_do_not_matter(self) -> None:
        rivals = [policy_for(DRAWN, 1).stochastic(), vm.PolicyPool([policy_for(DRAWN, 2), 4.0, "truthful"])]
        one = history(vm.MarketVectorEnv(1000, DRAWN, rivals=rivals, threads=1), 12)
        assert_same(one, history(vm.MarketVectorEnv(1000, DRAWN, rivals=rivals, threads=3), 12))

    def test_the_learner_sees_what_it_saw(self) -> None:
        env = vm.MarketVectorEnv(N, DRAWN, rivals=policy_for(DRAWN))
        assert env.engine.acting == [0]
        assert env.reset()[0].shape == (N, len(env.engine.feature_names))
        assert env.observation_space == vm.MarketVectorEnv(N, DRAWN).observation_space

    def test_a_policy_of_another_size(self) -> None:
        message = r"rivals\['gas'\]: takes 3 features, the environment shows 7"
        for rivals in (draw(3), {"gas": draw(3)}, [None, draw(3), None]):
            with pytest.raises(ValueError, match=message):
                vm.MarketVectorEnv(N, DRAWN, rivals=rivals)
            with pytest.raises(ValueError, match=message):
                vm.MarketEnv(DRAWN, rivals=rivals)
            env = vm.MarketVectorEnv(N, DRAWN, rivals=1.0)
            with pytest.raises(ValueError, match=message):
                env.rivals = rivals
            assert env.rivals == 1.0
        with pytest.raises(
            ValueError, match=r"rivals\['oil'\]: members\[1\] takes 3 features, the environment sh"
        ):
            vm.MarketVectorEnv(N, DRAWN, rivals={"oil": vm.PolicyPool([1.0, draw(3)])})

    def test_the_engine_takes_them_as_seats(self) -> None:
        policy = policy_for(DRAWN)
        seats = ["acts", policy, vm.PolicyPool([policy])]
        engine = _core.Engine(DRAWN, N, seed=5, seats=seats)
        env = vm.MarketVectorEnv(N, DRAWN, rivals=policy, autoreset_mode=SAME)
        engine.reset()
        env.reset(seed=5)
        rng = np.random.default_rng(0)
        for _ in range(9):
            actions = draw_actions(rng, N)
            env.step(actions)
            engine.step(actions[:, None].astype(np.float32), "same_step")
            np.testing.assert_array_equal(engine.dispatch, env.engine.dispatch)
        trace = record_episode(DRAWN, seats=seats)
        assert trace.acting == (0,)
        assert np.ptp(trace.offer_prices[:, 1] - trace.srmc[1]) > 0

    def test_a_state_goes_on_with_the_same_rivals_only(self) -> None:
        def env(*rivals: Any) -> vm.MarketVectorEnv:
            return vm.MarketVectorEnv(N, WINDOWS, rivals=list(rivals))

        one, other = policy_for(WINDOWS, 1).stochastic(), policy_for(WINDOWS, 2)
        mixed = vm.PolicyPool([one, other, 3.0], [1, 2, 3])
        first, second = env(one, mixed, other), env(one, mixed, other)
        history(first, 17)
        second.restore(first.snapshot())
        rng = np.random.default_rng(3)
        for _ in range(40):
            actions = draw_actions(rng, N)
            for a, b in zip(first.step(actions)[:4], second.step(actions)[:4], strict=True):
                np.testing.assert_array_equal(a, b)
        state = first.snapshot()
        copied = env(vm.MlpPolicy(one.weights, one.biases, **_rest(one)), mixed, other)
        copied.restore(state)
        for wrong in (
            env(other, mixed, other),
            env(one.deterministic(), mixed, other),
            env(one, vm.PolicyPool([one, other, 3.0]), other),
            env(one, mixed, None),
        ):
            with pytest.raises(ValueError, match="other seats"):
                wrong.restore(state)


class TestPools:
    def test_the_draw_follows_the_weights(self) -> None:
        """Markups tell who plays: a third each of truthful, 2 and 5 $/MWh, or as the weights say."""
        for weights, shares in ((None, [1 / 3] * 3), ((1, 0, 3), [0.25, 0.0, 0.75])):
            pool = vm.PolicyPool(["truthful", 2.0, 5.0], weights)
            env = vm.MarketVectorEnv(4000, DEFAULT, rivals=pool, autoreset_mode=DISABLED)
            env.engine.keep_offers()
            found = []
            env.reset(seed=1)
            for _ in range(3):
                env.step(np.zeros((4000, 2)))
                prices, _ = env.engine.offers()
                found.append(np.rint(prices - env.engine.fleet()[1])[:, 1:])
                env.reset()
            for markups in found:
                for markup, share in zip((0, 2, 5), shares, strict=True):
                    np.testing.assert_allclose((markups == markup).mean(axis=0), share, atol=0.03)
            # Agents draw each on its own, and so do the episodes of an environment.
            both = np.mean((found[0] == found[0][:, :1]).all(axis=1))
            assert both < 2 * sum(share**4 for share in shares)
            again = np.mean(found[0] == found[1])
            np.testing.assert_allclose(again, sum(share**2 for share in shares), atol=0.03)

    def test_constant_through_an_episode(self) -> None:
        pool = vm.PolicyPool([float(m) for m in range(10)])
        env = vm.MarketVectorEnv(N, WINDOWS, rivals=pool, autoreset_mode=DISABLED)
        env.engine.keep_offers()
        for _ in range(2):
            env.reset()
            played = []
            for _ in range(WINDOWS.horizon):
                env.step(np.zeros((N, 2)))
                played.append(np.rint(env.engine.offers()[0] - env.engine.fleet()[1])[:, 1:])
            assert (np.array(played) == played[0]).all()
            assert len(np.unique(played)) == 10

    def test_neither_batch_nor_mask_shifts_a_draw(self) -> None:
        pool = vm.PolicyPool([float(m) for m in range(10)])

        def markups(envs: int, seed: int, masked: bool = False) -> np.ndarray:
            env = vm.MarketVectorEnv(envs, DEFAULT, rivals=pool, autoreset_mode=DISABLED)
            env.engine.keep_offers()
            env.reset(seed=seed)
            if masked:  # the others move on to their next episode
                env.reset(options={"reset_mask": np.arange(envs) != 66})
            env.step(np.zeros((envs, 2)))
            return np.rint(env.engine.offers()[0] - env.engine.fleet()[1])[:, 1:]

        whole = markups(N, 10)
        np.testing.assert_array_equal(markups(1, 76)[0], whole[66])
        masked = markups(N, 10, masked=True)
        np.testing.assert_array_equal(masked[66], whole[66])
        assert (masked[:66] != whole[:66]).any(axis=1).mean() > 0.5

    def test_a_pool_of_one_is_its_member(self) -> None:
        policy = policy_for(DRAWN).stochastic()
        for member in (policy, 3.5, "truthful"):
            alone = history(vm.MarketVectorEnv(N, DRAWN, rivals=member), 12)
            assert_same(alone, history(vm.MarketVectorEnv(N, DRAWN, rivals=vm.PolicyPool([member])), 12))
            two = vm.PolicyPool([9.0, member], [0.0, 2.0])
            assert_same(alone, history(vm.MarketVectorEnv(N, DRAWN, rivals=two), 12))

    def test_every_member_plays_as_it_does_alone(self) -> None:
        policies = [policy_for(DRAWN, 1), policy_for(DRAWN, 2).stochastic(), policy_for(DRAWN, 3)]
        members = [*policies, 6.0, "truthful"]
        env = vm.MarketVectorEnv(500, DRAWN, rivals={"oil": vm.PolicyPool(members)}, autoreset_mode=DISABLED)
        mixed = history(env, DRAWN.horizon)
        alone = [
            history(vm.MarketVectorEnv(500, DRAWN, rivals={"oil": m}, autoreset_mode=DISABLED), DRAWN.horizon)
            for m in members
        ]
        prices = np.array(mixed[6::8])
        chosen = [(prices == np.array(one[6::8])).all(axis=0) for one in alone]
        assert np.any(chosen, axis=0).all()
        assert all(rows.any() and not rows.all() for rows in chosen)

    def test_markups_of_a_pool_widen_the_observation_space(self) -> None:
        scenario = DEFAULT.replace(observation=("last_price",))
        env = vm.MarketVectorEnv(N, scenario)
        with pytest.raises(ValueError, match="observation space"):
            env.rivals = vm.PolicyPool([500.0, 1.0])
        wide = vm.MarketVectorEnv(N, scenario, rivals=vm.PolicyPool([500.0, 1.0]))
        assert wide.observation_space.high.max() > env.observation_space.high.max()


class TestChanges:
    def test_as_if_made_anew(self) -> None:
        env = vm.MarketVectorEnv(N, DRAWN)
        one, other = policy_for(DRAWN, 1), policy_for(DRAWN, 2)
        for rivals in (
            one,
            None,
            vm.PolicyPool([one, other]),
            {"oil": other},
            2.0,
            lambda seen: one(seen),
            other,
        ):
            env.rivals = rivals
            assert env.rivals is rivals
            assert_same(history(env, 12), history(vm.MarketVectorEnv(N, DRAWN, rivals=rivals), 12))

    def test_at_once_in_a_running_episode(self) -> None:
        one, other = policy_for(WINDOWS, 1), policy_for(WINDOWS, 2)
        env = vm.MarketVectorEnv(N, WINDOWS, rivals=one)
        asked = vm.MarketVectorEnv(N, WINDOWS, rivals=lambda seen: now[0](seen))
        now = [one]
        env.reset(seed=0)
        asked.reset(seed=0)
        rng = np.random.default_rng(0)
        for step in range(20):
            if step % 5 == 3:
                now[0] = other if now[0] is one else one
                env.rivals = now[0]
            actions = draw_actions(rng, N)
            for a, b in zip(env.step(actions)[:4], asked.step(actions)[:4], strict=True):
                np.testing.assert_array_equal(a, b)

    def test_a_finished_row_ignores_its_rivals_too(self) -> None:
        env = vm.MarketVectorEnv(N, DRAWN, rivals=policy_for(DRAWN))
        env.reset(seed=0)
        for _ in range(DRAWN.horizon):
            env.step(np.zeros((N, 2)))
        _, rewards, terminated, _, infos = env.step(np.zeros((N, 2)))
        assert not rewards.any()
        assert not terminated.any()
        assert not env.engine.dispatch.any()
        assert infos == {}


def _called(rivals: Any, policy: vm.MlpPolicy) -> Any:
    """The same rivals with the policy as a callable of Python's."""
    if isinstance(rivals, dict):
        return {place: _called(rival, policy) for place, rival in rivals.items()}
    return (lambda seen: policy(seen)) if isinstance(rivals, vm.MlpPolicy) else rivals


def _rest(policy: vm.MlpPolicy) -> dict[str, Any]:
    names = ("activation", "centre", "scale", "log_std", "low", "high", "sampled")
    return {name: getattr(policy, name) for name in names}
