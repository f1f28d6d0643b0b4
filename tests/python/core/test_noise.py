"""Demand noise and drawn numbers: spread, bounds, and what they are keyed by.

Seeds are fixed; statistics have to lie within five standard errors.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import vecmarket as vm
from core.scenes import truthful

ENVS, HOURS = 4000, 6
SERIES = (100.0, 120.0, 90.0, 110.0, 100.0, 80.0)


def market(capacity: float = 400.0, noise: float = 0.05, **options: object) -> vm.Scenario:
    return vm.Scenario(
        generators=(vm.Generator(capacity, 10.0),), demand=vm.Demand(SERIES, noise=noise), horizon=HOURS
    ).replace(**options)


def demands(
    scenario: vm.Scenario, seed: int = 0, envs: int = ENVS, start: int | None = None
) -> NDArray[np.float64]:
    """Play one episode; return the demand of every hour, (T, N)."""
    engine = vm.Engine(scenario, envs, seed=seed)
    engine.reset(start=start)
    played = []
    for _ in range(scenario.horizon):
        engine.step(truthful(envs, engine.num_agents))
        played.append(engine.demand.copy())
    return np.array(played)


def test_mean_and_spread() -> None:
    """Bounds are far away here: standard deviation 0.05 * 120 = 6 MW in every hour."""
    noise = demands(market()) - np.array(SERIES)[:, None]
    assert np.abs(noise.mean(axis=1)).max() < 5 * 6 / np.sqrt(ENVS)
    assert np.abs(noise.std(axis=1) - 6).max() < 5 * 6 / np.sqrt(2 * ENVS)


def test_hours_and_environments_are_independent() -> None:
    noise = demands(market()) - np.array(SERIES)[:, None]
    between_hours = np.corrcoef(noise)
    np.fill_diagonal(between_hours, 0)
    assert np.abs(between_hours).max() < 5 / np.sqrt(ENVS)
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 5 / np.sqrt(ENVS * HOURS)


def test_noise_is_clipped_at_half_the_least_demand_and_half_the_spare_capacity() -> None:
    scenario = market(capacity=140.0, noise=1.0)
    noise = demands(scenario) - np.array(SERIES)[:, None]
    assert noise.min() == pytest.approx(-40.0, abs=1e-12)
    assert noise.max() == pytest.approx(10.0, abs=1e-12)
    # With a standard deviation of 120 MW the clips take P(z < -1/3) and P(z > 1/12) of all draws.
    at_the_bottom, at_the_top = (noise < -39.999).mean(), (noise > 9.999).mean()
    assert at_the_bottom == pytest.approx(0.36944, abs=5 * np.sqrt(0.25 / noise.size))
    assert at_the_top == pytest.approx(0.46679, abs=5 * np.sqrt(0.25 / noise.size))


def test_noise_never_goes_down_where_demand_reaches_zero() -> None:
    scenario = market().replace(demand=vm.Demand((0.0, 50.0, 50.0, 50.0, 50.0, 50.0), noise=0.2))
    assert (demands(scenario) >= np.array([0.0, 50.0, 50.0, 50.0, 50.0, 50.0])[:, None]).all()


def test_no_noise_is_no_noise() -> None:
    assert (demands(market(noise=0.0)) == np.array(SERIES)[:, None]).all()


def test_noise_is_keyed_by_the_step_and_not_by_the_hour_of_the_series() -> None:
    series = tuple([100.0] * 48)
    scenario = market().replace(demand=vm.Demand(series, noise=0.05), horizon=4)
    first, later = (demands(scenario, seed=3, envs=2, start=start) for start in (0, 17))
    assert first.tobytes() == later.tobytes()


def test_past_the_end_of_the_series_the_last_hour_is_seen_again() -> None:
    engine = vm.Engine(market().replace(observation=("demand",)), 8)
    engine.reset()
    for _ in range(HOURS):
        seen = engine.observations.copy()
        engine.step(truthful(8, 1))
    assert engine.observations.tobytes() == seen.tobytes()


def test_a_window_that_ends_inside_the_series_shows_the_next_hour_as_it_will_be() -> None:
    """The terminal observation of a short window is what a longer window sees at that step."""
    series = tuple(np.linspace(50, 150, 48).tolist())
    short = market().replace(demand=vm.Demand(series, noise=0.05), observation=("demand",), horizon=5)
    ends, goes_on = vm.Engine(short, 3, seed=1), vm.Engine(short.replace(horizon=9), 3, seed=1)
    ends.reset()
    goes_on.reset()
    for _ in range(5):
        ends.step(truthful(3, 1))
        goes_on.step(truthful(3, 1))
    assert ends.terminated.all()
    assert not goes_on.terminated.any()
    assert ends.observations.tobytes() == goes_on.observations.tobytes()


@pytest.mark.parametrize("distribution", [vm.Uniform(10.0, 30.0), vm.Normal(20.0, 4.0, 10.0, 30.0)])
def test_a_drawn_number_has_the_mean_of_its_distribution(distribution: vm.Number) -> None:
    engine = vm.Engine(market(noise=0.0).replace(generators=(vm.Generator(400.0, distribution),)), ENVS)
    engine.reset()
    costs = engine.fleet()[1][:, 0]
    assert ((costs >= 10) & (costs <= 30)).all()
    assert abs(costs.mean() - 20) < 5 * costs.std() / np.sqrt(ENVS)
    inside = costs[(costs > 10) & (costs < 30)]
    assert len(np.unique(inside)) == len(inside) > 0.98 * ENVS


def test_a_choice_takes_each_value_equally_often() -> None:
    engine = vm.Engine(
        market(noise=0.0).replace(generators=(vm.Generator(vm.Choice((1.0, 2.0, 4.0)), 1.0),)), ENVS
    )
    engine.reset()
    values, counts = np.unique(engine.fleet()[0], return_counts=True)
    assert values.tolist() == [1.0, 2.0, 4.0]
    assert np.abs(counts - ENVS / 3).max() < 5 * np.sqrt(ENVS * 2 / 9)


def test_random_days_are_drawn_equally_often_and_only_from_those_allowed() -> None:
    series = tuple([100.0] * (24 * 8))
    scenario = market(noise=0.0).replace(
        demand=vm.Demand(series), horizon=24, episode_start="random_day", days=(1, 4, 6, 7)
    )
    engine = vm.Engine(scenario, ENVS)
    engine.reset()
    days, counts = np.unique(engine.clock()[1] / 24, return_counts=True)
    assert days.tolist() == [1, 4, 6, 7]
    assert np.abs(counts - ENVS / 4).max() < 5 * np.sqrt(ENVS * 3 / 16)
