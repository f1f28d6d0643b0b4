"""Who plays: learners, rivals in the engine and in Python, changed between episodes, and all as learners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from env_parity import DEFAULT, DISABLED, DRAWN, NEXT, SAME, WINDOWS, draw_actions
from gymnasium.vector import AutoresetMode

import vecmarket as vm
from vecmarket.envs.seats import learner_place, take_seats

N = 4


def truthful(observations: np.ndarray) -> np.ndarray:
    return np.zeros((len(observations), 2))


def play(env: vm.MarketVectorEnv, steps: int = 15, seed: int = 0) -> list[Any]:
    """Everything that happens in a fixed sequence of steps."""
    rng = np.random.default_rng(seed)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        *arrays, infos = env.step(draw_actions(rng, env.num_envs))
        seen += [*arrays, *infos.values()]
    return seen


def assert_equal(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        if isinstance(a, dict):
            assert_equal(list(a.values()), list(b.values()))
        else:
            np.testing.assert_array_equal(a, b)


class TestSeats:
    @pytest.mark.parametrize(
        ("rivals", "engine"),
        [
            (None, ("acts", "truthful", "truthful")),
            ("truthful", ("acts", "truthful", "truthful")),
            (2, ("acts", 2.0, 2.0)),
            (np.float32(2.5), ("acts", 2.5, 2.5)),
            ([None, 1.0, "truthful"], ("acts", 1.0, "truthful")),
            ((1.0, None), ("acts", 1.0, "truthful")),
            (np.array([1.0, 2.0]), ("acts", 1.0, 2.0)),
            ({"oil": 4.0}, ("acts", "truthful", 4.0)),
            ({1: 4.0, "coal": None}, ("acts", 4.0, "truthful")),
            (truthful, ("acts", "acts", "acts")),
            ({"gas": truthful}, ("acts", "acts", "truthful")),
        ],
    )
    def test_forms(self, rivals: Any, engine: tuple[Any, ...]) -> None:
        seats = take_seats(DRAWN, 0, rivals)
        assert seats.engine == engine
        assert set(seats.bidders) == {p for p, seat in enumerate(engine) if p and seat == "acts"}

    def test_a_shorter_list_leaves_out_the_learner(self) -> None:
        assert take_seats(DRAWN, 1, [3.0, 4.0]).engine == (3.0, "acts", 4.0)

    @pytest.mark.parametrize(
        ("rivals", "error", "message"),
        [
            ("honest", ValueError, r"rivals\['gas'\]: unknown rival 'honest'"),
            (np.nan, ValueError, r"rivals\['gas'\].*finite"),
            (np.inf, ValueError, r"rivals\['gas'\].*finite"),
            (True, TypeError, r"rivals\['gas'\]"),
            (object(), TypeError, r"rivals\['gas'\].*object"),
            ([None, 1.0, b"x"], TypeError, r"rivals\['oil'\]"),
            ([1.0], ValueError, "one per agent"),
            ([None] * 4, ValueError, "one per agent"),
            ([1.0, None, None], ValueError, r"rivals\['coal'\]: is the learner"),
            ({"coal": 1.0}, ValueError, r"rivals\['coal'\]: is the learner"),
            ({"coals": 1.0}, ValueError, "coals"),
            ({5: 1.0}, ValueError, "5"),
            ({"oil": 1.0, 2: 1.0}, ValueError, "'oil' is given twice"),
        ],
    )
    def test_refused(self, rivals: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            take_seats(DRAWN, 0, rivals)
        env = vm.MarketVectorEnv(N, DRAWN, rivals=1.0)
        with pytest.raises(error, match=message):
            env.rivals = rivals
        assert env.rivals == 1.0

    @pytest.mark.parametrize(
        ("rivals", "error"), [(10**400, ValueError), (b"xx", TypeError), ([np.ones(2), None], TypeError)]
    )
    def test_numbers_that_are_none(self, rivals: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=r"rivals\['gas'\]"):
            take_seats(DRAWN, 0, rivals)

    def test_learners(self) -> None:
        assert learner_place(DRAWN, "gas") == learner_place(DRAWN, np.int8(1)) == 1
        assert learner_place(DRAWN, "all") is None

    @pytest.mark.parametrize("learner", [-1, 3, "steam"])
    def test_no_such_learner(self, learner: Any) -> None:
        with pytest.raises(ValueError, match=str(learner)):
            learner_place(DRAWN, learner)

    @pytest.mark.parametrize("learner", [None, 1.0, True, [0]])
    def test_no_learner_at_all(self, learner: Any) -> None:
        with pytest.raises(TypeError, match="learner"):
            learner_place(DRAWN, learner)


class TestRivals:
    @pytest.mark.parametrize("mode", [NEXT, SAME])
    def test_truthful_in_python_is_truthful_in_the_engine(self, mode: AutoresetMode) -> None:
        inside = vm.MarketVectorEnv(N, DRAWN, learner=1, autoreset_mode=mode)
        for rivals in (truthful, {"oil": truthful}, {"coal": truthful}):
            outside = vm.MarketVectorEnv(N, DRAWN, learner=1, rivals=rivals, autoreset_mode=mode)
            assert_equal(play(inside), play(outside))

    def test_a_markup_in_python_is_that_markup_in_the_engine(self) -> None:
        """As near as float32 actions come to it."""
        a1 = np.arctanh(10.0 / 50.0)
        inside = vm.MarketVectorEnv(N, DEFAULT, learner=4, rivals=10.0)
        outside = vm.MarketVectorEnv(N, DEFAULT, learner=4, rivals=lambda seen: np.tile([0.0, a1], (N, 1)))
        for a, b in zip(play(inside), play(outside), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    def test_markups_move_the_price(self) -> None:
        prices = []
        for markup in (0.0, 5.0, 10.0):
            env = vm.MarketVectorEnv(N, DEFAULT.replace(demand=vm.Demand((70.0,) * 6)), rivals=markup)
            env.reset(seed=0)
            prices.append(env.step(np.zeros((N, 2)))[4]["price"])
        np.testing.assert_allclose(prices[1], prices[0] + 5.0)
        np.testing.assert_allclose(prices[2], prices[0] + 10.0)

    def test_each_is_asked_once_a_step_with_what_it_sees(self) -> None:
        asked: list[np.ndarray] = []

        def watch(observations: np.ndarray) -> np.ndarray:
            asked.append(observations)
            return truthful(observations)

        env = vm.MarketVectorEnv(N, DRAWN, learner=0, rivals={"oil": watch}, copy=False)
        every = vm.MarketVectorEnv(N, DRAWN, learner="all")
        seen = every.reset(seed=0)[0].reshape(N, 3, -1)
        env.reset(seed=0)
        assert asked == []
        for step in range(3):
            env.step(np.zeros((N, 2)))
            assert len(asked) == step + 1
            assert (asked[step].dtype, asked[step].flags.c_contiguous) == (np.float32, True)
            np.testing.assert_array_equal(asked[step], seen[:, 2])
            seen = every.step(np.zeros((3 * N, 2)))[0].reshape(N, 3, -1)

    def test_a_rival_may_scribble_on_what_it_is_shown(self) -> None:
        def scribble(observations: np.ndarray) -> np.ndarray:
            observations[:] = -1
            return np.zeros((len(observations), 2))

        plain = vm.MarketVectorEnv(N, DRAWN, rivals={"oil": truthful})
        assert_equal(play(vm.MarketVectorEnv(N, DRAWN, rivals={"oil": scribble})), play(plain))

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (np.zeros((N, 3)), ValueError),
            (np.zeros(2), ValueError),
            (None, TypeError),
            (np.zeros((N, 2), complex), TypeError),
            (np.full((N, 2), np.nan), ValueError),
        ],
    )
    def test_bad_answers(self, answer: Any, error: type[Exception]) -> None:
        good = [True]
        env = vm.MarketVectorEnv(N, DRAWN, rivals={"gas": lambda seen: truthful(seen) if good[0] else answer})
        twin = vm.MarketVectorEnv(N, DRAWN)
        env.reset(seed=0)
        twin.reset(seed=0)
        good[0] = False
        with pytest.raises(error, match=r"gas|agent 1"):
            env.step(np.zeros((N, 2)))
        good[0] = True
        np.testing.assert_array_equal(env.step(np.zeros((N, 2)))[0], twin.step(np.zeros((N, 2)))[0])


class TestChangedBetweenEpisodes:
    CHANGES = (None, 3.0, truthful, {"gas": 7.0, "oil": truthful}, [1.0, 2.0], "truthful")

    def test_as_if_made_anew(self) -> None:
        env = vm.MarketVectorEnv(N, DRAWN)
        engine, space = env.engine, env.observation_space
        for rivals in self.CHANGES:
            env.rivals = rivals
            assert env.rivals is rivals
            assert_equal(play(env), play(vm.MarketVectorEnv(N, DRAWN, rivals=rivals)))
        assert env.engine is engine
        assert env.observation_space is space

    def test_the_streams_go_on(self) -> None:
        """Changing rivals does not start the episodes again."""
        env, twin = vm.MarketVectorEnv(N, DRAWN), vm.MarketVectorEnv(N, DRAWN)
        env.reset(seed=2)
        twin.reset(seed=2)
        for rivals in self.CHANGES:
            env.rivals = rivals
            np.testing.assert_array_equal(env.reset()[0], twin.reset()[0])

    def test_all_learn_leaves_no_rivals(self) -> None:
        with pytest.raises(ValueError, match="rivals"):
            vm.MarketVectorEnv(N, DRAWN, learner="all", rivals=2.0)
        env = vm.MarketVectorEnv(N, DRAWN, learner="all")
        with pytest.raises(ValueError, match="rivals"):
            env.rivals = truthful
        env.rivals = None

    @pytest.mark.parametrize("features", [("last_price",), ("rival_offers",), ("demand", "last_price")])
    @pytest.mark.parametrize("kind", ["vector", "single"])
    def test_rivals_that_would_leave_the_observation_space_are_refused(
        self, features: tuple[str, ...], kind: str
    ) -> None:
        scenario = DEFAULT.replace(observation=features)
        env: Any = vm.MarketVectorEnv(N, scenario) if kind == "vector" else vm.MarketEnv(scenario)
        action = np.zeros((N, 2) if kind == "vector" else 2)
        env.reset(seed=0)
        env.step(action)
        before = env._game.engine.snapshot()
        with pytest.raises(ValueError, match=r"rivals: .*observation space.*500"):
            env.rivals = 500.0
        assert env.rivals is None
        assert env._game.engine.snapshot() == before
        env.rivals = 50.0  # as far as an acting rival could go
        for _ in range(DEFAULT.horizon):
            env.reset()
            assert env.observation_space.contains(env.step(action)[0])

    def test_wide_rivals_leave_room_for_narrow_ones(self) -> None:
        env = vm.MarketVectorEnv(N, DEFAULT.replace(observation=("last_price",)), rivals=500.0)
        env.rivals = None
        env.rivals = 400.0
        env.reset(seed=0)
        assert env.observation_space.contains(env.step(np.ones((N, 2)))[0])


class Reader:
    """A rival that plays its rows of the batch of actions that all agents chose."""

    def __init__(self, now: list[np.ndarray], place: int, agents: int) -> None:
        self.now, self.place, self.agents = now, place, agents

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        return self.now[0].reshape(N, self.agents, 2)[:, self.place]


class TestAllLearn:
    @pytest.mark.parametrize("scenario", [DEFAULT, WINDOWS, DRAWN], ids=lambda s: s.name)
    def test_rows_are_market_times_agents_plus_agent(self, scenario: vm.Scenario) -> None:
        """Each row is what that agent sees and earns when the others' bids are played for it."""
        agents = len(scenario.generators)
        env = vm.MarketVectorEnv(N, scenario, learner="all")
        assert env.num_envs == N * agents
        steps = 2 * scenario.horizon
        rng = np.random.default_rng(0)
        actions = [draw_actions(rng, N * agents) for _ in range(steps)]
        seen = [env.reset(seed=6)] + [env.step(a) for a in actions]

        for agent in range(agents):
            clock = iter(actions)
            now = [np.empty(0)]
            others = {place: Reader(now, place, agents) for place in range(agents) if place != agent}
            one = vm.MarketVectorEnv(N, scenario, learner=agent, rivals=others)
            rows = slice(agent, None, agents)
            np.testing.assert_array_equal(one.reset(seed=6)[0], seen[0][0][rows])
            for now[0], every in zip(clock, seen[1:], strict=True):
                mine = one.step(now[0][rows])
                for a, b in zip(mine[:4], every[:4], strict=True):
                    np.testing.assert_array_equal(a, b[rows])
                assert set(mine[4]) == set(every[4])
                for key in mine[4]:
                    np.testing.assert_array_equal(mine[4][key], every[4][key][rows], err_msg=key)

    def test_seeds(self) -> None:
        env = vm.MarketVectorEnv(2, DRAWN, learner="all")
        one = vm.MarketVectorEnv(2, DRAWN)
        for seed, rows in ((7, 7), ([3, 9], [3, 3, 3, 9, 9, 9]), ([None, 4], [None] * 3 + [4] * 3)):
            np.testing.assert_array_equal(env.reset(seed=rows)[0][::3], one.reset(seed=seed)[0])
        with pytest.raises(ValueError, match="rows 3 to 5 are market 1"):
            env.reset(seed=[1, 1, 1, 2, 2, 3])
        with pytest.raises(ValueError, match=r"seed\[5\]"):
            env.reset(seed=[1, 1, 1, 2, 2, -2])
        with pytest.raises(ValueError, match="num_envs=6"):
            env.reset(seed=[1, 2])

    def test_masks(self) -> None:
        env = vm.MarketVectorEnv(2, DRAWN, learner="all", autoreset_mode=DISABLED)
        env.reset(seed=0)
        before = env.step(np.zeros((6, 2)))[0]
        whole = np.array([False] * 3 + [True] * 3)
        after, _ = env.reset(options={"reset_mask": whole})
        np.testing.assert_array_equal(after[:3], before[:3])
        assert (after[3:] != before[3:]).any(axis=1).all()
        with pytest.raises(ValueError, match="rows 0 to 2 are market 0"):
            env.reset(options={"reset_mask": np.array([True, False, True, True, True, True])})
        np.testing.assert_array_equal(env.observations, after)

    def test_starts(self) -> None:
        env = vm.MarketVectorEnv(2, WINDOWS, learner="all")
        env.reset(options={"start": np.repeat([24, 48], 4)})
        np.testing.assert_array_equal(env.engine.clock()[1], [24, 48])
        with pytest.raises(ValueError, match="rows 0 to 3 are market 0"):
            env.reset(options={"start": np.arange(8)})

    @pytest.mark.parametrize("mode", [NEXT, SAME])
    @pytest.mark.parametrize("copy", [True, False])
    def test_flags_agree_within_a_market(self, mode: AutoresetMode, copy: bool) -> None:
        env = vm.MarketVectorEnv(2, DRAWN, learner="all", autoreset_mode=mode, copy=copy)
        env.reset(seed=0)
        env.step(np.zeros((6, 2)))
        env.reset(options={"reset_mask": np.array([True] * 3 + [False] * 3)})
        ended = 0
        for _ in range(15):
            _, _, terminated, truncated, infos = env.step(np.zeros((6, 2)))
            assert terminated.shape == (6,)
            for flags in (terminated, truncated, *(v for k, v in infos.items() if k.startswith("_"))):
                np.testing.assert_array_equal(flags.reshape(2, 3), np.repeat(flags[::3], 3).reshape(2, 3))
            ended += int(terminated.sum())
        assert ended >= 15

    def test_setting_rivals_again_keeps_the_ends_of_episodes(self) -> None:
        env, twin = vm.MarketVectorEnv(2, DRAWN, learner="all"), vm.MarketVectorEnv(2, DRAWN, learner="all")
        for e in (env, twin):
            e.reset(seed=0)
            for _ in range(DRAWN.horizon):
                e.step(np.zeros((6, 2)))
        env.rivals = None
        for _ in range(2):
            assert_equal(list(env.step(np.zeros((6, 2)))), list(twin.step(np.zeros((6, 2)))))

    def test_next_step_forgets_finished_rows_that_were_reset(self) -> None:
        env = vm.MarketVectorEnv(2, DRAWN, learner="all")
        env.reset(seed=0)
        for _ in range(DRAWN.horizon):
            terminated = env.step(np.zeros((6, 2)))[2]
        assert terminated.all()
        env.reset()
        assert env.step(np.zeros((6, 2)))[4]["_profit"].all()
