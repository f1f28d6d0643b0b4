"""Intervals over training seeds against scipy's own, and games that do not belong together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

import vecmarket as vm
from vecmarket.evaluation import Grid, evaluate_profile, over_seeds, t_interval


def test_the_interval_is_students() -> None:
    samples = np.random.default_rng(0).normal(5.0, 2.0, size=(7, 3))
    for level in (0.5, 0.95, 0.99):
        interval = t_interval(samples, level)
        low, high = stats.t.interval(level, 6, loc=samples.mean(axis=0), scale=stats.sem(samples, axis=0))
        np.testing.assert_allclose(interval.mean - interval.half_width, low, rtol=1e-12)
        np.testing.assert_allclose(interval.mean + interval.half_width, high, rtol=1e-12)
        np.testing.assert_array_equal(interval.least, samples.min(axis=0))
        np.testing.assert_array_equal(interval.most, samples.max(axis=0))
    # The table's own number for two samples: 12.706.
    assert t_interval([0.0, 2.0]).half_width == pytest.approx(12.706, abs=1e-3)


def test_the_interval_covers_as_often_as_it_says() -> None:
    samples = np.random.default_rng(1).normal(size=(5, 20_000))
    interval = t_interval(samples)
    covered = (np.abs(interval.mean) <= interval.half_width).mean()
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 20_000))


def test_undefined_samples_do_not_count() -> None:
    nan = math.nan
    interval = t_interval([[1.0, 1.0, nan], [3.0, nan, nan], [5.0, nan, nan]])
    assert interval.samples.tolist() == [3, 1, 0]
    np.testing.assert_allclose(interval.mean, [3.0, 1.0, nan])
    np.testing.assert_allclose(interval.least, [1.0, 1.0, nan])
    assert interval.half_width[0] == pytest.approx(stats.t.ppf(0.975, 2) * 2.0 / math.sqrt(3))
    assert np.isnan(interval.half_width[1:]).all()


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [([], 0.95, "at least one"), ([1.0, 2.0], 95, "level"), (1.0, 0.5, "at least")],
)
def test_bad_samples_are_refused(values: Any, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        t_interval(values, level)


def test_figures_over_seeds() -> None:
    scenario = vm.Scenario.default()
    evaluations = [evaluate_profile(scenario, {"G4": markup}, episodes=8) for markup in (10.0, 20.0, 30.0)]
    figures = over_seeds(evaluations)
    assert (figures.seeds, figures.hours) == (3, tuple(range(24)))
    prices = [e.figures.overall("price") for e in evaluations]
    price = figures.market["price"]
    assert price.mean.shape == (25,)
    assert price.mean[0] == pytest.approx(np.mean(prices))
    assert price.half_width[0] == pytest.approx(stats.t.ppf(0.975, 2) * np.std(prices, ddof=1) / math.sqrt(3))
    assert (price.least[0], price.most[0]) == (min(prices), max(prices))
    assert figures.by_agent["profit"].mean.shape == (25, 5)
    assert figures.market["hhi_capacity"].half_width[0] == 0.0


def test_games_that_differ_are_not_put_together() -> None:
    scenario = vm.Scenario.default()
    first = evaluate_profile(scenario, None, episodes=4)
    others = {
        "scenario": evaluate_profile(vm.Scenario.default(4), None, episodes=4),
        "days": evaluate_profile(scenario, None, episodes=5),
        "seeds of the episodes": evaluate_profile(scenario, None, episodes=4, seed=1),
        "deviators": evaluate_profile(scenario, None, episodes=4, deviators="G4"),
        "grid": evaluate_profile(scenario, None, episodes=4, grid=Grid.critical(below=0.1)),
    }
    for what, other in others.items():
        with pytest.raises(ValueError, match=rf"evaluations\[1\]: is of another game, its {what} differ"):
            over_seeds([first, other])
    with pytest.raises(ValueError, match="at least one"):
        over_seeds([])
