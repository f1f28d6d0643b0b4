"""The baselines play the same market as the engine, so that their times can be compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import vecmarket as vm
from bench.baselines import numba_clear, numpy_batch, python_env
from bench.baselines.fleet import Fleet, fleet_of
from bench.baselines.numba_batch import NumbaBatch
from bench.baselines.numpy_batch import NumpyBatch
from bench.baselines.observers import PRESETS, NumbaObserver, PythonObserver
from bench.baselines.python_env import PythonEnv
from bench.baselines.python_step import PythonStep
from bench.plan import draw_actions

Floats = NDArray[np.float64]
Clear = Callable[[Floats, Floats, float], tuple[float, Floats, float]]

PRICE = 1e-9  # $/MWh and MW: all sides clear in f64
FROM_ACTIONS = 1e-5  # $/MWh: a float32 action goes through tanh, times 50
REWARD = 1e-6  # rewards are float32 of order 0.01


def _numba_many(prices: Floats, quantities: Floats, demand: float) -> tuple[float, Floats, float]:
    price, dispatch, unserved = numba_clear.clear_many(prices[None], quantities[None], np.array([demand]))
    return float(price[0]), dispatch[0], float(unserved[0])


def _numpy(prices: Floats, quantities: Floats, demand: float) -> tuple[float, Floats, float]:
    price, dispatch, unserved = numpy_batch.clear_batch(prices[None], quantities[None], np.array([demand]))
    return float(price[0]), dispatch[0], float(unserved[0])


def _python(prices: Floats, quantities: Floats, demand: float) -> tuple[float, Floats, float]:
    price, dispatch, unserved = python_env.clear(prices.tolist(), quantities.tolist(), demand)
    return price, np.array(dispatch), unserved


CLEARINGS: dict[str, Clear] = {
    "numba": numba_clear.clear,
    "numba batch": _numba_many,
    "numpy": _numpy,
    "python": _python,
}


@pytest.mark.parametrize("clear", CLEARINGS.values(), ids=list(CLEARINGS))
@given(
    # Whole numbers from small ranges: ties, kinks, empty offers and shortage come by themselves.
    offers=st.lists(st.tuples(st.integers(-3, 6), st.integers(0, 4)), min_size=1, max_size=12),
    demand=st.integers(-2, 30),
)
def test_clears_like_the_package(clear: Clear, offers: list[tuple[int, int]], demand: int) -> None:
    prices, quantities = np.array(offers, np.float64).T.copy()
    expected = vm.clear(prices, quantities, float(demand))
    price, dispatch, unserved = clear(prices, quantities, float(demand))
    assert price == pytest.approx(expected.price, abs=PRICE)
    np.testing.assert_allclose(dispatch, expected.dispatch, atol=PRICE)
    assert unserved == pytest.approx(expected.unserved, abs=PRICE)


@pytest.mark.parametrize("generators", [5, 50, 300])
@pytest.mark.parametrize("clear", CLEARINGS.values(), ids=list(CLEARINGS))
def test_clears_larger_markets_like_the_package(clear: Clear, generators: int) -> None:
    rng = np.random.default_rng(generators)
    for _ in range(20):
        prices, quantities = rng.uniform(-30, 90, generators), rng.uniform(0, 30, generators)
        demand = float(rng.uniform(0.1, 1.2) * quantities.sum())
        expected = vm.clear(prices, quantities, demand)
        price, dispatch, unserved = clear(prices, quantities, demand)
        assert price == pytest.approx(expected.price, abs=PRICE)
        np.testing.assert_allclose(dispatch, expected.dispatch, atol=1e-6)
        assert unserved == pytest.approx(expected.unserved, abs=1e-6)


def _scenario(generators: int, noise: float) -> tuple[vm.Scenario, Fleet]:
    scenario = vm.Scenario.default(generators)
    demand = vm.Demand(scenario.demand.series_mw, noise=noise, first_hour=scenario.demand.first_hour)
    scenario = scenario.replace(demand=demand)
    return scenario, fleet_of(scenario)


@pytest.mark.parametrize("draw", ["normal", "uniform"])
@pytest.mark.parametrize("generators", [1, 5, 40])
@pytest.mark.parametrize("kind", [NumbaBatch, NumpyBatch])
def test_batches_step_like_the_engine(
    kind: type[NumbaBatch | NumpyBatch], generators: int, draw: str
) -> None:
    scenario, fleet = _scenario(generators, noise=0.05)
    engine, batch = vm.Engine(scenario, 7, threads=1), kind(fleet, 7)
    engine.reset()
    batch.reset()
    for actions in draw_actions(draw, 7, generators):
        engine.step(actions)
        batch.next_demand[:] = engine.demand  # the noise is the engine's
        batch.step(actions)
        np.testing.assert_allclose(batch.prices, engine.prices, atol=FROM_ACTIONS)
        np.testing.assert_allclose(batch.dispatch, engine.dispatch, atol=FROM_ACTIONS)
        np.testing.assert_allclose(batch.rewards, engine.rewards, atol=REWARD)
        np.testing.assert_array_equal(batch.demand, engine.demand)
        np.testing.assert_array_equal(batch.terminated, engine.terminated)
        np.testing.assert_array_equal(batch.truncated, engine.truncated)
        np.testing.assert_allclose(batch.observations[:, :, 1:], engine.observations[:, :, 1:], atol=1e-6)
    assert engine.terminated.all()


def test_the_python_step_is_the_engines() -> None:
    scenario, fleet = _scenario(5, noise=0.05)
    engine, python = vm.Engine(scenario, 1, threads=1), PythonStep(fleet)
    engine.reset()
    python.reset()
    for actions in draw_actions("normal", 1, 5):
        engine.step(actions)
        python.next_demand = float(engine.demand[0])
        python.step(actions[0])
        assert python.price == pytest.approx(engine.prices[0], abs=FROM_ACTIONS)
        np.testing.assert_allclose(python.dispatch, engine.dispatch[0], atol=FROM_ACTIONS)
        np.testing.assert_allclose(python.rewards, engine.rewards[0], atol=REWARD)
        np.testing.assert_allclose(python.observations[:, 1:], engine.observations[0, :, 1:], atol=1e-6)
        assert python.terminated == engine.terminated[0]


@pytest.mark.parametrize("kind", [NumbaBatch, NumpyBatch])
def test_batches_observe_the_demand_that_comes(kind: type[NumbaBatch | NumpyBatch]) -> None:
    scenario, fleet = _scenario(5, noise=0.0)
    engine, batch = vm.Engine(scenario, 3, threads=1), kind(fleet, 3)
    np.testing.assert_allclose(batch.reset(), engine.reset(), atol=1e-6)
    for actions in draw_actions("normal", 3, 5):
        engine.step(actions)
        batch.step(actions)
        np.testing.assert_allclose(batch.observations, engine.observations, atol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("generators", [1, 5, 40])
def test_observers_write_the_engines_rows(preset: str, generators: int) -> None:
    scenario, fleet = _scenario(generators, noise=0.05)
    engine = vm.Engine(scenario.replace(observation=preset), 7, threads=1)
    numba, python = NumbaObserver(fleet, preset, 7), PythonObserver(fleet, preset)
    seen = engine.reset().copy()
    for hour, actions in enumerate(draw_actions("normal", 7, generators)):
        observed, *_ = engine.step(actions)
        # The demand that this step cleared is the one that was observed before it.
        np.testing.assert_allclose(numba.observe(engine.demand, np.full(7, hour)), seen, atol=1e-6)
        for row, demand in zip(seen, engine.demand, strict=True):
            np.testing.assert_allclose(np.array(python.observe(float(demand), hour)), row, atol=1e-6)
        seen = observed.copy()


def test_an_observer_of_another_preset_is_refused() -> None:
    _, fleet = _scenario(5, noise=0.0)
    with pytest.raises(ValueError, match="preset: must be one of simple_v3, basic, got 'simple'"):
        NumbaObserver(fleet, "simple", 3)


@pytest.mark.parametrize("learner", [0, 4])
def test_one_learner_meets_the_same_rivals(learner: int) -> None:
    scenario, fleet = _scenario(5, noise=0.0)
    vector = vm.MarketVectorEnv(3, scenario, learner=learner, threads=1)
    batch, env = NumbaBatch(fleet, 3, learner=learner), PythonEnv(fleet, learner=learner)
    first, _ = vector.reset(seed=0)
    np.testing.assert_allclose(batch.reset()[:, 0], first, atol=1e-6)
    np.testing.assert_allclose(env.reset(seed=0)[0], first[0], atol=1e-6)
    for actions in draw_actions("normal", 3, 1):
        observations, rewards, terminated, _, infos = vector.step(actions[:, 0])
        batch.step(actions)
        seen, reward, ended, _, info = env.step(actions[0, 0])
        np.testing.assert_allclose(batch.prices, infos["price"], atol=FROM_ACTIONS)
        np.testing.assert_allclose(batch.rewards[:, 0], rewards, atol=REWARD)
        np.testing.assert_allclose(batch.observations[:, 0], observations, atol=1e-6)
        np.testing.assert_allclose(seen, observations[0], atol=1e-6)
        assert reward == pytest.approx(rewards[0], abs=REWARD)
        assert info["price"] == pytest.approx(infos["price"][0], abs=FROM_ACTIONS)
        assert ended == terminated[0] == batch.terminated[0]


@pytest.mark.parametrize("kind", [NumbaBatch, NumpyBatch])
def test_noise_differs_between_environments_and_keeps_its_bounds(kind: type[NumbaBatch | NumpyBatch]) -> None:
    _, fleet = _scenario(5, noise=0.3)
    batch = kind(fleet, 2000)
    batch.reset()
    noise = batch.next_demand - fleet.base_demand[0]
    assert noise.min() == pytest.approx(fleet.noise_low)
    assert noise.max() == pytest.approx(fleet.noise_high)
    inside = noise[(noise > fleet.noise_low) & (noise < fleet.noise_high)]
    assert np.unique(inside).size == inside.size > 100


def test_a_scenario_the_baselines_do_not_play_is_refused() -> None:
    scenario = vm.Scenario.default(5).replace(horizon=12)
    with pytest.raises(ValueError, match=r"demand\.series_mw: .* got 24 for 12 steps"):
        fleet_of(scenario)
    demand = vm.Demand(vm.Scenario.default(5).demand.series_mw, noise=vm.Uniform(0.0, 0.1))
    with pytest.raises(ValueError, match="plain numbers only, got Uniform"):
        fleet_of(vm.Scenario.default(5).replace(demand=demand))
