"""The oracle itself: what everything else is held against is held against published figures and hand work."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import vecmarket as vm
from oracle import Market, clear, philox
from oracle.rng import DEMAND_NOISE, Draws


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
            (0xFFFFFFFF, 0xFFFFFFFF),
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_known_answers(
    counter: tuple[int, int, int, int], key: tuple[int, int], words: tuple[int, int, int, int]
) -> None:
    """Known-answer vectors of Random123 for philox4x32-10."""
    assert philox(counter, key) == words


def test_uniform_draws_are_uniform_and_normal_draws_normal() -> None:
    """Mean and variance of 20 000 draws, within five standard errors."""
    count = 20_000
    draws = [Draws(seed, 3) for seed in range(count)]
    uniform = np.array([d.uniform(DEMAND_NOISE) for d in draws])
    normal = np.array([d.normal(DEMAND_NOISE, step=1) for d in draws])
    assert ((uniform > 0) & (uniform < 1)).all()
    assert abs(uniform.mean() - 0.5) < 5 * np.sqrt(1 / 12 / count)
    assert abs(normal.mean()) < 5 * np.sqrt(1 / count)
    assert abs(normal.var() - 1) < 5 * np.sqrt(2 / count)


def test_clearing_worked_out_by_hand() -> None:
    result = clear([10.0, 20.0, 20.0, 30.0], [5.0, 6.0, 2.0, 9.0], 9.0)
    assert result.price == 20.0
    assert result.dispatch.tolist() == [5.0, 3.0, 1.0, 0.0]
    assert (result.marginal, result.unserved, result.curtailed) == (1, 0.0, 0.0)


def test_an_episode_worked_out_by_hand() -> None:
    scenario = vm.Scenario(
        generators=(vm.Generator(50.0, 10.0), vm.Generator(50.0, 30.0)),
        demand=vm.Demand((40.0, 80.0, 120.0)),
        horizon=3,
        observation=("demand", "cost", "last_price", "last_dispatch"),
        reward=vm.Reward(scale=1.0),
    )
    market = Market(scenario)
    np.testing.assert_allclose(market.reset(), [[40 / 120, 10 / 30, 0, 0], [40 / 120, 1, 0, 0]], rtol=1e-6)
    steps = [market.step(np.zeros((2, 2))) for _ in range(3)]
    assert [s.cleared.price for s in steps] == [10.0, 30.0, 30.0]
    assert steps[1].profits.tolist() == [1000.0, 0.0]
    assert steps[2].cleared.unserved == 20.0
    assert steps[2].rewards.tolist() == [980.0, -20.0]
    assert [s.terminated for s in steps] == [False, False, True]
    np.testing.assert_allclose(steps[2].observations[1], [1, 1, 1, 50 / 50], rtol=1e-6)


def test_the_oracle_stands_on_its_own() -> None:
    """It may read the configuration, and nothing else of the package."""
    for path in Path(__file__).parents[1].joinpath("oracle").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert all(n == "vecmarket.config" for n in names if n.split(".")[0] == "vecmarket"), path.name
