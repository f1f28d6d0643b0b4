"""Whole runs on the market: what they leave, and that they go on as if they had never stopped."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import vecmarket as vm
from training.toys import same_weights
from vecmarket import _core
from vecmarket.scenarios.days import evaluation_days
from vecmarket.training import (
    PPOConfig,
    TrainConfig,
    as_numpy_policy,
    load_checkpoint,
    load_policy,
    save_checkpoint,
    save_policy,
    train,
    trainer,
)
from vecmarket.training.config import Backend

PPO_SETTINGS = PPOConfig(rollout_steps=20, epochs=2, minibatches=3, gamma=0.5, hidden=(8,))
ITERATIONS = 7


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    """Seven iterations on `default`, whose ends of episodes and of rollouts do not coincide."""
    return TrainConfig(
        scenario="default",
        learner=4,
        seed=2,
        num_envs=6,
        total_steps=6 * 20 * ITERATIONS,
        ppo=PPO_SETTINGS,
        out=tmp_path,
        checkpoint_every=3,
        progress=False,
        tensorboard=False,
    )


@pytest.fixture(params=get_args(Backend))
def either(config, request) -> TrainConfig:
    """The same on each backend, for what both promise."""
    return dataclasses.replace(config, backend=request.param)


def named(config: TrainConfig, name: str, **changes) -> TrainConfig:
    return dataclasses.replace(config, name=name, **changes)


def figures(run: Path) -> list[list[str]]:
    """The rows of metrics.csv without the times."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [[v for k, v in row.items() if k not in ("seconds", "steps_per_second")] for row in rows]


