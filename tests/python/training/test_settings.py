"""The settings of a run: what is refused, JSON, and the seeds that follow from them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from vecmarket.training import PPOConfig, TrainConfig, market_ppo
from vecmarket.training.seeding import STREAMS, stream_seed


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("rollout_steps", 0, r"ppo\.rollout_steps: must be a whole number of at least 1, got 0"),
        ("epochs", 1.5, r"ppo\.epochs: must be a whole number"),
        ("minibatches", True, r"ppo\.minibatches: must be a whole number"),
        ("hidden", (64, 0), r"ppo\.hidden\[1\]: must be a whole number"),
        ("gamma", 1.01, r"ppo\.gamma: must be finite and in \[0\.0, 1\.0\], got 1\.01"),
        ("gae_lambda", float("nan"), r"ppo\.gae_lambda: must be finite"),
        ("entropy_coefficient", -0.1, r"ppo\.entropy_coefficient: must be finite"),
        ("value_coefficient", float("inf"), r"ppo\.value_coefficient: must be finite"),
        ("learning_rate", 0.0, r"ppo\.learning_rate: must be positive and finite, got 0\.0"),
        ("clip_range", float("nan"), r"ppo\.clip_range: must be positive"),
        ("target_kl", -1.0, r"ppo\.target_kl: must be positive"),
        ("value_clip_range", 0.0, r"ppo\.value_clip_range: must be positive"),
        ("initial_log_std", float("inf"), r"ppo\.initial_log_std: must be finite and in .* got inf"),
        ("final_log_std", -21, r"ppo\.final_log_std: must be finite and in \[-20\.0, 20\.0\], got -21"),
        ("log_std_power", 0.0, r"ppo\.log_std_power: must be positive and finite, got 0\.0"),
        ("observation_range", 0, r"ppo\.observation_range: must be positive"),
        ("schedule", "cosine", r"ppo\.schedule: must be one of linear, constant, got 'cosine'"),
        ("activation", "gelu", r"ppo\.activation: must be one of tanh, relu, silu, got 'gelu'"),
    ],
)
def test_bad_ppo_settings_are_named(setting, value, message):
    with pytest.raises(ValueError, match=message):
        PPOConfig(**{setting: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total_steps": 0}, "total_steps: must be a whole number of at least 1, got 0"),
        ({"num_envs": 2.0}, "num_envs: must be a whole number"),
        ({"checkpoint_every": 0}, "checkpoint_every: must be"),
        ({"seed": -1}, "seed: must be a whole number of at least 0, got -1"),
        ({"torch_threads": -1}, "torch_threads: must be"),
        ({"backend": "jax"}, "backend: must be one of native, torch, got 'jax'"),
        ({"device": "cuda"}, "device: the native backend runs on the CPU, got 'cuda'"),
        ({"scenario": "csv"}, 'fleet: the scenario "csv" needs a fleet table'),
        ({"scenario": "csv", "fleet": Path("f.csv")}, "demand: the scenario"),
        ({"renewables": Path("r.csv")}, "renewables: only the scenario \"csv\" takes tables, .* 'ieee-rts'"),
        ({"rivals": "greedy"}, "rivals: must be \"truthful\" or a markup in \\$/MWh, got 'greedy'"),
        ({"rivals": float("nan")}, "rivals: a markup must be finite, got nan"),
        ({"name": "a/b"}, "name: must be a plain folder name, got 'a/b'"),
    ],
)
def test_bad_run_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_settings_survive_json():
    config = TrainConfig(
        scenario="csv",
        fleet=Path("a/fleet.csv"),
        demand=Path("load.csv"),
        learner=3,
        rivals=2.5,
        backend="torch",
        ppo=dataclasses.replace(market_ppo(), hidden=(32,), target_kl=0.02),
    )
    assert TrainConfig.from_json(config.to_json()) == config
    assert TrainConfig.from_json(TrainConfig().to_json()) == TrainConfig()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"ppo": {}, "num_envs": 0}', '{"ppo": 3}', '{"ppo": {"x": 1}}']
)
def test_json_that_holds_no_settings(text):
    with pytest.raises(ValueError, match=r"settings: |num_envs: |ppo\.x: no such setting"):
        TrainConfig.from_json(text)


def test_the_market_discounts_nothing_it_cannot_change():
    assert market_ppo().gamma == 0.0
    assert TrainConfig().ppo == market_ppo()


def test_streams_of_all_runs_lie_apart():
    """Environments of two runs, seeded s, s + 1, ..., must not overlap; nor may any two streams."""
    seeds = sorted(stream_seed(seed, stream) for seed in range(200) for stream in STREAMS)
    seeds += [stream_seed(0, "environments", restart=1)]
    assert all(0 <= s < 2**63 for s in seeds)
    assert min(b - a for a, b in itertools.pairwise(sorted(seeds))) > 2**20
    assert stream_seed(7, "actions") == stream_seed(7, "actions")
