"""What is printed, written and drawn of profiles, seeds and rounds."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import vecmarket as vm
from core.scenes import still
from evaluation.test_rounds import best_response_run, duopoly
from vecmarket.evaluation import (
    AGENT_FIGURES,
    MARKET_FIGURES,
    Grid,
    ProfileEvaluation,
    Rounds,
    Table,
    columns,
    evaluate_profile,
    over_seeds,
    print_profile,
    print_rounds,
    print_seeds,
    save_profile,
    save_rounds,
    save_seeds,
    write_tables,
)
from vecmarket.plots import draw_rounds, save_rounds_png


@pytest.fixture(scope="module")
def found() -> ProfileEvaluation:
    return evaluate_profile(vm.Scenario.default(), {"G3": 5.0, "G4": 30.0}, episodes=8)


@pytest.fixture(scope="module")
def cycle() -> Rounds:
    return Rounds.of(best_response_run(duopoly("pay_as_bid", 80.0), [0.0, 0.0], 60, Grid.critical(below=4.0)))


def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def text(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    written = on.file.getvalue()
    assert max(map(len, written.splitlines())) <= 80
    assert "…" not in written
    assert "nan" not in written
    return written


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_printed_profile_has_the_market_and_the_agents(found: ProfileEvaluation) -> None:
    on = console()
    print_profile(found, on)
    written = text(on)
    for figure in MARKET_FIGURES:
        assert figure.label in written
    assert f"{found.figures.overall('price'):,.2f}" in written
    assert f"{found.exploitability:,.1f} $/h" in written
    assert "Best responses are exact" in written
    line = next(row for row in written.splitlines() if "G4" in row)
    assert f"{found.gains[4]:,.1f}" in line
    assert f"{100 * found.shares[4]:,.1f}" in line


@pytest.mark.parametrize(
    ("grid", "kept"),
    [
        (None, False),
        (Grid.critical(withholding=False), True),
        (Grid(withheld=(0.0,)), False),
        (Grid(residual=False), False),
        (Grid(spacing=None, withheld=(0.0,), residual=False), True),
    ],
)
def test_it_is_said_where_best_responses_withhold_nothing(grid: Grid | None, kept: bool) -> None:
    on = console()
    print_profile(evaluate_profile(vm.Scenario.default(), None, episodes=2, grid=grid), on)
    written = " ".join(text(on).split())
    assert "Best responses are exact, hour by hour." in written
    assert ("They offer all capacity: none withholds." in written) == kept


def test_a_lower_bound_is_called_one() -> None:
    scenario = still([60.0, 60.0], [10.0, 20.0], [50.0, 90.0], observation=("demand", "last_price"))
    follow = lambda seen: np.stack([0 * seen[:, 1], seen[:, 1]], axis=1)  # noqa: E731
    on = console()
    print_profile(evaluate_profile(scenario, {"G1": follow}), on)
    assert "best responses of G0 are lower bounds" in " ".join(text(on).split())
    on = console()
    print_profile(evaluate_profile(scenario, {"G1": follow}, grid=Grid.critical(withholding=False)), on)
    assert "lower bounds. They offer all capacity: none withholds." in " ".join(text(on).split())


def test_a_large_fleet_and_names_like_markup_are_printed() -> None:
    on = console()
    print_profile(evaluate_profile(vm.Scenario.ieee_rts(), None, days=(42,), deviators=["U350_1"]), on)
    assert "U350_1" in text(on)
    units = (vm.Generator(50.0, 10.0, "[/x]"), vm.Generator(50.0, 20.0, "Coal [old]"))
    scenario = still([50.0], [10.0], [60.0]).replace(generators=units)
    found = evaluate_profile(scenario, None)
    on = console()
    print_profile(found, on)
    print_seeds(over_seeds([found]), on)
    print_rounds(Rounds.of([found]), on)
    assert text(on).count("Coal [old]") >= 3


def test_the_files_of_a_profile_hold_its_figures(found: ProfileEvaluation, tmp_path: Path) -> None:
    written = save_profile(found, tmp_path / "run", parquet=False)
    assert [p.name for p in written.files] == ["market.csv", "agents.csv", "hours.csv"]
    assert written.note is None
    market, agents, hours = (rows(p) for p in written.files)
    assert [r["hour_of_day"] for r in market] == ["", *map(str, range(24))]
    for figure in MARKET_FIGURES:
        values = [float(r[figure.key] or "nan") for r in market]
        np.testing.assert_allclose(values, found.figures.market[figure.key], rtol=1e-5, atol=1e-9)
    assert len(agents) == 5 * 25
    assert {(r["agent"], r["bidding"]) for r in agents} >= {("G0", "truthful"), ("G4", "markup 30")}
    for figure in AGENT_FIGURES:
        values = [float(r[figure.key] or "nan") for r in agents]
        kept = found.figures.by_agent[figure.key].T.ravel()
        np.testing.assert_allclose(values, kept, rtol=1e-5, atol=1e-9)
    assert len(hours) == 8 * 24
    np.testing.assert_allclose([float(r["price"]) for r in hours], found.played.price.ravel(), rtol=1e-5)
    gains = np.array([float(r["gain"]) for r in hours])
    assert gains.mean() == pytest.approx(found.exploitability, rel=1e-5)


def test_the_files_over_seeds_hold_the_intervals(found: ProfileEvaluation, tmp_path: Path) -> None:
    figures = over_seeds([found, evaluate_profile(found.scenario, {"G4": 20.0}, episodes=8)])
    market, agents = (rows(p) for p in save_seeds(figures, tmp_path, parquet=False).files)
    price = next(r for r in market if r["figure"] == "price" and r["hour_of_day"] == "")
    assert float(price["mean"]) == pytest.approx(figures.market["price"].mean[0], rel=1e-5)
    assert float(price["half_width"]) == pytest.approx(figures.market["price"].half_width[0], rel=1e-5)
    assert (price["samples"], price["unit"]) == ("2", "$/MWh")
    gain = next(r for r in agents if (r["agent"], r["figure"], r["hour_of_day"]) == ("G4", "gain", "7"))
    assert float(gain["most"]) == pytest.approx(figures.by_agent["gain"].most[8, 4], rel=1e-5)
    assert len(market) == 25 * len(MARKET_FIGURES)
    assert len(agents) == 5 * 25 * len(AGENT_FIGURES)
    on = console()
    print_seeds(figures, on)
    assert "over 2 training seeds" in text(on)


def test_a_cycle_is_written_and_printed_as_one(cycle: Rounds, tmp_path: Path) -> None:
    rounds, dynamics = (rows(p) for p in save_rounds(cycle, tmp_path, parquet=False).files)
    assert len(rounds) == 60
    np.testing.assert_allclose([float(r["price"]) for r in rounds], cycle.price, rtol=1e-5)
    np.testing.assert_allclose([float(r["profit_B"]) for r in rounds], cycle.profit[:, 1], rtol=1e-5)
    price = next(r for r in dynamics if r["series"] == "price")
    assert (price["kind"], price["period"], price["settled_from"]) == ("cycling", "16", "")
    on = console()
    print_rounds(cycle, on)
    written = " ".join(text(on).split())
    assert "60 rounds: cycling" in written
    assert "price cycling: period 16 rounds, amplitude 56" in written
    assert "│ 59 │" in written


def test_without_pyarrow_the_result_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "find_spec", lambda name: None)
    table = Table("small", {"x": [1, 2], "y": [0.5, float("nan")], "z": ["a", None]})
    written = write_tables([table], tmp_path)
    assert [p.name for p in written.files] == ["small.csv"]
    assert written.note == columns.NO_PARQUET
    assert (tmp_path / "small.csv").read_text().splitlines() == ["x,y,z", "1,0.5,a", "2,,"]
    with pytest.raises(ImportError, match="pyarrow is not installed"):
        write_tables([Table("other", {"x": [1]})], tmp_path, parquet=True)
    assert not (tmp_path / "other.csv").exists()


def test_parquet_holds_every_digit_and_nulls(found: ProfileEvaluation, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    written = save_profile(found, tmp_path)
    assert written.note is None
    assert [p.suffix for p in written.files] == [".csv", ".parquet"] * 3
    market = parquet.read_table(tmp_path / "market.parquet").to_pydict()
    assert market["hour_of_day"] == [None, *range(24)]
    assert market["price"] == found.figures.market["price"].tolist()
    assert market["volatility"][1] is None  # the first hour has none before it
    agents = parquet.read_table(tmp_path / "agents.parquet").to_pydict()
    assert agents["agent"][:2] == ["G0", "G0"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written.files)


def test_the_picture_shows_the_rounds_and_says_how_they_end(cycle: Rounds, tmp_path: Path) -> None:
    figure = draw_rounds(cycle)
    panels = {axes.get_label(): axes for axes in figure.axes}
    np.testing.assert_array_equal(panels["price"].get_lines()[0].get_ydata(), cycle.price)
    for line, profit in zip(panels["profit"].get_lines(), cycle.profit.T, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), profit)
    np.testing.assert_array_equal(panels["exploitability"].get_lines()[0].get_ydata(), cycle.exploitability)
    assert panels["price"].get_title(loc="left").startswith("price cycling: period 16 rounds")
    path = save_rounds_png(cycle, tmp_path / "rounds.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["rounds.png"]


@pytest.mark.parametrize("rounds", [1, 2, 50])
def test_odd_runs_are_drawn_without_a_warning(rounds: int) -> None:
    agents = tuple(f"U{i}" for i in range(20))
    profit = np.zeros((rounds, 20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = Rounds(agents, np.zeros(rounds), profit, profit, np.zeros(rounds))
        draw_rounds(run)
        print_rounds(run, console())
