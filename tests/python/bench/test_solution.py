"""Times to solution: what the clock counts, how runs are judged, what is told of them."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import vecmarket as vm
from bench import solution, targets, time_to_solution
from bench.judge import DAYS, Judge, Point, Shares, Spread, follow, seconds_until
from bench.methods import EASY, HARD, METHODS, NATIVE, TORCH, Budget, Method, Task
from bench.solution import Cell, Mark
from bench.solution_plot import median_course, plot_shares
from bench.solution_targets import TARGETS
from bench.time_to_solution import attempt, measure, page, shorter
from bench.whole_job import Rounds
from vecmarket.evaluation import evaluate, truthful

OURS = [method for method in METHODS if not method.needs]
TINY = Budget(num_envs=4, total_steps=4 * 24 * 3)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(vm.Scenario.default(), EASY)


def _course(*points: tuple[float, float, float]) -> list[Point]:
    return [Point(seconds, Shares(profit, reward)) for seconds, profit, reward in points]


def bid_high(observations: np.ndarray) -> np.ndarray:
    return np.tile(np.array([0.0, 0.3], np.float32), (len(observations), 1))


# Judging


def test_the_clock_counts_training_and_stands_still_while_a_policy_is_judged() -> None:
    now = [100.0]

    def judged(policy: object) -> Shares:
        now[0] += 50.0
        return Shares(0.25, 0.5)

    def train(look) -> None:
        now[0] += 2.0  # making the environments
        for cost in (1.0, 3.0):
            now[0] += cost
            look(bid_high)

    course = follow(train, judged, clock=lambda: now[0])
    assert course == _course((3.0, 0.25, 0.5), (6.0, 0.25, 0.5))


def test_shares_are_those_of_the_evaluation_on_its_fixed_days(judge: Judge) -> None:
    assert len(judge.episodes) == DAYS == 512
    assert judge(truthful) == Shares(0.0, 0.0)
    shares = judge(bid_high)
    assert judge(bid_high) == shares
    scenario = vm.Scenario.default()
    told = evaluate(scenario, EASY, bid_high)
    assert judge.episodes == told.episodes
    assert shares == Shares(told.profit_share, told.return_share)
    assert shares.reward != shares.profit


def test_an_agent_without_a_gain_is_refused() -> None:
    scenario = vm.Scenario.default()
    low = scenario.replace(demand=vm.Demand(series_mw=(20.0,) * 24, noise=0.05))
    with pytest.raises(ValueError, match=r"agent: 4 has nothing to gain"):
        Judge(low, EASY)


# Statistics


def test_seconds_are_those_of_the_first_time_a_share_was_had() -> None:
    course = _course((1.0, 0.4, 0.1), (2.0, 0.8, 0.2), (3.0, 0.7, 0.6), (4.0, 0.9, 0.5))
    assert [seconds_until(course, share) for share in (0.4, 0.5, 0.8, 0.9, 0.95)] == [1, 2, 2, 4, math.inf]
    assert seconds_until(course, 0.5, "reward") == 3.0


def test_runs_without_a_share_are_infinitely_long_in_the_median() -> None:
    assert Spread.of([3.0, math.inf, 1.0]) == Spread(3.0, 1.0, math.inf)
    assert Spread.of([3.0, math.inf, math.inf]) == Spread(math.inf, 3.0, math.inf)
    assert Spread.of([1.0, math.inf]) == Spread(math.inf, 1.0, math.inf)
    assert Spread.of([1.0, 3.0]) == Spread(2.0, 1.0, 3.0)


def test_the_median_course_holds_what_was_last_judged() -> None:
    courses = [
        _course((1.0, 0.1, 0.0), (4.0, 0.5, 0.0)),
        _course((2.0, 0.2, 0.0), (8.0, 0.9, 0.0)),
        _course((1.0, 0.0, 0.0), (3.0, 0.3, 0.0)),
    ]
    moments, shares = median_course(courses)
    assert (moments[0], moments[-1]) == (2.0, pytest.approx(4.0))
    assert (np.diff(moments) > 0).all()
    before, after = moments < 3.0, (moments > 3.0) & (moments < 4.0)
    assert set(shares[before]) == {0.1}  # of 0.1, 0.2, 0.0
    assert set(shares[after]) == {0.2}  # of 0.1, 0.2, 0.3


# Tables and targets


def test_tables_tell_of_every_share_and_method() -> None:
    results = {
        Cell(EASY, NATIVE): [
            _course((0.1, 0.6, 0.5), (0.2, 0.85, 0.6)),
            _course((0.1, 0.4, 0.3), (0.4, 0.96, 0.9)),
            _course((0.3, 0.82, 0.5), (0.5, 0.94, 0.7)),
        ],
        Cell(HARD, TORCH): [_course((123.4, 0.2, -0.3))],
    }
    until, ends = solution.tables(EASY, results, {NATIVE: Budget(128, 250_000)})
    assert [row[0] for row in until.rows] == ["50%", "80%", "90%", "95%"]
    assert {row[1] for row in until.rows} == {NATIVE}
    assert [row[2:4] for row in until.rows] == [
        ["0.3 (0.1 to 0.4)", "3 of 3"],
        ["0.3 (0.2 to 0.4)", "3 of 3"],
        ["0.5 (0.4 to not reached)", "2 of 3"],
        ["not reached (0.4 to not reached)", "1 of 3"],
    ]
    assert until.rows[1][4:] == ["not reached (0.4 to not reached)", "1 of 3"]
    assert until.figures[Mark(EASY, NATIVE, 0.8)] == 0.3
    assert until.figures[Mark(EASY, NATIVE, None)] == 0.94
    assert ends.rows == [
        [
            NATIVE,
            "128 environments, 250 000 steps",
            "0.4 (0.2 to 0.5)",
            "94.0% (85.0% to 96.0%)",
            "70.0% (60.0% to 90.0%)",
        ]
    ]
    _, alone = solution.tables(HARD, results, {TORCH: TINY})
    assert alone.rows == [[TORCH, "4 environments, 288 steps", "123", "20.0%", "-30.0%"]]


@pytest.mark.parametrize(
    ("seconds", "share", "met"),
    [(0.2, 0.96, ["yes", "yes", "yes"]), (1.5, 0.94, ["**no**", "yes", "**no**"])],
)
def test_the_targets_are_read_from_the_easy_agents_native_runs(
    seconds: float, share: float, met: list[str]
) -> None:
    results = {
        Cell(EASY, NATIVE): [_course((seconds, 0.9, 0.0), (9.0, share, 0.0))],
        Cell(HARD, NATIVE): [_course((99.0, 0.1, 0.0))],
    }
    budgets = dict.fromkeys(results, TINY)
    first, *rest = page(OURS, results, budgets, {}, {})
    assert first.title == "Targets"
    assert [(row[0], row[5]) for row in first.rows] == [("S11", told) for told in met]
    assert [row[3] for row in first.rows] == [f"{seconds} s", f"{seconds} s", f"{share:.1%}"]
    assert len(rest) == 5


def test_shares_that_were_not_reached_miss_their_target() -> None:
    results = {Cell(EASY, NATIVE): [_course((0.1, 0.85, 0.0))]}
    found = targets.table(solution.tables(EASY, results, {NATIVE: TINY}), TARGETS)
    assert found is not None
    assert [row[3:] for row in found.rows][1] == ["not reached", "agent 4, median", "**no**"]


# Runs


@pytest.mark.parametrize("method", OURS, ids=lambda method: method.name)
def test_our_backends_learn_and_show_their_mean_action_after_every_update(
    method: Method, judge: Judge
) -> None:
    task = Task(vm.Scenario.default(), EASY, TINY, seed=3, threads=1)
    observations = np.zeros((5, 7), np.float32)
    shown: list[np.ndarray] = []

    def look(policy) -> None:
        actions = policy(observations)
        np.testing.assert_array_equal(policy(observations), actions)
        shown.append(np.array(actions))

    method.train(task, look)
    assert [actions.shape for actions in shown] == [(5, 2)] * 3
    assert len({actions.tobytes() for actions in shown}) == 3
    again = follow(lambda look: method.train(task, look), judge)
    assert [at.shares for at in again] == [
        at.shares for at in follow(lambda look: method.train(task, look), judge)
    ]
    assert [at.seconds for at in again] == sorted({at.seconds for at in again})


def test_methods_take_turns_and_the_absent_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    learned: list[tuple[str, int, int, int]] = []

    def trains(name: str):
        def train(task: Task, look) -> None:
            learned.append((name, task.agent, task.seed, task.budget.total_steps))
            look(bid_high)

        return train

    def missing(task: Task, look) -> None:
        import_module("not_there")

    methods = [
        Method("one", trains("one"), "does", {EASY: TINY}),
        Method("none", missing, "does not", {EASY: TINY}, needs="not_there", install="not-there"),
        Method("two", trains("two"), "does too", {EASY: TINY}),
    ]
    budgets = {Cell(EASY, method.name): TINY for method in methods}
    results, absent = measure(methods, budgets, range(2), threads=1)
    steps = TINY.total_steps
    warm_up = [("one", EASY, 0, 1), ("two", EASY, 0, 1)]
    assert learned == [*warm_up, *((name, EASY, seed, steps) for seed in range(2) for name in ("one", "two"))]
    assert {cell.method: len(courses) for cell, courses in results.items()} == {"one": 2, "two": 2}
    assert absent == {"none": "skipped, not installed: pip install not-there"}
    assert "none: skipped, not installed: pip install not-there\n" in capsys.readouterr().out
    survey = page(methods, results, budgets, absent, {})[-1]
    assert [row[2] for row in survey.rows] == ["measured", absent["none"], "measured"]


def test_another_missing_module_is_no_reason_to_skip() -> None:
    def broken(task: Task, look) -> None:
        import_module("not_there_either")

    method = Method("broken", broken, "", {}, needs="not_there")
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):
        attempt(method, Task(vm.Scenario.default(), EASY, TINY, 0, 1))


def test_quick_runs_have_fewer_steps() -> None:
    assert shorter(Budget(128, 250_000), 10) == Budget(128, 25_000)


def test_a_page_and_a_picture_are_written_where_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tiny = [Method(m.name, m.train, m.does, {EASY: TINY, HARD: TINY}, m.needs, m.install) for m in METHODS]
    monkeypatch.setattr(time_to_solution, "METHODS", tiny)
    for name in ("SHORT", "LONG"):
        monkeypatch.setattr(time_to_solution, name, Rounds(1 if name == "SHORT" else 2, 48, 2))
    out = tmp_path / "SOLUTION.md"
    time_to_solution.main(["--own", "--seeds", "2", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# Time to solution\n")
    assert f"- command: `python -m bench.time_to_solution --own --seeds 2 --out {out}`" in text
    for title in (
        "Targets",
        "Agent 4: time to solution",
        "Agent 3: where the runs end",
        "Shares over seconds",
    ):
        assert f"## {title}\n" in text
    assert "not reached | 0 of 2" in text
    assert "| 2 rounds of 48 steps | vecmarket, native | 2 |" in text
    assert "Stable-Baselines3" not in text.split("## Targets")[1]
    assert "![Share of the best-response gain over seconds" in text
    assert "(SOLUTION.png)" in text
    assert (tmp_path / "SOLUTION.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments", [["--seeds", "0"], ["--threads", "0"], ["--agents", "2"], ["--first-seed", "-1"]]
)
def test_arguments_that_cannot_be_used_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        time_to_solution.main(arguments)


def test_curves_of_different_runs_are_different_pictures(tmp_path: Path) -> None:
    course = _course((0.1, 0.2, 0.0), (1.0, 0.8, 0.0))
    for name, moved in (("a", course), ("b", _course((0.1, 0.2, 0.0), (1.0, 0.6, 0.0))), ("c", course)):
        plot_shares({Cell(EASY, NATIVE): [moved]}, tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == c != b


# Stable-Baselines3, where it is installed


def test_the_batch_of_markets_is_the_vector_environment() -> None:
    pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is in no requirement of ours")
    from bench.sb3 import BatchOfMarkets

    task = Task(vm.Scenario.default(), HARD, Budget(3, 1), seed=0, threads=1)
    batch = BatchOfMarkets(task)
    batch.seed(7)
    env = vm.MarketVectorEnv(3, task.scenario, learner=HARD, autoreset_mode="same_step", threads=1)
    np.testing.assert_array_equal(batch.reset(), env.reset(seed=7)[0])
    actions = np.random.default_rng(0).uniform(0, 1, (30, 3, 2)).astype(np.float32)
    for chosen in actions:
        observations, rewards, done, told = batch.step(chosen)
        expected = env.step(chosen)
        for got, want in zip(
            (observations, rewards, done), (*expected[:2], expected[2] | expected[3]), strict=True
        ):
            np.testing.assert_array_equal(got, want)
        if done.any():
            last = [one["terminal_observation"] for one in told]
            np.testing.assert_array_equal(last, expected[4]["final_obs"])
            assert [one["TimeLimit.truncated"] for one in told] == [False] * 3
        else:
            assert told == [{}] * 3


@pytest.mark.parametrize("method", [m for m in METHODS if m.needs], ids=lambda method: method.name)
def test_stable_baselines3_learns_and_is_judged_after_every_update(method: Method, judge: Judge) -> None:
    pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is in no requirement of ours")
    budget = Budget(4, 2 * 24 * 4) if "tuned" in method.name else Budget(1, 2049)
    task = Task(vm.Scenario.default(), EASY, budget, seed=1, threads=1)
    course = follow(lambda look: method.train(task, look), judge)
    assert len(course) == 2
    assert course[0].shares != course[1].shares
