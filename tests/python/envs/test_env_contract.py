"""Gymnasium's vector contract where it needs no second implementation: spaces, seeds, masks, copies."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from env_parity import DEFAULT, DISABLED, DRAWN, NEXT, SAME, WINDOWS, assert_same_infos, draw_actions
from gymnasium.vector import AutoresetMode, VectorEnv

import vecmarket as vm

N = 4


def make(scenario: vm.Scenario = DEFAULT, **options: Any) -> vm.MarketVectorEnv:
    return vm.MarketVectorEnv(N, scenario, **options)


def started(scenario: vm.Scenario = DEFAULT, **options: Any) -> vm.MarketVectorEnv:
    env = make(scenario, **options)
    env.reset(seed=0)
    return env


def zeros(env: vm.MarketVectorEnv) -> np.ndarray:
    return np.zeros((env.num_envs, 2), np.float32)


class TestAttributes:
    def test_spaces_are_batched_once(self) -> None:
        env = make()
        assert isinstance(env, VectorEnv)
        assert env.num_envs == N
        assert env.action_space is env.action_space
        assert env.observation_space == gym.vector.utils.batch_space(env.single_observation_space, N)
        assert env.action_space == gym.vector.utils.batch_space(env.single_action_space, N)
        assert env.single_action_space == gym.spaces.Box(np.float32([0, -10]), np.float32([1, 10]))

    @pytest.mark.parametrize("scenario", [DEFAULT, WINDOWS, DRAWN], ids=lambda s: s.name)
    @pytest.mark.parametrize("learner", [0, 2, "all"])
    def test_spaces_hold_what_is_seen(self, scenario: vm.Scenario, learner: Any) -> None:
        env = make(scenario, learner=learner)
        observations, _ = env.reset(seed=1)
        rng = np.random.default_rng(0)
        for _ in range(2 * scenario.horizon + 3):
            assert env.observation_space.contains(observations)
            observations = env.step(draw_actions(rng, env.num_envs))[0]
        box = env.single_observation_space
        assert np.isfinite(box.low).all()
        assert np.isfinite(box.high).all()

    @pytest.mark.parametrize("learner", [0, 1, 2])
    def test_spaces_do_not_depend_on_who_plays_the_rivals(self, learner: int) -> None:
        spaces = {
            str(make(DRAWN, learner=learner, rivals=rivals).single_observation_space)
            for rivals in (None, 4.0, lambda seen: np.zeros((len(seen), 2)))
        }
        assert len(spaces) == 1

    @pytest.mark.parametrize(
        ("spelling", "mode"),
        [
            *((m, m) for m in AutoresetMode),
            *((m.name, m) for m in AutoresetMode),
            *((m.value, m) for m in AutoresetMode),
            ("next_step", NEXT),
            ("same-step", SAME),
            ("same step", SAME),
            ("disabled", DISABLED),
        ],
    )
    def test_autoreset_mode(self, spelling: Any, mode: AutoresetMode) -> None:
        env = make(autoreset_mode=spelling)
        assert env.autoreset_mode is mode
        assert env.metadata["autoreset_mode"] is mode

    def test_autoreset_mode_is_next_step_unless_told(self) -> None:
        assert make().autoreset_mode is NEXT
        make(autoreset_mode=SAME)
        assert vm.MarketVectorEnv.metadata["autoreset_mode"] is NEXT

    @pytest.mark.parametrize("mode", ["next", "", None, 1, "next_step_"[:-2]])
    def test_autoreset_mode_refused(self, mode: Any) -> None:
        with pytest.raises(ValueError, match='"next_step", "same_step", "disabled"'):
            make(autoreset_mode=mode)

    def test_spec_render_mode_and_close(self) -> None:
        env = make()
        assert env.render_mode is None
        assert env.metadata["render_modes"] == []
        assert env.render() is None
        env.spec = gym.spec("vecmarket/Market-v0")
        assert env.unwrapped.spec is env.spec
        assert repr(env) == f"MarketVectorEnv(vecmarket/Market-v0, num_envs={N})"
        env.close()
        assert env.closed
        env.close()
        with pytest.raises(ValueError, match="render_mode"):
            make(render_mode="human")

    def test_call_get_attr_set_attr(self) -> None:
        env = started()
        assert env.get_attr("scenario") == (DEFAULT,) * N
        assert env.get_attr("observation_space") == (env.single_observation_space,) * N
        assert env.call("action_space") == (env.single_action_space,) * N
        assert env.call("render") == (None,) * N
        env.set_attr("rivals", 5.0)
        assert env.get_attr("rivals") == (5.0,) * N
        env.set_attr("rivals", [2.0] * N)
        assert env.rivals == 2.0
        with pytest.raises(ValueError, match="num_envs=4"):
            env.set_attr("rivals", [2.0])
        with pytest.raises(ValueError, match="equal"):
            env.set_attr("rivals", [2.0, 2.0, 3.0, 2.0])
        assert env.rivals == 2.0

    @pytest.mark.parametrize("num_envs", [0, -1, 2.5, "3"])
    def test_num_envs_refused(self, num_envs: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="num_envs"):
            vm.MarketVectorEnv(num_envs)

    @pytest.mark.parametrize("limit", [0, -2, 1.5])
    def test_max_episode_steps_refused(self, limit: Any) -> None:
        with pytest.raises((ValueError, TypeError), match="max_episode_steps"):
            make(max_episode_steps=limit)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_threads(self, threads: int) -> None:
        assert make(threads=threads).engine.threads == threads

    def test_scenario_by_name(self) -> None:
        assert vm.MarketVectorEnv(2).scenario == vm.Scenario.default()
        assert vm.MarketVectorEnv(2, "competitive").scenario == vm.Scenario.competitive()
        with pytest.raises(ValueError, match="nowhere"):
            vm.MarketVectorEnv(2, "nowhere")
        with pytest.raises(TypeError, match="scenario"):
            vm.MarketVectorEnv(2, {"generators": []})  # type: ignore[arg-type]


class TestSeeds:
    def test_np_random_follows_the_seed(self) -> None:
        env = make()
        env.reset(seed=17)
        assert env.np_random_seed == 17
        first = env.np_random.random()
        env.reset()
        assert env.np_random_seed == 17
        env.reset(seed=[None, 17, 3, 4])
        assert env.np_random_seed == 17
        assert env.np_random.random() == first

    def test_without_a_seed_the_system_gives_one(self) -> None:
        seen = {tuple(make(DRAWN).reset()[0].ravel()) for _ in range(4)}
        assert len(seen) == 4

    def test_the_seed_from_the_system_repeats_the_run(self) -> None:
        env, other = make(DRAWN), make(DRAWN)
        assert env.np_random_seed is not None
        np.testing.assert_array_equal(env.reset()[0], other.reset(seed=env.np_random_seed)[0])

    def test_some_none_before_any_seed(self) -> None:
        """A None in the first list takes a seed from the system, too."""
        seen = {tuple(make(DRAWN).reset(seed=[None, 1, 1, 1])[0][0]) for _ in range(4)}
        assert len(seen) == 4

    @pytest.mark.parametrize("seed", [-1, np.int64(-3), [0, 1, -2, 3], [0, 1], [0] * 5, [], 2**64])
    def test_bad_values(self, seed: Any) -> None:
        self.refused(ValueError, seed)

    @pytest.mark.parametrize("seed", [1.5, "a", [0, 1, 2.5, 3], np.zeros(N), {0}])
    def test_bad_types(self, seed: Any) -> None:
        self.refused(TypeError, seed)

    def test_two_dimensions(self) -> None:
        self.refused(ValueError, np.zeros((N, 1), int))

    @staticmethod
    def refused(error: type[Exception], seed: Any) -> None:
        """Refused by name, and nothing is reset."""
        env, twin = started(DRAWN), started(DRAWN)
        with pytest.raises(error, match="seed"):
            env.reset(seed=seed)
        actions = draw_actions(np.random.default_rng(0), N)
        for _ in range(6):
            np.testing.assert_array_equal(env.step(actions)[0], twin.step(actions)[0])
        assert env.np_random_seed == 0


class TestPartialResets:
    def test_the_other_rows_stay(self) -> None:
        env = started(DRAWN)
        observations = env.step(zeros(env))[0]
        mask = np.array([False, True, False, True])
        after, infos = env.reset(options={"reset_mask": mask})
        assert infos == {}
        np.testing.assert_array_equal(after[~mask], observations[~mask])
        assert (after[mask] != observations[mask]).any(axis=1).all()

    def test_options_stay(self) -> None:
        env = started(WINDOWS)
        options = {"reset_mask": np.array([True, False, False, False]), "start": 24}
        before = copy.deepcopy(options)
        env.reset(options=options)
        assert list(options) == list(before)
        np.testing.assert_array_equal(options["reset_mask"], before["reset_mask"])
        assert options["start"] == 24

    @pytest.mark.parametrize("mask", [[True] * N, (True,) * N, True, np.ones(N), np.ones(N, int), "all"])
    def test_bad_types(self, mask: Any) -> None:
        with pytest.raises(TypeError, match="reset_mask"):
            started().reset(options={"reset_mask": mask})

    @pytest.mark.parametrize(
        "mask", [np.ones(N + 1, bool), np.ones((N, 1), bool), np.array(True), np.zeros(N, bool)]
    )
    def test_bad_values(self, mask: Any) -> None:
        with pytest.raises(ValueError, match="reset_mask"):
            started().reset(options={"reset_mask": mask})

    def test_before_the_first_reset(self) -> None:
        """What a first, partial reset leaves out cannot be stepped."""
        env = make()
        mask = np.array([True, True, False, True])
        env.reset(seed=0, options={"reset_mask": mask})
        with pytest.raises(ValueError, match="reset"):
            env.step(zeros(env))
        env.reset(options={"reset_mask": ~mask})
        env.step(zeros(env))

    def test_next_step_forgets_a_finished_row_that_was_reset(self) -> None:
        env = started()
        for _ in range(DEFAULT.horizon):
            terminated = env.step(zeros(env))[2]
        assert terminated.all()
        mask = np.array([True, False, False, True])
        env.reset(options={"reset_mask": mask})
        infos = env.step(zeros(env))[4]
        np.testing.assert_array_equal(infos["_profit"], mask)


class TestStart:
    def test_one_for_all_and_one_per_row(self) -> None:
        env = make(WINDOWS.replace(demand=vm.Demand(WINDOWS.demand.series_mw)))
        series = np.array(WINDOWS.demand.series_mw)
        for start in (48, np.int64(48), np.array(48), [48] * N, np.array([0, 24, 48, 72], np.int16)):
            env.reset(seed=0, options={"start": start})
            np.testing.assert_array_equal(env.engine.clock()[1], np.broadcast_to(start, N))
            infos = env.step(zeros(env))[4]
            np.testing.assert_allclose(infos["demand"], np.broadcast_to(series[start], N))

    @pytest.mark.parametrize("start", [-1, 24 * 21, [0, 0], np.zeros((N, 1), int)])
    def test_bad_values(self, start: Any) -> None:
        with pytest.raises(ValueError, match="start"):
            started(WINDOWS).reset(options={"start": start})

    @pytest.mark.parametrize("start", [1.5, "monday", [0.0] * N, [None] * N])
    def test_bad_types(self, start: Any) -> None:
        with pytest.raises(TypeError, match="start"):
            started(WINDOWS).reset(options={"start": start})

    def test_unknown_option(self) -> None:
        with pytest.raises(ValueError, match=r"'strat'.*'reset_mask', 'start'"):
            started(WINDOWS).reset(options={"strat": 24})


class TestSteps:
    def test_before_the_first_reset(self) -> None:
        env = make()
        with pytest.raises(ValueError, match="reset"):
            env.step(zeros(env))

    def test_next_step_ignores_the_action_of_a_row_it_resets(self) -> None:
        env, twin = started(), started()
        for _ in range(DEFAULT.horizon):
            env.step(zeros(env))
            twin.step(zeros(twin))
        observations, rewards, terminated, truncated, infos = env.step(zeros(env))
        np.testing.assert_array_equal(observations, twin.step(zeros(twin) + 7)[0])
        assert not rewards.any()
        assert not terminated.any()
        assert not truncated.any()
        assert infos == {}

    def test_one_finished_row_refuses_the_call(self) -> None:
        env, twin = started(autoreset_mode=DISABLED), started(autoreset_mode=DISABLED)
        late = np.array([False, True, True, True])
        for e in (env, twin):
            e.step(zeros(e))
            e.reset(options={"reset_mask": late})
            for _ in range(DEFAULT.horizon - 1):
                terminated = e.step(zeros(e))[2]
        np.testing.assert_array_equal(terminated, ~late)
        with pytest.raises(ValueError, match="environment 0: its episode has ended"):
            env.step(zeros(env))
        for e in (env, twin):
            e.reset(options={"reset_mask": ~late})
        for mine, other in zip(env.step(zeros(env))[:4], twin.step(zeros(twin))[:4], strict=True):
            np.testing.assert_array_equal(mine, other)

    def test_same_step_returns_the_end_and_the_beginning(self) -> None:
        env, disabled = started(autoreset_mode=SAME), started(autoreset_mode=DISABLED)
        for step in range(DEFAULT.horizon):
            observations, rewards, terminated, _, infos = env.step(zeros(env))
            last, last_rewards, _, _, last_infos = disabled.step(zeros(env))
            if step < DEFAULT.horizon - 1:
                assert not any("final" in key for key in infos)
        assert terminated.all()
        np.testing.assert_array_equal(rewards, last_rewards)
        np.testing.assert_array_equal(infos["final_obs"], last)
        assert infos["final_obs"].dtype == np.float32
        np.testing.assert_array_equal(infos["_final_obs"], np.ones(N, bool))
        for key, value in last_infos.items():
            np.testing.assert_array_equal(infos["final_info"][key], value)
        np.testing.assert_array_equal(observations, disabled.reset()[0])

    def test_infos_are_arrays_with_masks(self) -> None:
        env = started()
        infos = env.step(zeros(env))[4]
        facts = ("profit", "price", "demand", "dispatch", "unserved")
        assert set(infos) == {*facts, *(f"_{fact}" for fact in facts)}
        for fact in facts:
            assert infos[fact].dtype == np.float64
            assert infos[fact].shape == infos[f"_{fact}"].shape == (N,)
            assert infos[f"_{fact}"].all()

    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "g", "i1", "i8", "u2", "?"])
    def test_any_real_dtype(self, dtype: str) -> None:
        env, twin = started(), started()
        actions = np.array([[0, 1], [1, 0], [0, 0], [1, 1]], dtype)
        for mine, other in zip(env.step(actions)[:4], twin.step(actions.astype(np.float32))[:4], strict=True):
            np.testing.assert_array_equal(mine, other)

    def test_any_layout(self) -> None:
        base = draw_actions(np.random.default_rng(0), N)
        wanted = started().step(base)[1]
        for actions in (np.asfortranarray(base), np.repeat(base, 2, axis=0)[::2], base.tolist()):
            np.testing.assert_array_equal(started().step(actions)[1], wanted)
        frozen = base.copy()
        frozen.flags.writeable = False
        np.testing.assert_array_equal(started().step(frozen)[1], wanted)

    def test_float32_is_not_copied(self) -> None:
        """The engine reads the very buffer that it is given."""
        from vecmarket.envs.arguments import as_actions

        actions = np.zeros((N, 2), np.float32)
        assert as_actions("actions", actions, (N, 2)) is actions

    def test_a_finite_action_outside_counts_as_the_nearest_legal_one(self) -> None:
        far = np.array([[-5.0, 1e300], [9.0, -1e300], [1e300, 99.0], [0.5, 10.0]])
        near = np.array([[0.0, 10.0], [1.0, -10.0], [1.0, 10.0], [0.5, 10.0]])
        np.testing.assert_array_equal(started().step(far)[1], started().step(near)[1])

    @pytest.mark.parametrize("shape", [(N,), (N, 3), (N + 1, 2), (2, N), (1, N, 2), ()])
    def test_wrong_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"actions.*\(4, 2\)"):
            started().step(np.zeros(shape, np.float32))

    @pytest.mark.parametrize("dtype", ["c8", "O", "U1", "M8[s]"])
    def test_wrong_dtype(self, dtype: str) -> None:
        with pytest.raises(TypeError, match="actions"):
            started().step(np.zeros((N, 2), dtype))

    def test_ragged(self) -> None:
        with pytest.raises(ValueError, match="actions"):
            started().step([[0.0, 0.0], [0.0], [0.0, 0.0], [0.0, 0.0]])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_not_finite(self, bad: float, dtype: str) -> None:
        env, twin = started(), started()
        actions = np.zeros((N, 2), dtype)
        actions[2, 1] = bad
        with pytest.raises(ValueError, match="environment 2"):
            env.step(actions)
        for mine, other in zip(env.step(zeros(env))[:4], twin.step(zeros(twin))[:4], strict=True):
            np.testing.assert_array_equal(mine, other)


class TestCopies:
    def test_what_was_handed_out_stays(self) -> None:
        env = started(copy=True)
        kept = [env.reset(seed=0)[0]]
        rng = np.random.default_rng(0)
        for _ in range(9):
            *arrays, infos = env.step(draw_actions(rng, N))
            kept += [*arrays, *infos.values()]
        before = [array.copy() for array in kept]
        for _ in range(9):
            env.step(draw_actions(rng, N))
        env.reset()
        for array, was in zip(kept, before, strict=True):
            np.testing.assert_array_equal(array, was)

    @pytest.mark.parametrize("mode", [NEXT, SAME])
    def test_writing_into_what_was_handed_out_changes_nothing(self, mode: AutoresetMode) -> None:
        env, twin = make(autoreset_mode=mode), make(autoreset_mode=mode)
        env.reset(seed=0)[0][:] = 9
        twin.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(15):
            actions = draw_actions(rng, N)
            mine, other = env.step(actions), twin.step(actions)
            for a, b in zip(mine[:4], other[:4], strict=True):
                np.testing.assert_array_equal(a, b)
                a[:] = 1
            for key, value in mine[4].items():
                if isinstance(value, np.ndarray):
                    np.testing.assert_array_equal(value, other[4][key])
                    value[:] = 0

    def test_live_arrays(self) -> None:
        env = started(copy=False)
        observations, rewards, terminated, truncated, infos = env.step(zeros(env))
        before = observations.copy()
        again = env.step(np.tile(np.float32([0.5, 1.0]), (N, 1)))
        for live, other in zip((observations, rewards, terminated, truncated), again[:4], strict=True):
            assert np.shares_memory(live, other)
        assert (observations != before).any()
        np.testing.assert_array_equal(observations, env.observations)
        assert np.shares_memory(infos["profit"], again[4]["profit"])
        assert np.shares_memory(env.reset()[0], observations)


class TestSnapshots:
    @pytest.mark.parametrize("mode", [NEXT, SAME])
    @pytest.mark.parametrize("learner", [1, "all"])
    @pytest.mark.parametrize("steps", [DRAWN.horizon, DRAWN.horizon + 3])
    def test_goes_on_exactly(self, mode: AutoresetMode, learner: Any, steps: int) -> None:
        """From the end of an episode, and from the middle of one."""
        env = started(DRAWN, autoreset_mode=mode, learner=learner)
        rng = np.random.default_rng(0)
        for _ in range(steps):
            env.step(draw_actions(rng, env.num_envs))
        env.np_random.random(3)
        state, seen = env.snapshot(), env.observations
        other = make(DRAWN, autoreset_mode=mode, learner=learner)
        other.restore(state)
        np.testing.assert_array_equal(other.observations, seen)
        assert other.np_random.random() == env.np_random.random()
        assert other.np_random_seed == env.np_random_seed
        for _ in range(11):
            actions = draw_actions(rng, env.num_envs)
            *arrays, infos = env.step(actions)
            *other_arrays, other_infos = other.step(actions)
            for a, b in zip(arrays, other_arrays, strict=True):
                np.testing.assert_array_equal(a, b)
            assert_same_infos(infos, other_infos)
        np.testing.assert_array_equal(env.reset()[0], other.reset()[0])

    def test_other_generators(self) -> None:
        env, other = started(), make()
        env.np_random = np.random.Generator(np.random.MT19937(5))
        other.restore(env.snapshot())
        assert other.np_random.random() == env.np_random.random()

    def test_refused(self) -> None:
        env, twin = started(DRAWN), started(DRAWN)
        state = env.snapshot()
        for bad in (b"", b"abc", state[:20], state[:40] + b"!" + state[41:], state[:-5]):
            with pytest.raises(ValueError, match=r"state|snapshot"):
                env.restore(bad)
        with pytest.raises(TypeError, match="state"):
            env.restore("abc")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"num_envs|environments"):
            env.restore(vm.MarketVectorEnv(N + 1, DRAWN).snapshot())
        actions = draw_actions(np.random.default_rng(0), N)
        np.testing.assert_array_equal(env.step(actions)[0], twin.step(actions)[0])


def test_the_environments_need_no_torch() -> None:
    code = "import sys, vecmarket.envs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
