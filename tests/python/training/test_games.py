"""Schedules of games: what trains against what, that a seed gives one result, and going on in the middle."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
from typing import Any

import numpy as np
import pytest
import torch

import vecmarket as vm
from core.scenes import still as still_market
from training.toys import same_weights
from vecmarket import _core
from vecmarket.scenarios.days import evaluation_days
from vecmarket.training import PPO, ActorCritic, NativePPO, PPOConfig, TrainConfig
from vecmarket.training.batched import BatchedPPO
from vecmarket.training.config import Backend
from vecmarket.training.games import (
    BestResponse,
    FixedEpisodes,
    GameConfig,
    GameRun,
    Job,
    Pool,
    Together,
    TrainingJobs,
    frozen,
    load_profile,
    load_rounds,
    make_game,
    play_game,
    train_jobs,
)
from vecmarket.training.games.config import Schedule
from vecmarket.training.games.draws import job_seed, updates
from vecmarket.training.games.jobs import action_space
from vecmarket.training.games.learners_env import LearnersEnv

SCHEDULES = ("iterated", "simultaneous", "fictitious", "independent", "shared")
# Rollouts of 20 hours against days of 24: iterations end in the middle of days.
PPO_SETTINGS = PPOConfig(
    rollout_steps=20, epochs=2, minibatches=2, gamma=0.5, hidden=(8,), final_log_std=-1.0
)
TRAIN = TrainConfig(
    scenario="default", seed=3, num_envs=6, ppo=PPO_SETTINGS, progress=False, tensorboard=False
)
NATIVE, TORCH = TRAIN, dataclasses.replace(TRAIN, backend="torch")
DEFAULT = vm.Scenario.default()
ITERATION = 6 * 20
BASE = GameConfig(
    agents=(1, 4), rounds=3, round_steps=2 * ITERATION, patience=0, accept="always", start="last", episodes=4
)
OF_BEST_RESPONSE = ("update_probability", "patience", "tolerance", "accept", "start", "starts")


def run_of(game: Schedule, *, seed: int = 3, backend: Backend = "native", **changes: Any) -> GameRun:
    train = dataclasses.replace(TRAIN, seed=seed, backend=backend)
    settings = dataclasses.asdict(BASE) | changes | {"game": game}
    if game in ("independent", "shared"):
        settings = {name: value for name, value in settings.items() if name not in OF_BEST_RESPONSE}
    return GameRun(GameConfig(**settings), train)


def played(run: GameRun, scenario: vm.Scenario = DEFAULT) -> Any:
    learner = make_game(run, scenario)
    while not learner.finished:
        learner.iterate()
    return learner


def same(one: Any, other: Any) -> bool:
    if isinstance(one, ActorCritic) and isinstance(other, ActorCritic):
        return same_weights(one, other)
    return one == other


def same_games(one: Any, other: Any) -> bool:
    return (
        all(map(same, one.strategies, other.strategies))
        and [list(map(str, row.values())) for row in one.rows]
        == [list(map(str, row.values())) for row in other.rows]
        and len(one.rows) == len(other.rows)
    )


def policy(seed: int = 0) -> ActorCritic:
    """A policy of 7 features that bids all over the place."""
    space = vm.MarketVectorEnv(1, DEFAULT).single_observation_space
    model = ActorCritic(space, action_space(True), hidden=(8,), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        model.actor[-1].weight.mul_(50.0)  # type: ignore[operator, union-attr]
    return model


# Jobs


def jobs() -> list[Job]:
    mixture = Pool((policy(1), "truthful", 5.0))
    return [
        Job(4, ("truthful", policy(0), 3.0, mixture, "truthful"), seed=5, steps=3 * ITERATION),
        Job(1, (mixture, "truthful", mixture, policy(2), 2.0), seed=6, steps=2 * ITERATION - 1),
        Job(0, ("truthful",) * 5, seed=7, steps=ITERATION, start_from=policy(3)),
    ]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("train", [NATIVE, TORCH], ids=["native", "torch"])
def test_a_list_of_jobs_gives_what_each_gives_alone(train: TrainConfig, threads: int) -> None:
    shared = dataclasses.replace(train, engine_threads=threads)
    together = train_jobs(jobs(), DEFAULT, shared)
    alone = [train_jobs([job], DEFAULT, train)[0] for job in jobs()]
    assert all(map(same_weights, together, alone))
    assert not same_weights(
        together[0], train_jobs([dataclasses.replace(jobs()[0], seed=8)], DEFAULT, train)[0]
    )


@pytest.mark.parametrize("train", [NATIVE, TORCH], ids=["native", "torch"])
def test_a_job_is_plain_ppo(train: TrainConfig) -> None:
    job = Job(4, ("truthful", 3.0, "truthful", "truthful", "truthful"), seed=5, steps=3 * ITERATION)
    env = vm.MarketVectorEnv(6, DEFAULT, learner=4, rivals={1: 3.0}, autoreset_mode="same_step")
    plain = NativePPO if train is NATIVE else PPO
    learner = plain(env, PPO_SETTINGS, total_steps=3 * ITERATION, seed=5)
    while not learner.finished:
        learner.iterate()
    assert same_weights(train_jobs([job], DEFAULT, train)[0], learner.model)


@pytest.mark.parametrize(
    ("train", "iterations"), [*((NATIVE, i) for i in range(3)), *((TORCH, i) for i in range(6))]
)
def test_jobs_go_on_from_any_iteration(train: TrainConfig, iterations: int) -> None:
    whole, first = TrainingJobs(jobs(), DEFAULT, train), TrainingJobs(jobs(), DEFAULT, train)
    assert whole.total_steps == 6 * ITERATION
    while not whole.finished:
        whole.iterate()
    for _ in range(iterations):
        first.iterate()
    second = TrainingJobs(jobs(), DEFAULT, train)
    second.restore(first.state())
    # one after another, or those of 3, 2 and 1 iterations side by side
    taken = iterations if train is TORCH else (0, 3, 5)[iterations]
    assert second.steps == taken * ITERATION
    while not second.finished:
        second.iterate()
    assert all(map(same_weights, whole.policies, second.policies))


@pytest.mark.parametrize(
    ("agent", "rivals", "error", "message"),
    [
        (9, 5, ValueError, r"jobs\[1\]: agent: must be in 0\.\.4, got 9"),
        (-1, 5, ValueError, r"jobs\[1\]: agent: must be in 0\.\.4, got -1"),
        (1.0, 5, TypeError, r"jobs\[1\]: agent: must be a place or a name, got 1\.0"),
        ("G4", 5, TypeError, r"jobs\[1\]: agent: must be a place, 0\.\.4, got 'G4'"),
        (4, 3, ValueError, r"jobs\[1\]: rivals: must be one strategy per agent, 5, got 3"),
        (0, 6, ValueError, r"jobs\[1\]: rivals: must be one strategy per agent, 5, got 6"),
    ],
)
def test_a_job_that_does_not_fit_is_named(
    agent: Any, rivals: int, error: type[Exception], message: str
) -> None:
    good = Job(0, ("truthful",) * 5, 0, 3000)
    with pytest.raises(error, match=message):
        train_jobs([good, Job(agent, ("truthful",) * rivals, 0, 3000)], DEFAULT, NATIVE)


def test_jobs_do_not_go_on_past_their_end() -> None:
    training = TrainingJobs([Job(0, ("truthful",) * 5, 0, 1)], DEFAULT, NATIVE)
    training.iterate()
    with pytest.raises(ValueError, match="iterate: all 1 jobs are trained"):
        training.iterate()


def test_training_starts_where_it_is_told() -> None:
    given = policy(3)
    settings = dataclasses.replace(TRAIN, ppo=dataclasses.replace(PPO_SETTINGS, learning_rate=1e-30))
    job = Job(4, ("truthful",) * 5, seed=5, steps=ITERATION, start_from=given)
    unmoved = train_jobs([job], DEFAULT, settings)[0]
    rows = torch.rand(5, 7)
    assert torch.allclose(unmoved.mean_action(rows), given.mean_action(rows))
    pushed = train_jobs(
        [dataclasses.replace(job, start_from=None, first_action=(0.25, 0.75))], DEFAULT, settings
    )[0]
    assert torch.allclose(pushed.mean_action(rows), torch.tensor([0.25, 0.75]).expand(5, 2), atol=0.1)
    wide = dataclasses.replace(TRAIN, ppo=dataclasses.replace(PPO_SETTINGS, hidden=(9,)))
    with pytest.raises(ValueError, match="start_from: has another shape"):
        train_jobs([job], DEFAULT, wide)


def test_without_withholding_everything_is_offered() -> None:
    job = Job(4, ("truthful",) * 5, seed=5, steps=2 * ITERATION, first_action=(0.9, 0.0))
    rows = torch.rand(50, 7)
    for withholding, largest in ((True, 0.5), (False, 0.0)):
        model = train_jobs([job], DEFAULT, TRAIN, withholding=withholding)[0]
        withheld = model.clip(model.mean_action(rows))[:, 0]
        assert withheld.max() >= largest
        assert withholding or withheld.max() == 0.0


# Mixtures


def test_a_mixture_is_drawn_as_often_as_it_holds_a_member() -> None:
    model = policy()
    pool = frozen(Pool(("truthful", model, model)))
    assert isinstance(pool, vm.PolicyPool)
    assert pool.members == ("truthful", vm.MlpPolicy.from_torch(model))
    assert pool.weights == (1.0, 2.0)


def test_mixtures_alone_are_judged_by_their_expected_outcome() -> None:
    episodes = FixedEpisodes.of_training(DEFAULT, 4)
    pool = Pool(("truthful", 5.0))
    alone = episodes.play([pool, *["truthful"] * 4])
    both = [episodes.play([member, *[Pool(("truthful",))] * 4]) for member in pool.members]
    mixed = episodes.play([pool, *[Pool(("truthful",))] * 4])
    assert mixed.profit == pytest.approx(np.mean([outcome.profit for outcome in both], axis=0))
    assert mixed.price == pytest.approx(np.mean([outcome.price for outcome in both]))
    assert alone.profit.shape == (5,)


def test_frozen_never_changes() -> None:
    model, rows = policy(), np.random.default_rng(0).random((5, 7), np.float32)
    rival = frozen(model)
    before = rival(rows)
    with torch.no_grad():
        model.actor[-1].bias.add_(1.0)  # type: ignore[operator, union-attr]
    assert np.array_equal(rival(rows), before)
    assert not np.array_equal(frozen(model)(rows), before)
    assert frozen("truthful") == "truthful"
    assert frozen(3.0) == 3.0


def test_a_markup_within_a_mixture_is_that_markup() -> None:
    market = still_market([50, 50], [10, 20], [60.0], max_bid_delta=40.0)
    episodes = FixedEpisodes(market, (0,), (0,))
    for markup in (-5.0, 7.5, 40.0, 41.0):
        plain = episodes.play(["truthful", markup])
        mixed = episodes.play(["truthful", Pool((markup,))])
        assert plain.price == 20 + markup
        assert mixed.price == pytest.approx(plain.price, abs=1e-4)
    # whoever has to act for the engine can only bid as an action can
    with pytest.raises(ValueError, match="within max_bid_delta"):
        episodes.play([41.0, 3.0])
    drawn = market.replace(bidding=vm.Bidding(max_bid_delta=vm.Uniform(10.0, 20.0)))
    with pytest.raises(ValueError, match="max_bid_delta is one number"):
        FixedEpisodes(drawn, (0,), (0,)).play([5.0, 5.0])


# Fixed episodes


def test_fixed_episodes_are_the_means_of_what_is_played() -> None:
    market = still_market([50, 50, 50, 50], [10, 20, 30, 40], [120.0, 60.0])
    outcome = FixedEpisodes(market, (0, 0), (1, 2)).play(["truthful"] * 4)
    # 60 MW: the second unit sets the price of 20
    assert outcome.price == (30 + 20) / 2
    assert outcome.profit.tolist() == [(1000 + 500) / 2, (500 + 0) / 2, 0, 0]
    assert outcome.dispatch.tolist() == [50, (50 + 10) / 2, 10, 0]


def test_gains_are_measured_on_days_that_judge_nothing() -> None:
    scenario = vm.Scenario.ieee_rts()
    train = FixedEpisodes.of_training(scenario, 64)
    judge = FixedEpisodes.of_evaluation(scenario, 64)
    assert len(train.days) == 64
    assert not set(train.days) & set(judge.days)
    assert not set(train.seeds) & set(judge.seeds)
    assert max(train.days) - min(train.days) > 300
    assert judge == FixedEpisodes.of_evaluation(scenario, 64)


def test_a_day_without_draws_is_played_once() -> None:
    scenario = vm.Scenario.ieee_rts()
    assert FixedEpisodes.of_evaluation(scenario, 64).days == evaluation_days(scenario)
    assert len(FixedEpisodes.of_evaluation(scenario, 8).days) == 8
    short = scenario.replace(demand=vm.Demand(scenario.demand.series_mw[: 3 * 24]))
    assert FixedEpisodes.of_training(short, 64).days == (0, 1, 2)
    noisy = scenario.replace(demand=vm.Demand(scenario.demand.series_mw, noise=0.05))
    assert len(FixedEpisodes.of_evaluation(noisy, 64).days) == 64


# Several learners in the same markets


def test_learners_env_is_the_vector_env_of_all_agents() -> None:
    own = LearnersEnv(3, DEFAULT, range(5), ["truthful"] * 5, action_space(True))
    whole = vm.MarketVectorEnv(3, DEFAULT, learner="all", autoreset_mode="same_step")
    assert own.single_observation_space == whole.single_observation_space
    assert np.array_equal(own.reset(seed=4)[0], whole.reset(seed=4)[0])
    random = np.random.default_rng(0)
    for _ in range(50):
        actions = random.normal(size=(15, 2)).astype(np.float32)
        mine, theirs = own.step(actions), whole.step(actions)
        for a, b in zip(mine[:4], theirs[:4], strict=True):
            assert np.array_equal(a, b)
        if "final_obs" in theirs[4]:
            assert np.array_equal(mine[4]["final_obs"], theirs[4]["final_obs"])
        facts = theirs[4].get("final_info", theirs[4])
        assert np.array_equal(mine[4]["profit"], facts["profit"])
        assert np.array_equal(mine[4]["price"], facts["price"])


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("game", ["independent", "shared"])
def test_one_agent_learning_together_is_plain_ppo(game: Schedule, backend: Backend) -> None:
    ends = dataclasses.replace(DEFAULT, episode_end="truncate")  # last values matter then
    together = played(run_of(game, agents=(4,), backend=backend), ends)
    env = vm.MarketVectorEnv(6, ends, learner=4, autoreset_mode="same_step")
    plain = PPO if backend == "torch" else NativePPO
    learner = plain(env, PPO_SETTINGS, total_steps=3 * 2 * ITERATION, seed=job_seed(3, 0, 0))
    while not learner.finished:
        learner.iterate()
    assert same_weights(together.strategies[4], learner.model)


def test_shared_is_one_policy_and_independent_are_several() -> None:
    shared, independent = played(run_of("shared")), played(run_of("independent"))
    assert shared.strategies[1] is shared.strategies[4]
    assert not same_weights(independent.strategies[1], independent.strategies[4])
    assert shared.steps == independent.steps == 3 * 2 * 2 * ITERATION
    for learner in (shared, independent):
        assert learner.strategies[0] == "truthful"
        assert [row["agent"] for row in learner.rows] == ["G1", "G4"] * 3
        assert all(np.isnan(row["gain"]) for row in learner.rows)


# Schedules


def test_iterated_trains_against_the_newest() -> None:
    learner = played(run_of("iterated", rounds=1))
    first = Job(1, ("truthful",) * 5, job_seed(3, 0, 1), 2 * ITERATION)
    one = train_jobs([first], DEFAULT, TRAIN)[0]
    assert same_weights(learner.strategies[1], one)
    second = Job(4, ("truthful", one, "truthful", "truthful", "truthful"), job_seed(3, 0, 4), 2 * ITERATION)
    assert same_weights(learner.strategies[4], train_jobs([second], DEFAULT, TRAIN)[0])


def test_agents_take_turns_in_the_order_given() -> None:
    learner = played(run_of("iterated", rounds=1, agents=("G4", 1)))
    first = Job(4, ("truthful",) * 5, job_seed(3, 0, 4), 2 * ITERATION)
    assert same_weights(learner.strategies[4], train_jobs([first], DEFAULT, TRAIN)[0])


def test_simultaneous_trains_against_the_round_before() -> None:
    learner = make_game(run_of("simultaneous"), DEFAULT)
    assert isinstance(learner, BestResponse)
    profile = tuple(learner.strategies)
    for round_ in range(2):
        alone = [
            train_jobs(
                [
                    Job(
                        agent,
                        profile,
                        job_seed(3, round_, agent),
                        2 * ITERATION,
                        own if isinstance(own := profile[agent], ActorCritic) else None,
                    )
                ],
                DEFAULT,
                TRAIN,
            )[0]
            for agent in (1, 4)
        ]
        while learner.round == round_:
            learner.iterate()
        assert same_weights(learner.strategies[1], alone[0])
        assert same_weights(learner.strategies[4], alone[1])
        profile = tuple(learner.strategies)


def test_fictitious_trains_against_all_of_the_past() -> None:
    learner = make_game(run_of("fictitious", start="fresh"), DEFAULT)
    assert isinstance(learner, BestResponse)
    past: list[Any] = ["truthful"]
    for round_ in range(3):
        rivals = ("truthful", Pool(tuple(past)), "truthful", "truthful", "truthful")
        job = Job(4, rivals, job_seed(3, round_, 4), 2 * ITERATION)
        while learner.round == round_:
            learner.iterate()
        assert same_weights(learner.strategies[4], train_jobs([job], DEFAULT, TRAIN)[0])
        past.append(learner.strategies[1])
        assert learner.pools[1] == past
    assert played(run_of("fictitious", pool=2)).pools[1][0] is not None
    assert len(played(run_of("fictitious", pool=2)).pools[1]) == 2


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("game", SCHEDULES)
def test_one_seed_gives_one_result(game: Schedule, backend: Backend) -> None:
    one = played(run_of(game, backend=backend))
    assert same_games(one, played(run_of(game, backend=backend)))
    assert not same_games(one, played(run_of(game, seed=4, backend=backend)))


@pytest.mark.parametrize("backend", ["native", "torch"])
@pytest.mark.parametrize("game", SCHEDULES)
def test_a_game_goes_on_from_any_iteration(game: Schedule, backend: Backend) -> None:
    run = run_of(
        game, update_probability=0.7, starts=2, accept="better", tolerance=0.0, backend=backend, rounds=4
    )
    learner, states = make_game(run, DEFAULT), []
    while not learner.finished:
        states.append(learner.state())
        learner.iterate()
    assert len(states) >= 5
    for state in states[1::3]:
        resumed = make_game(run, DEFAULT)
        resumed.restore(state)
        while not resumed.finished:
            resumed.iterate()
        assert same_games(resumed, learner)
        assert resumed.steps == learner.steps
    with pytest.raises(ValueError, match="state: does not fit this game: 'strategies' is missing"):
        make_game(run, DEFAULT).restore({"round": 0, "rows": []})


@pytest.mark.parametrize("game", SCHEDULES)
def test_a_game_does_not_go_on_past_its_end(game: Schedule) -> None:
    learner = played(run_of(game, rounds=1))
    before = learner.state()
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"iterate: (the game is over, all its rounds|0 of the run's 2 iter)"
        ):
            learner.iterate()
    assert (learner.round, learner.steps, len(learner.rows)) == (1, before["rows"][-1]["steps"], 2)
    if game in ("iterated", "simultaneous", "fictitious"):
        settled = played(run_of(game, rounds=9, patience=1, tolerance=1e9))
        assert settled.round == 1
        with pytest.raises(ValueError, match="iterate: the game is over, nobody improves any more"):
            settled.iterate()


def test_inertia_asks_each_agent_by_its_own_draw() -> None:
    draws = np.array([[updates(9, r, a, 0.3) for a in range(4)] for r in range(2000)])
    assert np.abs(draws.mean(axis=0) - 0.3).max() < 4 * np.sqrt(0.21 / 2000)
    assert abs((draws[:, 0] & draws[:, 1]).mean() - 0.09) < 4 * np.sqrt(0.09 * 0.91 / 2000)
    assert all(updates(9, r, 0, 1.0) for r in range(100))

    learner = played(run_of("simultaneous", rounds=8, update_probability=0.5))
    asked = [[updates(3, r, a, 0.5) for a in (1, 4)] for r in range(8)]
    assert [row["asked"] for row in learner.rows] == np.ravel(asked).astype(int).tolist()
    assert not np.all(asked)
    assert learner.steps == np.sum(asked) * 2 * ITERATION
    assert all(np.isnan(row["gain"]) == (not row["asked"]) for row in learner.rows)


def test_nobody_changes_without_a_telling_gain() -> None:
    keeps = played(run_of("iterated", rounds=1, accept="better", tolerance=1e9))
    assert keeps.strategies == ["truthful"] * 5
    assert [row["changed"] for row in keeps.rows] == [0, 0]
    changes = played(run_of("iterated", rounds=1, accept="always", tolerance=1e9))
    assert [row["changed"] for row in changes.rows] == [1, 1]
    assert changes.rows[0]["gain"] == keeps.rows[0]["gain"]


def test_the_gain_is_what_the_change_alone_brings() -> None:
    learner = played(run_of("simultaneous", rounds=1))
    episodes = FixedEpisodes.of_training(DEFAULT, 4)
    before = episodes.play(["truthful"] * 5).profit
    for row, agent in zip(learner.rows, (1, 4), strict=True):
        profile: list[Any] = ["truthful"] * 5
        profile[agent] = learner.strategies[agent]
        assert row["gain"] == pytest.approx(episodes.play(profile).profit[agent] - before[agent])
        judged = FixedEpisodes.of_evaluation(DEFAULT, 4).play(learner.strategies)
        assert (row["profit"], row["price"]) == (judged.profit[agent], judged.price)


def test_patience_waits_for_everybody() -> None:
    patient = played(run_of("iterated", rounds=9, patience=3, tolerance=1e9))
    assert patient.settled
    assert patient.round == 3
    # with inertia an agent that was never asked may still have something to gain
    half = played(run_of("iterated", rounds=30, patience=1, tolerance=1e9, update_probability=0.2))
    asked = [[updates(3, r, a, 0.2) for a in (1, 4)] for r in range(30)]
    everybody = next(r for r in range(30) if np.any(asked[: r + 1], axis=0).all())
    assert half.round == everybody + 1
    assert half.round > 2
    assert played(run_of("iterated", patience=0, tolerance=1e9)).round == 3


# Runs


def test_what_a_run_leaves(tmp_path: Any) -> None:
    run = run_of("fictitious")
    train = dataclasses.replace(run.train, out=tmp_path, tensorboard=True)
    result = play_game(dataclasses.replace(run, train=train))
    assert result.run == tmp_path / "default-fictitious-seed3"
    names = sorted(str(p.relative_to(result.run)) for p in result.run.rglob("*") if p.is_file())
    assert [n for n in names if not n.startswith("tensorboard")] == [
        "checkpoint.pt",
        "config.json",
        "profile.json",
        *(
            f"round-000{r}/{f}"
            for r in (1, 2, 3)
            for f in ("1-G1.safetensors", "4-G4.safetensors", "profile.json")
        ),
        "rounds.csv",
        "scenario.toml",
    ]
    assert any(n.startswith("tensorboard") for n in names)
    assert GameRun.from_json((result.run / "config.json").read_text()) == result.config
    with (result.run / "rounds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["round"], row["agent"]) for row in rows] == [
        (str(r), a) for r in (1, 2, 3) for a in ("G1", "G4")
    ]
    assert [float(row["profit"]) for row in rows] == [row["profit"] for row in result.rows]
    profile = load_profile(result.run)
    assert isinstance(profile[4], Pool)
    assert profile[:4:2] == ["truthful", "truthful"]
    assert profile[4].members[0] == "truthful"
    assert len(profile[4].members) == 4
    own = result.profile[4]
    assert isinstance(own, Pool)
    assert all(map(same, profile[4].members, own.members))
    assert isinstance(load_profile(result.run, 1)[1], Pool)
    with pytest.raises(FileNotFoundError, match="round-0007"):
        load_profile(result.run, 7)
    assert all(map(same, load_profile(str(result.run), round_=3)[4].members, own.members))
    assert play_game(resume=str(result.run)).run == result.run


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"round": -1, "agents": []}', "round: must be at least 1, got -1"),
        ('{"round": 1.5, "agents": []}', r"round: must be a whole number, got 1\.5"),
        ('{"round": "2", "agents": []}', "round: must be a whole number, got '2'"),
        ('{"agents": []}', "'round' is missing"),
        ('{"round": 2}', "'agents' is missing"),
        ("[]", "list"),
        ("{", "Expecting"),
    ],
)
def test_a_profile_that_is_none_is_refused(content: str, message: str, tmp_path: Any) -> None:
    (tmp_path / "profile.json").write_text(content)
    for load in (load_profile, load_rounds):
        with pytest.raises(ValueError, match=rf"profile\.json: not a profile: .*{message}"):
            load(tmp_path)


def test_agents_with_one_policy_share_a_file(tmp_path: Any) -> None:
    run = run_of("shared", agents=(0, 1, 4))
    result = play_game(dataclasses.replace(run, train=dataclasses.replace(run.train, out=tmp_path)))
    assert [p.name for p in (result.run / "round-0003").glob("*.safetensors")] == ["0-G0.safetensors"]
    profile = load_profile(result.run)
    assert profile[0] is profile[1] is profile[4]
    assert same(profile[0], result.strategies[0])


@pytest.mark.parametrize(
    ("game", "stop", "backend"),
    [
        ("iterated", 6, "torch"),
        ("simultaneous", 7, "torch"),
        ("independent", 4, "torch"),
        ("iterated", 6, "native"),
        ("simultaneous", 4, "native"),
        ("independent", 4, "native"),
    ],
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    game: Schedule, stop: int, backend: Backend, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(game, backend=backend)
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, out=tmp_path))

    def named(name: str) -> GameRun:
        return dataclasses.replace(run, train=dataclasses.replace(run.train, name=name))

    whole = play_game(named("whole"))
    # in the middle of an iteration: after the rollout, or before anything
    learner: Any = BatchedPPO if game == "independent" else PPO
    place, name = (learner, "update") if backend == "torch" else (_core, "train")
    go_on, count = getattr(place, name), 0

    def stopping(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == stop:
            signal.raise_signal(signal.SIGINT)
        return go_on(*arguments, **named)

    monkeypatch.setattr(place, name, stopping)
    cut = play_game(named("cut"))
    assert cut.interrupted
    assert 0 < len(cut.rows) < len(whole.rows)
    resumed = play_game(resume=cut.run)
    assert not resumed.interrupted
    assert all(map(same, resumed.strategies, whole.strategies))
    for file in ("rounds.csv", "profile.json"):
        assert (whole.run / file).read_bytes() == (cut.run / file).read_bytes()
    for round_ in (1, 2, 3):
        assert all(map(same, load_profile(whole.run, round_), load_profile(cut.run, round_)))
    again = play_game(resume=cut.run)  # there is nothing left to do
    assert all(map(same, again.strategies, whole.strategies))


def test_resuming_holds_to_the_settings(tmp_path: Any) -> None:
    run = run_of("iterated", rounds=1)
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, out=tmp_path))
    short = play_game(run)
    with pytest.raises(ValueError, match=r"tolerance: the run to resume has 1\.0, not 2\.0"):
        play_game(
            dataclasses.replace(run, game=dataclasses.replace(run.game, tolerance=2.0)), resume=short.run
        )
    for changes, message in (
        (
            {"name": "zz"},
            r"name: a run goes on in its own folder, .*default-iterated-seed3, not under .*'zz'",
        ),
        ({"out": tmp_path / "elsewhere"}, "out: a run goes on in its own folder, .*, not in '.*elsewhere'"),
        (
            {"ppo": dataclasses.replace(PPO_SETTINGS, gamma=0.25, epochs=3)},
            r"^ppo\.epochs: the run to resume has 2, not 3; "
            r"ppo\.gamma: the run to resume has 0\.5, not 0\.25$",
        ),
    ):
        other = dataclasses.replace(run, train=dataclasses.replace(run.train, **changes))
        with pytest.raises(ValueError, match=message):
            play_game(other, resume=short.run)
    longer = dataclasses.replace(run, game=dataclasses.replace(run.game, rounds=2))
    straight = dataclasses.replace(longer, train=dataclasses.replace(run.train, name="straight"))
    assert all(map(same, play_game(longer, resume=short.run).strategies, play_game(straight).strategies))
    before = {path: path.read_bytes() for path in short.run.rglob("*") if path.is_file()}
    with pytest.raises(
        ValueError, match="rounds: the run to resume has played 2 rounds, 1 leaves nothing to do"
    ):
        play_game(run, resume=short.run)
    assert {path: path.read_bytes() for path in short.run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("left", [("config.json",), ("config.json", "scenario.toml", "rounds.csv")])
@pytest.mark.parametrize("game", ["iterated", "shared"])
def test_a_run_without_a_checkpoint_begins_anew(game: Schedule, left: tuple[str, ...], tmp_path: Any) -> None:
    run = run_of(game)
    whole = play_game(
        dataclasses.replace(run, train=dataclasses.replace(run.train, out=tmp_path, name="whole"))
    )
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in left:
        (killed / name).write_bytes((whole.run / name).read_bytes())
    begun = play_game(resume=killed)
    assert begun.run == killed
    assert all(map(same, begun.strategies, whole.strategies))
    for file in ("rounds.csv", "profile.json", "scenario.toml", "config.json"):
        assert (killed / file).read_bytes() == (whole.run / file).read_bytes()


@pytest.mark.parametrize("moment", ["config.json", "scenario.toml", "checkpoint.pt"])
def test_a_run_killed_at_its_beginning_can_be_resumed(
    moment: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was that it could not write any more, but for its settings."""
    run = run_of("iterated", rounds=1)
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, out=tmp_path, name="run"))
    replace = os.replace

    def killed(source: Any, target: Any) -> None:
        if target.name == moment:
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            play_game(run)
    if moment == "config.json":  # nothing is there: the name is free
        assert play_game(run).run == tmp_path / "run"
    else:
        assert play_game(resume=tmp_path / "run").rows


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"game": "chess"}, "game: must be one of iterated, simultaneous"),
        ({"rounds": 0}, "rounds: must be a whole number of at least 1, got 0"),
        ({"patience": -1}, "patience: must be a whole number of at least 0, got -1"),
        ({"update_probability": 0.0}, r"update_probability: must be in \(0, 1\], got 0.0"),
        ({"tolerance": float("nan")}, "tolerance: must be finite"),
        ({"initial": "angry"}, 'initial: must be "truthful" or a markup'),
        ({"initial": float("inf")}, "initial: a markup must be finite"),
        ({"accept": "never"}, "accept: must be one of better, always"),
        ({"start": "warm"}, "start: must be one of last, fresh"),
        ({"withholding": "no"}, "withholding: must be True or False, got 'no'"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BASE, **changes)