@pytest.fixture
def during(monkeypatch):
    """Let something happen in the n-th step: in the environment's own, or in the iteration of the core."""

    def arrange(config: TrainConfig, n: int, happen: Callable[[], None]) -> None:
        native = config.backend == "native"
        place, name = (_core, "train") if native else (vm.MarketVectorEnv, "step")
        go_on, count = getattr(place, name), 0

        def with_it(*arguments, **named):
            nonlocal count
            count += 1
            if count == (-(-n // 20) if native else n):
                happen()
            return go_on(*arguments, **named)

        monkeypatch.setattr(place, name, with_it)

    return arrange


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def raising(error: type[BaseException]) -> Callable[[], None]:
    def happen() -> None:
        raise error

    return happen


def test_what_a_run_leaves(either):
    result = train(named(either, "run", tensorboard=True))
    assert result.run == either.out / "run"
    assert sorted(p.name for p in result.run.iterdir()) == [
        "checkpoint.pt",
        "config.json",
        "metrics.csv",
        "policy.safetensors",
        "scenario.toml",
        "tensorboard",
    ]
    assert result.steps == either.total_steps
    assert not result.interrupted
    assert result.steps_per_second > 0
    assert TrainConfig.from_json((result.run / "config.json").read_text()) == result.config
    assert vm.Scenario.load(result.run / "scenario.toml") == result.scenario == vm.Scenario.default()
    assert [row[0] for row in figures(result.run)] == [str(i + 1) for i in range(ITERATIONS)]
    assert result.figures["iteration"] == ITERATIONS
    rows = np.random.default_rng(0).uniform(0, 1, (5, 7)).astype(np.float32)
    saved = as_numpy_policy(load_policy(result.run / "policy.safetensors"))
    assert np.array_equal(saved(rows), result.policy(rows))


def test_a_seeded_run_repeats(either):
    one, same = train(named(either, "one")), train(named(either, "same", engine_threads=2))
    other = train(named(either, "other", seed=3))
    assert same_weights(one.model, same.model)
    assert figures(one.run) == figures(same.run)
    assert not same_weights(one.model, other.model)


@pytest.mark.parametrize("step", [1, 20 * 3 + 1, 20 * 4 + 13, 20 * 6])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(either, during, step):
    whole = train(named(either, "whole"))
    during(either, step, ctrl_c)
    cut = train(named(either, "cut"))
    assert cut.interrupted
    assert cut.steps == -(-step // 20) * 6 * 20  # the iteration is taken to its end
    assert len(figures(cut.run)) == -(-step // 20)
    assert same_weights(cut.model, load_policy(cut.run / "policy.safetensors"))
    resumed = train(resume=cut.run)
    assert not resumed.interrupted
    assert resumed.steps == whole.steps
    assert same_weights(whole.model, resumed.model)
    assert figures(whole.run) == figures(resumed.run)
    assert resumed.seconds > cut.seconds


def test_an_interrupt_of_the_last_iteration_leaves_nothing_to_do(either, during):
    whole = train(named(either, "whole"))
    during(either, 20 * ITERATIONS, ctrl_c)
    cut = train(named(either, "cut"))
    assert cut.interrupted
    assert same_weights(whole.model, cut.model)
    assert train(resume=cut.run).figures == {}


# A second Ctrl-C does not wait, and is no better than a crash.
@pytest.mark.parametrize(
    "happen", [raising(RuntimeError), raising(KeyboardInterrupt), lambda: (ctrl_c(), ctrl_c())]
)
def test_a_crashed_run_goes_on_from_its_last_checkpoint(either, during, happen):
    whole = train(named(either, "whole"))
    during(either, 20 * 5 + 4, happen)  # two iterations after the checkpoint of the third
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        train(named(either, "crashed"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(figures(either.out / "crashed")) == 5
    assert load_checkpoint(either.out / "crashed" / "checkpoint.pt").learner["iteration"] == 3
    resumed = train(resume=either.out / "crashed" / "checkpoint.pt")
    assert same_weights(whole.model, resumed.model)
    assert figures(whole.run) == figures(resumed.run)


def test_another_process_goes_on_alike(either, during):
    whole = train(named(either, "whole"))
    during(either, 20 * 2 + 5, ctrl_c)
    cut = train(named(either, "cut"))
    command = "import sys, pathlib, vecmarket.training as t; t.train(resume=pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", command, str(cut.run)], check=True, env=environment)
    assert same_weights(whole.model, load_policy(cut.run / "policy.safetensors"))
    assert figures(whole.run) == figures(cut.run)


def test_a_finished_run_has_nothing_left_to_do(either):
    done = train(named(either, "done"))
    again = train(resume=done.run)
    assert same_weights(done.model, again.model)
    assert again.figures == {}
    assert again.seconds == done.seconds
    assert figures(done.run) == figures(again.run)


def test_settings_that_would_change_a_resumed_run_are_refused(config):
    done = train(named(config, "done"))
    for changes, message in (
        ({"total_steps": 5}, "total_steps: the run to resume has 840, not 5"),
        ({"seed": 5}, "seed: the run to resume has 2, not 5"),
        ({"backend": "torch"}, "backend: the run to resume has 'native', not 'torch'"),
        (
            {"ppo": dataclasses.replace(PPO_SETTINGS, epochs=5, gamma=0.75), "seed": 3},
            r"^seed: the run to resume has 2, not 3; ppo\.epochs: the run to resume has 2, not 5; "
            r"ppo\.gamma: the run to resume has 0\.5, not 0\.75$",
        ),
        ({"name": "zz"}, "name: a run goes on in its own folder, .*done, not under the name 'zz'"),
        ({"out": Path("elsewhere")}, "out: a run goes on in its own folder, .*done, not in 'elsewhere'"),
    ):
        with pytest.raises(ValueError, match=message):
            train(dataclasses.replace(config, **changes), resume=done.run)
    assert train(dataclasses.replace(config, engine_threads=2, csv=False), resume=done.run).run == done.run


def test_a_run_that_was_moved_goes_on_where_it_is(config):
    done = train(named(config, "done"))
    moved = config.out / "deep" / "moved"
    moved.parent.mkdir()
    done.run.rename(moved)
    assert train(named(config, "moved", out=moved.parent), resume=moved).run == moved


@pytest.mark.parametrize("left", [("config.json",), ("config.json", "scenario.toml", "metrics.csv")])
def test_a_run_without_a_checkpoint_begins_anew(either, left):
    whole = train(named(either, "whole"))
    killed = either.out / "killed"
    killed.mkdir()
    for name in left:
        (killed / name).write_bytes((whole.run / name).read_bytes())
    with pytest.raises(ValueError, match="seed: the run to resume has 2, not 5"):
        train(dataclasses.replace(either, seed=5), resume=killed)
    begun = train(resume=killed)
    assert begun.run == killed
    assert same_weights(whole.model, begun.model)
    assert figures(whole.run) == figures(killed)
    for name in ("config.json", "scenario.toml"):
        assert (killed / name).read_bytes() == (whole.run / name).read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"config\.json: settings: not a training run's: no JSON: Expecting property name"),
        (b"[]", r"config\.json: settings: not a training run's: must be a JSON object, is list"),
        (b"{}", r"config\.json: settings: not a training run's: 'ppo' is missing"),
        (b'{"ppo": 3}', r"config\.json: settings: not a training run's: 'ppo' must be an object, is 3"),
        (b"\xff\xfe", r"config\.json: .*can't decode"),
    ],
)
def test_a_damaged_file_of_settings_is_named(config, content, message):
    (config.out / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        train(resume=config.out)


def test_nothing_to_resume(config):
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such checkpoint"):
        train(resume=config.out / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"checkpoint\.pt: no such checkpoint"):
        train(resume=config.out)


def test_folders(config):
    short = dataclasses.replace(config, total_steps=1)
    assert [train(short).run.name for _ in range(2)] == ["default-4-seed2", "default-4-seed2-2"]
    with pytest.raises(ValueError, match=r"name: .*default-4-seed2 is taken"):
        train(named(short, "default-4-seed2"))


def test_bad_settings_leave_no_folder(config):
    for changes, message in (
        (
            {"learner": "U350_1"},
            "learner: --learner must name one of .*: unknown name 'U350_1'; the agents are G0",
        ),
        ({"learner": 5}, r"learner: --learner must name one of .*: must be in 0\.\.4, got 5"),
        ({"scenario": "nowhere"}, "scenario: unknown name 'nowhere'; the names are default"),
        ({"backend": "torch", "device": "nowhere"}, "device: 'nowhere' is not a device"),
    ):
        with pytest.raises(ValueError, match=message):
            train(named(config, "bad", **changes))
    assert list(config.out.iterdir()) == []


def test_a_unit_that_is_never_called_trains_without_a_figure_for_its_variance(either):
    scenario = vm.Scenario.default()
    idle = dataclasses.replace(scenario.generators[4], capacity_mw=0.0)
    path = either.out / "idle.toml"
    scenario.replace(
        generators=(*scenario.generators[:4], idle),
        demand=vm.Demand((100.0, 80.0, 90.0), noise=0.1),
        horizon=3,
        reward=vm.Reward(bid_penalty=0.0, unserved_penalty=0.0),
    ).save(path)
    ppo = dataclasses.replace(PPO_SETTINGS, gamma=0.0)
    result = train(named(either, "idle", scenario=str(path), ppo=ppo))
    assert result.figures["episode_return"] == 0.0
    assert np.isnan(result.figures["explained_variance"])
    with (result.run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ITERATIONS
    assert {(row["mean_profit"], row["explained_variance"]) for row in rows} == {("0", "")}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_a_cuda_device(config):
    config = named(config, "cuda", backend="torch", device="cuda")
    result = train(config)
    assert result.steps == config.total_steps
    assert all(weights.isfinite().all() for weights in result.model.state_dict().values())
    assert same_weights(result.model, load_policy(result.run / "policy.safetensors"))
    assert same_weights(train(resume=result.run).model, result.model)


def test_torch_keeps_its_threads(config):
    before = torch.get_num_threads()
    seen = []
    with trainer.torch_threads(before + 1):
        seen.append(torch.get_num_threads())
    train(named(config, "run", total_steps=1, torch_threads=before + 1))
    assert seen == [before + 1]
    assert torch.get_num_threads() == before


def test_training_leaves_out_the_days_of_evaluation(config):
    settings = dataclasses.replace(config, scenario="ieee-rts", learner="U350_1", num_envs=400)
    scenario = trainer.build_scenario(settings)
    learner = trainer._make_learner(settings, scenario)
    held_out = set(evaluation_days(scenario))
    assert len(held_out) == 49
    days = set()
    for seed in range(5):
        learner.env.reset(seed=1000 * seed)
        days |= set((learner.env.engine.clock()[1] // 24).tolist())
    assert len(days) > 250
    assert not days & held_out


def test_rivals_can_ask_for_more(either):
    result = train(named(either, "run", rivals=5))
    prices = [float(row["mean_price"]) for row in csv.DictReader((result.run / "metrics.csv").open())]
    plain = train(named(either, "plain"))
    truthful = [float(row["mean_price"]) for row in csv.DictReader((plain.run / "metrics.csv").open())]
    assert prices[0] > truthful[0] + 2.0


def test_a_scenario_of_ones_own(config, tmp_path):
    path = tmp_path / "mine.toml"
    vm.Scenario.competitive().save(path)
    result = train(dataclasses.replace(config, scenario=str(path), total_steps=1))
    assert result.run.name == "mine-4-seed2"
    assert result.scenario == vm.Scenario.competitive()


def test_paths_are_strings_as_well(config):
    done = train(named(config, "done", out=str(config.out), total_steps=1))
    assert done.config.out == config.out
    model = load_policy(str(done.run / "policy.safetensors"))
    copy = str(config.out / "copy.safetensors")
    save_policy(model, copy)
    assert same_weights(load_policy(copy), done.model)
    checkpoint = load_checkpoint(str(done.run / "checkpoint.pt"))
    save_checkpoint(str(config.out / "copy.pt"), checkpoint)
    assert load_checkpoint(str(config.out / "copy.pt")).config == checkpoint.config
    assert train(resume=str(done.run)).run == done.run
    assert train(done.config, resume=str(done.run / "checkpoint.pt")).run == done.run
    with pytest.raises(FileNotFoundError, match="nowhere: no such policy file"):
        load_policy(str(config.out / "nowhere"))


def test_tables_are_found_by_strings(config):
    tables = {name: f"{name}.csv" for name in ("fleet", "demand", "renewables")}
    settings = dataclasses.replace(config, scenario="csv", **tables)
    assert settings.fleet == Path("fleet.csv")
    assert TrainConfig.from_json(settings.to_json()) == settings
    for name in (*tables, "out"):
        with pytest.raises(ValueError, match=f"{name}: must be a path, got 3"):
            dataclasses.replace(settings, **{name: 3})
