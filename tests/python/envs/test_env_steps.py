"""Stepping: what comes back, in which arrays, from which actions; copies, live arrays and snapshots."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from env_parity import (
    DEFAULT,
    DISABLED,
    DRAWN,
    FOUR,
    NEXT,
    SAME,
    assert_same_infos,
    draw_actions,
    make,
    started,
    zeros,
)
from gymnasium.vector import AutoresetMode

import vecmarket as vm
from vecmarket.envs.state import pack


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
        np.testing.assert_array_equal(observations, twin.step(zeros(twin) + np.nan)[0])
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
        np.testing.assert_array_equal(infos["_final_obs"], np.ones(FOUR, bool))
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
            assert infos[fact].shape == infos[f"_{fact}"].shape == (FOUR,)
            assert infos[f"_{fact}"].all()

    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "g", "i1", "i8", "u2", "?"])
    def test_any_real_dtype(self, dtype: str) -> None:
        env, twin = started(), started()
        actions = np.array([[0, 1], [1, 0], [0, 0], [1, 1]], dtype)
        for mine, other in zip(env.step(actions)[:4], twin.step(actions.astype(np.float32))[:4], strict=True):
            np.testing.assert_array_equal(mine, other)

    def test_any_layout(self) -> None:
        base = draw_actions(np.random.default_rng(0), FOUR)
        wanted = started().step(base)[1]
        for actions in (np.asfortranarray(base), np.repeat(base, 2, axis=0)[::2], base.tolist()):
            np.testing.assert_array_equal(started().step(actions)[1], wanted)
        unaligned = np.frombuffer(b"." + base.tobytes(), np.uint8)[1:].view(np.float32).reshape(base.shape)
        assert not unaligned.flags.aligned
        np.testing.assert_array_equal(started().step(unaligned)[1], wanted)
        frozen = base.copy()
        frozen.flags.writeable = False
        np.testing.assert_array_equal(started().step(frozen)[1], wanted)

    def test_float32_is_not_copied(self) -> None:
        """The engine reads the very buffer that it is given."""
        from vecmarket.checks import action_array

        actions = np.zeros((FOUR, 2), np.float32)
        assert action_array("actions", actions, (FOUR, 2)) is actions

    def test_a_finite_action_outside_counts_as_the_nearest_legal_one(self) -> None:
        far = np.array([[-5.0, 1e300], [9.0, -1e300], [1e300, 99.0], [0.5, 10.0]])
        near = np.array([[0.0, 10.0], [1.0, -10.0], [1.0, 10.0], [0.5, 10.0]])
        np.testing.assert_array_equal(started().step(far)[1], started().step(near)[1])

    @pytest.mark.parametrize("shape", [(FOUR,), (FOUR, 3), (FOUR + 1, 2), (2, FOUR), (1, FOUR, 2), ()])
    def test_wrong_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"actions.*\(4, 2\)"):
            started().step(np.zeros(shape, np.float32))

    @pytest.mark.parametrize("dtype", ["c8", "O", "U1", "M8[s]"])
    def test_wrong_dtype(self, dtype: str) -> None:
        with pytest.raises(TypeError, match="actions"):
            started().step(np.zeros((FOUR, 2), dtype))

    def test_ragged(self) -> None:
        with pytest.raises(ValueError, match="actions"):
            started().step([[0.0, 0.0], [0.0], [0.0, 0.0], [0.0, 0.0]])

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_not_finite(self, bad: float, dtype: str) -> None:
        env, twin = started(), started()
        actions = np.zeros((FOUR, 2), dtype)
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
            *arrays, infos = env.step(draw_actions(rng, FOUR))
            kept += [*arrays, *infos.values()]
        before = [array.copy() for array in kept]
        for _ in range(9):
            env.step(draw_actions(rng, FOUR))
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
            actions = draw_actions(rng, FOUR)
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
        again = env.step(np.tile(np.float32([0.5, 1.0]), (FOUR, 1)))
        for live, other in zip((observations, rewards, terminated, truncated), again[:4], strict=True):
            assert np.shares_memory(live, other)
        assert (observations != before).any()
        np.testing.assert_array_equal(observations, env.observations)
        assert np.shares_memory(infos["profit"], again[4]["profit"])
        assert np.shares_memory(env.reset()[0], observations)

    def test_the_infos_are_a_dictionary_of_their_own(self) -> None:
        env = started(copy=False)
        env.step(zeros(env))[4].clear()
        assert "profit" in env.step(zeros(env))[4]

    def test_the_engine_knows_what_a_step_resets(self) -> None:
        """Also when somebody else has stepped it."""
        env = started()
        for _ in range(DEFAULT.horizon):
            env.engine.step(np.zeros((FOUR, 1, 2), np.float32), "next_step")
        mask = np.array([True, False, False, True])
        env.engine.reset(mask=mask)
        infos = env.step(zeros(env))[4]
        np.testing.assert_array_equal(infos["_profit"], mask)
        assert env.step(zeros(env))[4]["_profit"].all()

    def test_the_mask_that_all_steps_share_cannot_be_written(self) -> None:
        env = started(copy=False)
        infos = env.step(zeros(env))[4]
        with pytest.raises(ValueError, match="read-only"):
            infos["_profit"][0] = False
        assert env.step(zeros(env))[4]["_price"].all()


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

    @pytest.mark.parametrize("number", [-1, 10**60])
    @pytest.mark.parametrize("field", ["state", "inc"])
    def test_a_generator_that_cannot_be(self, field: str, number: int) -> None:
        """Also where the checksum fits."""
        env = started()
        generator = env.np_random.bit_generator.state
        generator["state"][field] = number
        fake: Any = SimpleNamespace(bit_generator=SimpleNamespace(state=generator))
        with pytest.raises(ValueError, match="state: a damaged snapshot"):
            env.restore(pack(env.engine.snapshot(), fake, 0))

    @pytest.mark.parametrize("kind", ["seed", "Generator", "nonsense", 3])
    def test_a_bit_generator_that_is_none(self, kind: Any) -> None:
        env = started()
        fake: Any = SimpleNamespace(bit_generator=SimpleNamespace(state={"bit_generator": kind}))
        with pytest.raises(ValueError, match="state: a damaged snapshot"):
            env.restore(pack(env.engine.snapshot(), fake, 0))

    def test_every_byte_counts(self) -> None:
        env = started()
        state = env.snapshot()
        for place in range(0, len(state), 7):
            damaged = bytearray(state)
            damaged[place] ^= 4
            with pytest.raises(ValueError, match="state: "):
                env.restore(bytes(damaged))

    def test_refused(self) -> None:
        env, twin = started(DRAWN), started(DRAWN)
        state = env.snapshot()
        for bad in (b"", b"abc", state[:20], state[:40] + b"!" + state[41:], state[:-5]):
            with pytest.raises(ValueError, match=r"state|snapshot"):
                env.restore(bad)
        with pytest.raises(TypeError, match="state"):
            env.restore("abc")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"num_envs|environments"):
            env.restore(vm.MarketVectorEnv(FOUR + 1, DRAWN).snapshot())
        actions = draw_actions(np.random.default_rng(0), FOUR)
        np.testing.assert_array_equal(env.step(actions)[0], twin.step(actions)[0])
