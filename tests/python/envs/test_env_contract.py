"""Gymnasium's vector contract where it needs no second implementation: spaces, seeds, masks, copies."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from env_parity import DEFAULT, DISABLED, DRAWN, FOUR, NEXT, SAME, WINDOWS, draw_actions, make, started, zeros
from gymnasium.vector import AutoresetMode, VectorEnv

import vecmarket as vm


class TestAttributes:
    def test_spaces_are_batched_once(self) -> None:
        env = make()
        assert isinstance(env, VectorEnv)
        assert env.num_envs == FOUR
        assert env.action_space is env.action_space
        assert env.observation_space == gym.vector.utils.batch_space(env.single_observation_space, FOUR)
        assert env.action_space == gym.vector.utils.batch_space(env.single_action_space, FOUR)
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
        assert repr(env) == f"MarketVectorEnv(vecmarket/Market-v0, num_envs={FOUR})"
        env.close()
        assert env.closed
        env.close()
        with pytest.raises(ValueError, match="render_mode"):
            make(render_mode="human")

    def test_call_get_attr_set_attr(self) -> None:
        env = started()
        assert env.get_attr("scenario") == (DEFAULT,) * FOUR
        assert env.get_attr("observation_space") == (env.single_observation_space,) * FOUR
        assert env.call("action_space") == (env.single_action_space,) * FOUR
        assert env.call("render") == (None,) * FOUR
        env.set_attr("rivals", 5.0)
        assert env.get_attr("rivals") == (5.0,) * FOUR
        env.set_attr("rivals", [2.0] * FOUR)
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

    @pytest.mark.parametrize("seed", [1.5, "a", [0, 1, 2.5, 3], np.zeros(FOUR), {0}])
    def test_bad_types(self, seed: Any) -> None:
        self.refused(TypeError, seed)

    def test_two_dimensions(self) -> None:
        self.refused(ValueError, np.zeros((FOUR, 1), int))

    @staticmethod
    def refused(error: type[Exception], seed: Any) -> None:
        """Refused by name, and nothing is reset."""
        env, twin = started(DRAWN), started(DRAWN)
        with pytest.raises(error, match="seed"):
            env.reset(seed=seed)
        actions = draw_actions(np.random.default_rng(0), FOUR)
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

    @pytest.mark.parametrize(
        "mask", [[True] * FOUR, (True,) * FOUR, True, np.ones(FOUR), np.ones(FOUR, int), "all"]
    )
    def test_bad_types(self, mask: Any) -> None:
        with pytest.raises(TypeError, match="reset_mask"):
            started().reset(options={"reset_mask": mask})

    @pytest.mark.parametrize(
        "mask", [np.ones(FOUR + 1, bool), np.ones((FOUR, 1), bool), np.array(True), np.zeros(FOUR, bool)]
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
        for start in (48, np.int64(48), np.array(48), [48] * FOUR, np.array([0, 24, 48, 72], np.int16)):
            env.reset(seed=0, options={"start": start})
            np.testing.assert_array_equal(env.engine.clock()[1], np.broadcast_to(start, FOUR))
            infos = env.step(zeros(env))[4]
            np.testing.assert_allclose(infos["demand"], np.broadcast_to(series[start], FOUR))

    @pytest.mark.parametrize("start", [-1, 24 * 21, [0, 0], np.zeros((FOUR, 1), int)])
    def test_bad_values(self, start: Any) -> None:
        with pytest.raises(ValueError, match="start"):
            started(WINDOWS).reset(options={"start": start})

    @pytest.mark.parametrize("start", [1.5, "monday", [0.0] * FOUR, [None] * FOUR])
    def test_bad_types(self, start: Any) -> None:
        with pytest.raises(TypeError, match="start"):
            started(WINDOWS).reset(options={"start": start})

    @pytest.mark.parametrize("options", [[], "", ("start",), b"", np.zeros(2), 0])
    def test_options_that_are_no_mapping(self, options: Any) -> None:
        for env in (started(WINDOWS), vm.MarketEnv(WINDOWS)):
            with pytest.raises(TypeError, match="options: must be a mapping"):
                env.reset(options=options)

    def test_unknown_option(self) -> None:
        with pytest.raises(ValueError, match=r"'strat'.*'reset_mask', 'start'"):
            started(WINDOWS).reset(options={"strat": 24})


def test_the_environments_need_no_torch() -> None:
    code = "import sys, vecmarket.envs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
