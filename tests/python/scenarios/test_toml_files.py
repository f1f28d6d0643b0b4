"""Scenarios as TOML files: any scenario comes back equal, a hand-written file reads, a bad one is named."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecmarket.config import (
    Bidding,
    Choice,
    Demand,
    Generator,
    MarketRules,
    Normal,
    Reward,
    Scenario,
    Uniform,
)
from vecmarket.scenarios import NAMES, by_name


def numbers(low, high):
    return st.floats(low, high) | st.integers(math.ceil(low), math.floor(high))


def drawn(low, high):
    """Return plain numbers and distributions whose draws lie in [low, high]."""
    value = numbers(low, high)
    pairs = st.tuples(value, value).map(sorted)
    return st.one_of(
        value,
        pairs.filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Uniform(*pair)),
        st.builds(lambda pair, mean, sd: Normal(mean, sd, *pair), pairs, value, numbers(0.0, 10.0)),
        st.lists(value, min_size=1, max_size=4).map(Choice),
    )


@st.composite
def scenarios(draw):
    hours = draw(st.integers(1, 60))
    series = st.lists(st.floats(-1e5, 1e5), min_size=hours, max_size=hours)
    availability = st.floats(0.0, 1.0) | st.lists(st.floats(0.0, 1.0), min_size=hours, max_size=hours)
    names = draw(st.lists(st.text("aZ_09 é\"'\\#\n=.", min_size=1), min_size=1, max_size=5, unique=True))
    generators = [
        Generator(draw(drawn(0.0, 1e4)), draw(drawn(-100.0, 1e3)), name, draw(availability)) for name in names
    ]
    return Scenario(
        # With noise, the fleet has to be as large as the largest base demand.
        generators=(*generators, Generator(2e5, 80.0, "reserve")),
        demand=Demand(
            series_mw=tuple(draw(series)),
            noise=draw(numbers(0.0, 0.3)),
            factor=draw(drawn(0.5, 2.0)),
            first_hour=draw(st.integers(0, 167)),
        ),
        horizon=draw(st.integers(1, hours)),
        rules=MarketRules(
            pricing=draw(st.sampled_from(["uniform", "pay_as_bid"])),
            kink=draw(st.sampled_from(["lower", "upper", "mid"])),
            tie_break=draw(st.sampled_from(["pro_rata", "index", "random"])),
            price_floor=draw(st.none() | drawn(-500.0, 0.0)),
            price_cap=draw(st.none() | drawn(1.0, 5000.0)),
        ),
        bidding=Bidding(max_bid_delta=draw(drawn(0.0, 100.0))),
        reward=Reward(
            bid_penalty=draw(drawn(0.0, 1.0)),
            scale=draw(st.just("seed") | numbers(0.001, 10.0)),
            terms=draw(st.just({}) | drawn(0.0, 2.0).map(lambda weight: {"profit": weight})),
        ),
        observation=draw(st.sampled_from(["basic", "simple_v3"])),
        episode_end=draw(st.sampled_from(["terminate", "truncate"])),
        episode_start=draw(st.sampled_from(["first", "random"])),
        name=draw(st.text("aZ -", max_size=5)),
    )


@settings(max_examples=100)
@given(scenarios())
def test_any_scenario_comes_back_equal(scenario):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.toml"
        scenario.save(path)
        assert Scenario.load(path) == scenario
        assert [p.name for p in Path(folder).iterdir()] == ["scenario.toml"]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_scenarios_come_back_equal(name, tmp_path):
    scenario = by_name(name)
    scenario.save(tmp_path / "a.toml")
    assert Scenario.load(str(tmp_path / "a.toml")) == scenario


def test_days_and_numpy_numbers_come_back(tmp_path):
    scenario = Scenario.ieee_rts(days=np.arange(0, 364, 7)).replace(
        bidding=Bidding(max_bid_delta=np.float64(12.5))
    )
    scenario.save(tmp_path / "a.toml")
    loaded = Scenario.load(tmp_path / "a.toml")
    assert loaded == scenario
    assert loaded.days == tuple(range(0, 364, 7))


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "market.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


BY_HAND = """
name = "two firms"
horizon = 4
generators = [
    { name = "coal", capacity_mw = 60, srmc = 20 },
    { name = "wind", capacity_mw = { uniform = [20, 40] }, srmc = 0, availability = [0.5, 0.25, 1, 0] },
]

[demand]
series_mw = [40, 50, 60, 55]
factor = { normal = { mean = 1, sd = 0.1, low = 0.8, high = 1.2 } }