def test_a_game_refuses_what_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="game: must be one of"):
        GameRun(GameConfig())
    with pytest.raises(ValueError, match="learner: is no setting of a game; --agents"):
        GameRun(GameConfig(game="shared"), dataclasses.replace(TRAIN, learner=2))
    with pytest.raises(ValueError, match="total_steps: is no setting of a game"):
        GameRun(GameConfig(game="shared"), dataclasses.replace(TRAIN, total_steps=2))
    for name, value in (
        *(("update_probability", 0.5), ("patience", 3), ("tolerance", 2.0)),
        *(("accept", "always"), ("start", "last"), ("starts", 4)),
    ):
        for game in ("independent", "shared"):
            with pytest.raises(
                ValueError,
                match=f"{name}: is no setting of {game} learning, only of iterated, simultaneous, fic",
            ):
                GameRun(GameConfig(game=game, **{name: value}))
    for game in ("iterated", "simultaneous", "independent", "shared"):
        with pytest.raises(ValueError, match=f"pool: is no setting of a game that is {game}, only of a fict"):
            GameRun(GameConfig(game=game, pool=3))
    with pytest.raises(ValueError, match="agents: 'G4' is named twice"):
        BestResponse(run_of("iterated", agents=(4, "G4")), DEFAULT)
    with pytest.raises(ValueError, match="G9"):
        Together(run_of("shared", agents=("G9",)), DEFAULT)
    run = run_of("simultaneous", update_probability=0.5)
    assert GameRun.from_json(run.to_json()) == run
    broken = json.loads(run.to_json())
    broken["game"]["luck"] = 1
    with pytest.raises(ValueError, match=r"game\.luck: no such setting"):
        GameRun.from_json(json.dumps(broken))
