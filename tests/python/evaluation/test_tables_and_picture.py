from __future__ import annotations

import csv
import dataclasses
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import vecmarket as vm
from evaluation.markets import offer, one_hour
from vecmarket.evaluation import Evaluation, evaluate, print_table, save, truthful
from vecmarket.plots import draw, save_png


@pytest.fixture(scope="module")
def year() -> Evaluation:
    return evaluate(vm.Scenario.ieee_rts(), "U350_1", offer(15.0), days=(42, 43))


def printed(evaluation: Evaluation, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(evaluation, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_names_its_columns_rows_and_units(year: Evaluation) -> None:
    text = printed(year)
    for word in (
        "truthful",
        "policy",
        "best reply",
        "clearing price",
        "$/MWh",
        "U350_1",
        "withheld while running",
        "offer - SRMC while running",
        "markup over SRMC",
        "share of attainable",
    ):
        assert word in text
    profit = next(m for m in year.metrics() if m.key == "profit")
    assert f"{profit.truthful:,.1f}" in text
    assert f"{profit.policy:,.1f}" in text


def test_the_caption_says_why_the_share_in_return_is_another(year: Evaluation) -> None:
    assert "Return: rewards, which are profit less penalties" in " ".join(printed(year).split())
    # With a penalty on dear offers, a price asked around the clock costs return but no profit.
    always = one_hour([(50.0, 10.0), (50.0, 20.0), (50.0, 40.0)], 60.0)
    demand = dataclasses.replace(always.demand, series_mw=(60.0, 125.0))
    always = always.replace(demand=demand, horizon=2)
    free = evaluate(always, 2, offer(40.0))
    assert free.return_share == pytest.approx(free.profit_share, abs=1e-4)
    fined = evaluate(always.replace(reward=vm.Reward(bid_penalty=0.01, scale=1.0)), 2, offer(40.0))
    assert fined.profit_share == pytest.approx(free.profit_share, abs=1e-4)
    assert fined.return_share is not None
    assert fined.profit_share is not None
    assert fined.return_share < fined.profit_share - 0.005


def test_the_table_fits_eighty_columns(year: Evaluation) -> None:
    text = printed(year)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_an_undefined_share_is_a_dash() -> None:
    no_gain = evaluate(one_hour([(100.0, 20.0), (100.0, 20.0)], 50.0), 0, truthful)
    line = next(row for row in printed(no_gain).splitlines() if "share of attainable" in row)
    assert "-" in line
    assert "nan" not in line


def test_files_hold_what_was_played(year: Evaluation, tmp_path: Path) -> None:
    json_path, csv_path = save(year, tmp_path / "run")
    stored = json.loads(json_path.read_text())
    assert stored["days"] == [42, 43]
    assert stored["hours"] == 48
    assert stored["metrics"]["profit"]["policy"] == pytest.approx(year.policy.profit.mean())

    with csv_path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 48
    policy = [float(r["profit"]) for r in rows if r["bidding"] == "policy"]
    np.testing.assert_allclose(policy, year.policy.profit.ravel(), rtol=1e-5)
    assert {int(r["day"]) for r in rows} == {42, 43}

    assert stored["metrics"]["withheld"]["label"] == "withheld while running"
    assert stored["metrics"]["offer_markup"]["label"] == "offer - SRMC while running"
    assert stored["metrics"]["markup"]["label"] == "markup over SRMC"


def test_files_are_replaced_whole_and_nothing_is_left_beside(year: Evaluation, tmp_path: Path) -> None:
    for _ in range(2):
        save(year, tmp_path)
        save_png(year, tmp_path / "evaluation.png")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "evaluation.csv",
        "evaluation.json",
        "evaluation.png",
    ]
    assert (tmp_path / "evaluation.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_shows_what_was_played(year: Evaluation) -> None:
    figure = draw(year)
    prices, demand, order = (
        next(a for a in figure.axes if a.get_label() == name) for name in ("prices", "demand", "merit order")
    )
    drawn = {line.get_label().partition(":")[0]: line.get_ydata() for line in prices.get_lines()}
    gain = (year.best_profit.profit - year.truthful.profit).sum(axis=1)
    day = int(gain.argmax())
    np.testing.assert_array_equal(drawn["policy"][:-1], year.policy.price[day])
    np.testing.assert_array_equal(drawn["truthful"][:-1], year.truthful.price[day])
    np.testing.assert_array_equal(drawn["best reply"][:-1], year.best_profit.price[day])
    assert len(order.patches) == 32
    assert all("$/MWh" in a.get_ylabel() for a in (prices, order))
    assert "MW" in demand.get_ylabel()


@pytest.mark.parametrize(
    ("scenario", "policy"),
    [
        (one_hour([(50.0, 10.0), (50.0, 20.0)], 60.0), offer(0.0, withheld=1.0)),
        (one_hour([(50.0, -10.0), (50.0, 20.0)], 30.0), truthful),
        (one_hour([(50.0, 10.0), (50.0, 20.0)], -5.0), truthful),
        (one_hour([(50.0, 10.0)], 60.0), truthful),
        (one_hour([(0.0, 10.0), (50.0, 20.0)], 10.0), truthful),
    ],
    ids=["all withheld", "negative price", "negative demand", "shortage, alone", "zero capacity"],
)
def test_odd_markets_are_drawn_and_tabled_without_a_warning(
    scenario: vm.Scenario, policy: object, tmp_path: Path
) -> None:
    result = evaluate(scenario, 0, policy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_png(result, tmp_path / "odd.png")
        assert "nan" not in printed(result)
        save(result, tmp_path)


def test_names_that_look_like_markup_are_printed_as_they_are() -> None:
    scenario = one_hour([(50.0, 10.0), (50.0, 20.0)], 60.0)
    units = tuple(
        dataclasses.replace(unit, name=name)
        for unit, name in zip(scenario.generators, ("[/x]", "Coal [old]"), strict=True)
    )
    console = Console(record=True, width=120, file=io.StringIO())
    for learner in ("[/x]", "Coal [old]"):
        print_table(evaluate(scenario.replace(generators=units), learner, truthful), console)
        assert learner in console.export_text()