[rules]
scarcity = "cap"
price_cap = { choice = [200, 1000] }
"""


def test_a_file_written_by_hand(tmp_path):
    assert Scenario.load(write(tmp_path, BY_HAND)) == Scenario(
        generators=(
            Generator(60, 20, "coal"),
            Generator(Uniform(20, 40), 0, "wind", availability=(0.5, 0.25, 1.0, 0.0)),
        ),
        demand=Demand((40.0, 50.0, 60.0, 55.0), factor=Normal(1, 0.1, 0.8, 1.2)),
        horizon=4,
        rules=MarketRules(scarcity="cap", price_cap=Choice((200, 1000))),
        name="two firms",
    )


def test_byte_order_mark_and_line_ends(tmp_path):
    text = b"\xef\xbb\xbf" + BY_HAND.replace("\n", "\r\n").encode()
    assert Scenario.load(write(tmp_path, text)).name == "two firms"


def test_base_names_a_scenario_that_the_rest_changes(tmp_path):
    path = write(tmp_path, 'base = "ieee-rts"\nhorizon = 48\n[demand]\nnoise = 0.02\n[rules]\nkink = "mid"\n')
    base = Scenario.ieee_rts()
    loaded = Scenario.load(path)
    assert loaded.horizon == 48
    assert loaded.demand == Demand(base.demand.series_mw, noise=0.02)
    assert loaded.rules == MarketRules(kink="mid")
    assert (loaded.generators, loaded.episode_start) == (base.generators, base.episode_start)


def test_base_with_another_fleet(tmp_path):
    path = write(tmp_path, 'base = "default"\ngenerators = [{ capacity_mw = 200, srmc = 5 }]\n')
    assert Scenario.load(path).generators == (Generator(200, 5, "G0"),)


DEMAND = "[demand]\nseries_mw = [1]\n"
BAD = {
    "no TOML": ("horizon = 1\nhorizon =\n", r"line 2"),
    "key twice": ("horizon = 1\nhorizon = 2\n", r"line 2"),
    "not UTF-8": (b"name = '\xff'\n", r"can't decode"),
    "unknown key": (
        "horison = 3\n",
        r"unknown key 'horison'; the legal ones are generators, demand, horizon",
    ),
    "unknown rule key": ("[rules]\ncap = 3\n", r"rules: unknown key 'cap'; the legal ones are pricing, kink"),
    "unknown unit key": (
        "generators = [{ mw = 3 }]\n",
        r"generators\[0\]: unknown key 'mw'; the legal .* srmc",
    ),
    "missing key": ("generators = [{ capacity_mw = 3 }]\n", r"generators\[0\]: missing srmc"),
    "missing table": ("generators = [{ capacity_mw = 3, srmc = 1 }]\n", r"missing demand"),
    "nothing": ("", r"missing generators, demand"),
    "no table": ("rules = 'uniform'\n", r"rules: must be a table, got 'uniform'"),
    "no list": ("generators = 5\n", r"generators: must be a list of tables, got 5"),
    "unit no table": ("generators = [5]\n", r"generators\[0\]: must be a table, got 5"),
    "terms no table": ("reward = { terms = 3 }\n", r"reward\.terms: must be a table, got 3"),
    "unknown base": ("base = 'texas'\n", r"base: scenario: unknown name 'texas'; the names are default"),
    "unknown distribution": (
        DEMAND + "noise = { lognormal = [1, 2] }\n",
        r"demand\.noise: unknown distribution {'lognormal': \[1, 2\]}; write { uniform",
    ),
    "three bounds": (DEMAND + "factor = { uniform = [1, 2, 3] }\n", r"demand\.factor: unknown distribution"),
    "two distributions": (
        DEMAND + "factor = { uniform = [1, 2], choice = [1] }\n",
        r"demand\.factor: unknown distribution",
    ),
    "normal without bounds": (
        DEMAND + "factor = { normal = { mean = 1, sd = 2 } }\n",
        r"demand\.factor: unknown distribution",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_named_with_its_place(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        Scenario.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon = 4": "horizon = 0"}, "horizon"),
        ({"capacity_mw = 60": "capacity_mw = -60"}, r"generators\[0\].capacity_mw"),
        ({'scarcity = "cap"': 'scarcity = "fear"'}, "last_offer"),
        ({"[40, 50,": "[40, 'a',"}, r"demand\.series_mw"),
    ],
)
def test_what_the_engine_refuses_names_the_file(tmp_path, change, message):
    text = BY_HAND
    for old, new in change.items():
        text = text.replace(old, new)
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as caught:
        Scenario.load(path)
    assert str(caught.value).startswith(str(path))


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.toml"
    path.write_text("old")

    def refuse(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        Scenario.default().save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.toml"]


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.toml"):
        Scenario.load(tmp_path / "none.toml")
