"""The whole job: rounds in which every agent learns, how near each is then, what is told of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import vecmarket as vm
from bench import targets, whole_job
from bench.methods import NATIVE, Method
from bench.solution_targets import TARGETS
from bench.whole_job import (
    LONG,
    METHODS,
    SHORT,
    UNTIL_NEAR,
    WHOLE,
    Job,
    Kind,
    Rounds,
    measure,
    nearness,
    seconds_until_near,
    table,
)
from vecmarket.evaluation import evaluate_profile, truthful

TINY = Rounds(rounds=2, steps=4 * 24, num_envs=2)


def bid_high(observations: np.ndarray) -> np.ndarray:
    return np.tile(np.array([0.0, 5.0], np.float32), (len(observations), 1))


def test_nearness_is_own_profit_over_the_best_responses() -> None:
    scenario = vm.Scenario.default()
    profile = [truthful, truthful, truthful, truthful, bid_high]
    judged = evaluate_profile(scenario, profile, episodes=512)
    near = nearness(scenario, profile)
    for value, deviation in zip(near, judged.deviations, strict=True):
        assert value == deviation.own.mean() / deviation.best.mean()
    assert all(0.0 <= value <= 1.0 for value in near)
    assert len(set(near)) == 5


def test_who_can_earn_nothing_is_near_where_nothing_is_lost() -> None:
    low = vm.Scenario.default().replace(demand=vm.Demand(series_mw=(20.0,) * 24, noise=0.05))
    near = nearness(low, [truthful] * 5)
    assert near[1:] == (1.0,) * 4
    assert near[0] < 0.9  # which could undercut the next


def test_all_are_near_when_the_last_one_is() -> None:
    run = [(1.0, (1.0, 0.89)), (2.0, (0.5, 1.0)), (3.0, (0.9, 0.95)), (4.0, (0.2, 0.2))]
    assert seconds_until_near(run) == 3.0
    assert seconds_until_near(run[:2]) == math.inf
    assert seconds_until_near(run, near=0.85) == 1.0


def test_our_rounds_show_a_policy_per_agent_after_each() -> None:
    native = next(method for method in METHODS if method.name == NATIVE)
    observations = np.zeros((3, 7), np.float32)

    def play(threads: int) -> list[list[np.ndarray]]:
        shown: list[list[np.ndarray]] = []
        native.train(
            Job(vm.Scenario.default(), TINY, seed=2, threads=threads),
            lambda profile: shown.append([policy(observations) for policy in profile]),
        )
        return shown

    shown = play(1)
    assert len(shown) == TINY.rounds
    assert [[actions.shape for actions in profile] for profile in shown] == [[(3, 2)] * 5] * 2
    # Every agent of every round has networks of its own.
    assert len({actions.tobytes() for profile in shown for actions in profile}) == 10
    for once, again in zip(shown, play(2), strict=True):
        np.testing.assert_array_equal(once, again)


def test_agents_learn_against_what_the_others_learned_before(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import own

    made: list[tuple[int, list[object]]] = []
    create = vm.MarketVectorEnv

    def noted(num_envs, scenario, *, learner, rivals, **others):
        made.append((learner, list(rivals)))
        return create(num_envs, scenario, learner=learner, rivals=rivals, **others)

    monkeypatch.setattr(own.vm, "MarketVectorEnv", noted)
    profiles: list[list[object]] = []
    own.play_rounds(Job(vm.Scenario.default(), TINY, seed=0, threads=1), profiles.append)
    assert [learner for learner, _ in made] == [0, 1, 2, 3, 4] * 2
    for place, (learner, rivals) in enumerate(made):
        before = ["truthful"] * 5 if place < 5 else profiles[0]
        assert rivals == [None if i == learner else before[i] for i in range(5)]


def test_runs_are_timed_and_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    seeds: list[tuple[Rounds, int]] = []

    def train(job: Job, look) -> None:
        seeds.append((job.rounds, job.seed))
        look([truthful] * 5)

    method = Method("one", train, "does", {})
    results = measure([method], {"one": {SHORT: 1, TINY: 2}}, threads=1)
    assert seeds == [(SHORT, 0), (TINY, 0), (TINY, 1)]
    assert {kind: len(runs) for kind, runs in results.items()} == {
        Kind("one", SHORT): 1,
        Kind("one", TINY): 2,
    }
    assert "2 rounds of 96 steps, one, seed 1: " in capsys.readouterr().out


@pytest.mark.parametrize(("near", "met"), [(0.95, ["yes", "yes"]), (0.8, ["yes", "**no**"])])
def test_the_table_and_its_targets(near: float, met: list[str]) -> None:
    results = {
        Kind(NATIVE, SHORT): [[(0.1, (0.5, 0.6)), (0.2, (0.7, 0.4))], [(0.2, (0.5, 0.6)), (0.4, (0.9, 0.6))]],
        Kind(NATIVE, LONG): [[(1.0, (0.5, 0.6)), (2.0, (near, 0.97)), (3.0, (1.0, 0.5))]],
        Kind("a peer", SHORT): [[(150.0, (0.3, 0.2))]],
    }
    found = table(results)
    assert found.rows[0][:4] == [str(SHORT), NATIVE, "2", "0.3 (0.2 to 0.4)"]
    assert found.rows[0][4:] == ["50% (40% to 60%)", "80%, 50%", "not reached"]
    assert found.rows[2][3] == "150"
    assert found.figures[NATIVE, SHORT, WHOLE] == pytest.approx(0.3)
    assert found.figures[NATIVE, LONG, UNTIL_NEAR] == (2.0 if near > 0.9 else math.inf)
    aimed = targets.table([found], TARGETS)
    assert aimed is not None
    assert [(row[0], row[5]) for row in aimed.rows] == [("S12", told) for told in met]


def test_stable_baselines3_plays_rounds_too() -> None:
    pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is in no requirement of ours")
    peer = next(method for method in METHODS if method.needs)
    shown: list[list[np.ndarray]] = []
    peer.train(
        Job(vm.Scenario.default(), Rounds(1, 1, 1), seed=0, threads=1),
        lambda profile: shown.append([policy(np.zeros((3, 7), np.float32)) for policy in profile]),
    )
    assert [actions.shape for actions in shown[0]] == [(3, 2)] * 5


def test_the_job_is_that_of_the_targets() -> None:
    assert SHORT[:2] == (3, 5000)
    assert str(SHORT) == "3 rounds of 5 000 steps"
    assert whole_job.NEAR == 0.9
