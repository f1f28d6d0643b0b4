"""Scenarios from CSV tables: made-up ones with RTS-GMLC's columns, plain ones, broken ones, the real ones."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from vecmarket.config import Reward, Scenario
from vecmarket.scenarios.tables import from_csv

FIXTURES = Path(__file__).parent / "fixtures"
FLEET = FIXTURES / "fleet.csv"
LOAD = FIXTURES / "load_hourly.csv"
RENEWABLES = FIXTURES / "renewables_hourly.csv"


def column(path: Path, name: str) -> list[float]:
    with open(path, encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


@pytest.fixture
def table(tmp_path):
    """Write a table of the given text and return its path."""

    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_tables_with_the_columns_of_rts_gmlc():
    scenario = from_csv(FLEET, LOAD)
    assert scenario.agents == ("NUC_1", "COAL_1", "COAL_2", "GAS_1", "OIL_1")
    assert [g.capacity_mw for g in scenario.generators] == [120.0, 80.0, 80.0, 60.0, 20.0]
    assert [g.srmc for g in scenario.generators] == [8.1, 21.5, 21.5, 34.25, 112.75]
    assert list(scenario.demand.series_mw) == column(LOAD, "load_mw")
    assert scenario.demand.first_hour == 3 * 24  # 2 May 2024 is a Thursday
    assert (scenario.horizon, scenario.episode_start, scenario.name) == (24, "random_day", "fleet")


def test_renewables_are_subtracted_but_for_the_heat():
    scenario = from_csv(FLEET, LOAD, renewables=RENEWABLES)
    names = ("load_mw", "wind_mw", "pv_mw", "rtpv_mw", "hydro_mw")
    load, *output = (column(RENEWABLES if name != "load_mw" else LOAD, name) for name in names)
    wanted = [demand - sum(hour) for demand, *hour in zip(load, *output, strict=True)]
    assert scenario.demand.series_mw == pytest.approx(wanted, rel=1e-12)
    assert min(wanted) < min(load)


def test_some_renewables_only():
    scenario = from_csv(FLEET, LOAD, renewables=RENEWABLES, renewable_columns=["wind_mw"])
    wanted = [a - b for a, b in zip(column(LOAD, "load_mw"), column(RENEWABLES, "wind_mw"), strict=True)]
    assert list(scenario.demand.series_mw) == wanted


def test_columns_options_and_fields():
    scenario = Scenario.from_csv(
        FLEET,
        LOAD,
        name_column="unit_id",
        capacity_column="pmin_mw",
        srmc_column="no_load_usd_per_h",
        demand_column="load_r1_mw",
        timestamp_column="timestamp",
        first_hour=7,
        noise=0.1,
        horizon=12,
        episode_start="first",
        name="own",
        reward=Reward(scale=1.0),
        days=(1,),
    )
    assert scenario.generators[1].capacity_mw == 30.0
    assert scenario.generators[1].srmc == 310.5
    assert list(scenario.demand.series_mw) == column(LOAD, "load_r1_mw")
    assert (scenario.demand.first_hour, scenario.demand.noise) == (7, 0.1)
    assert (scenario.horizon, scenario.episode_start, scenario.name) == (12, "first", "own")
    assert (scenario.reward.scale, scenario.days) == (1.0, (1,))


PLAIN_FLEET = "name,capacity_mw,srmc\nbase,100,10\npeaker,50,-2.5\n"
PLAIN_DEMAND = "demand_mw\n80\n90\n-5\n70\n"


def test_plain_tables_without_timestamps(table):
    fleet, demand = table("my fleet.csv", PLAIN_FLEET), table("demand.csv", PLAIN_DEMAND)
    scenario = from_csv(fleet, demand, horizon=4, episode_start="first")
    assert scenario.agents == ("base", "peaker")
    assert [g.srmc for g in scenario.generators] == [10.0, -2.5]
    assert scenario.demand.series_mw == (80.0, 90.0, -5.0, 70.0)
    assert (scenario.demand.first_hour, scenario.name) == (0, "my fleet")


def test_byte_order_mark_line_ends_empty_lines_and_spaces(table):
    text = "\ufeff" + PLAIN_FLEET.replace(",", " , ").replace("\n", "\r\n\r\n")
    demand = table("demand.csv", PLAIN_DEMAND)
    scenario = from_csv(table("fleet.csv", text), demand, horizon=4, episode_start="first")
    assert scenario.agents == ("base", "peaker")
    assert [g.capacity_mw for g in scenario.generators] == [100.0, 50.0]


@pytest.mark.parametrize(
    ("timestamp", "first_hour"),
    [("2020-01-01T00:00", 48), ("2026-11-23 05:00:00", 5), ("2026-11-29T23:00", 167)],
)
def test_first_timestamp_gives_the_hour_of_the_week(table, timestamp, first_hour):
    later = datetime.fromisoformat(timestamp) + timedelta(hours=1)
    demand = table("demand.csv", f"timestamp,load_mw\n{timestamp},80\n{later},90\n")
    scenario = from_csv(table("fleet.csv", PLAIN_FLEET), demand, horizon=2, episode_start="first")
    assert scenario.demand.first_hour == first_hour


def test_rows_that_are_not_hours_are_refused(table):
    demand = table("demand.csv", "timestamp,load_mw\n2020-01-01T00:00,80\n2020-01-01T00:05,90\n")
    with pytest.raises(
        ValueError, match=r"line 3, column 'timestamp': rows must be one hour apart, got 0:05:00"
    ):
        from_csv(table("fleet.csv", PLAIN_FLEET), demand, horizon=2, episode_start="first")


def hourly(stamps: list[str]) -> str:
    return "timestamp,load_mw\n" + "".join(f"{stamp},80\n" for stamp in stamps)


DAY = [f"2020-01-01T{hour:02}:00" for hour in range(24)]
BAD_HOURS = {
    "missing": (
        [*DAY[:10], *DAY[11:]],
        "line 12, column 'timestamp': rows must be one hour apart, got 2:00:00 "
        "from '2020-01-01T09:00' to '2020-01-01T11:00'",
    ),
    "twice": (
        [*DAY[:10], DAY[9], *DAY[10:]],
        "line 12, column 'timestamp': rows must be one hour apart, got 0:00:00 "
        "from '2020-01-01T09:00' to '2020-01-01T09:00'",
    ),
    "backwards": (
        [*DAY[:10], DAY[7], *DAY[8:]],
        "line 12, column 'timestamp': rows must be one hour apart, got -2:00:00 "
        "from '2020-01-01T09:00' to '2020-01-01T07:00'",
    ),
    "the last": ([*DAY[:23], "2020-01-02T00:00"], "line 25, column 'timestamp': rows must be one hour apart"),
    "no timestamp": (
        [*DAY[:10], "later"],
        "line 12, column 'timestamp': not a timestamp in ISO 8601: 'later'",
    ),
    "a zone once": (
        [*DAY[:2], f"{DAY[2]}Z"],
        "line 4, column 'timestamp': all rows must have a time zone, or none, got "
        "'2020-01-01T02:00Z' after '2020-01-01T01:00'",
    ),
}


@pytest.mark.parametrize(("stamps", "message"), BAD_HOURS.values(), ids=BAD_HOURS.keys())
def test_every_row_must_be_one_hour_after_the_last(table, stamps, message):
    fleet, demand = table("fleet.csv", PLAIN_FLEET), table("demand.csv", hourly(stamps))
    with pytest.raises(ValueError, match=re.escape(f"{demand}, {message}")):
        from_csv(fleet, demand, horizon=2)
    # Whoever says the first hour wants the rows as they stand.
    scenario = from_csv(fleet, demand, horizon=2, first_hour=5)
    assert (len(scenario.demand.series_mw), scenario.demand.first_hour) == (len(stamps), 5)


def test_clocks_that_change_are_fine_with_a_zone(table):
    spring = ["2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00", "2024-03-31T02:00Z"]
    demand = table("demand.csv", hourly(spring))
    scenario = from_csv(table("fleet.csv", PLAIN_FLEET), demand, horizon=2, episode_start="first")
    assert scenario.demand.first_hour == 6 * 24 + 1


HEADER = "name,capacity_mw,srmc\n"
BAD_FLEETS = {
    "missing column": (
        "name,mw,srmc\nA,1,2\n",
        r"no column 'pmax_mw' or 'capacity_mw'; .* are name, mw, srmc",
    ),
    "column twice": ("name,srmc,capacity_mw,srmc\nA,1,2,3\n", r"column 'srmc' .* header more than once"),
    "no number": (HEADER + "A,1,2\nB,ten,2\n", r"line 3, column 'capacity_mw': not a number: 'ten'"),
    "empty cell": (HEADER + "A,1,\n", r"line 2, column 'srmc': not a number: ''"),
    "not finite": (HEADER + "A,1,nan\n", r"line 2, column 'srmc': must be finite, got 'nan'"),
    "infinite": (HEADER + "A,-inf,1\n", r"line 2, column 'capacity_mw': must be finite, got '-inf'"),
    "negative": (HEADER + "A,-1,1\n", r"line 2, column 'capacity_mw': must be at least 0, got '-1'"),
    "duplicate": (HEADER + "A,1,1\n\nB,1,1\nA,2,2\n", r"line 5: unit 'A' stands on line 2 already"),
    "no name": (HEADER + "A,1,1\n,1,1\n", r"line 3: the unit has no name"),
    "short row": (HEADER + "A,1\n", r"line 2: 2 values under 3 columns"),
    "long row": (HEADER + "A,1,2,3\n", r"line 2: 4 values under 3 columns"),
    "empty": ("", r"the file is empty"),
    "only empty lines": ("\n\r\n", r"the file is empty"),
    "no rows": (HEADER, r"no rows under the header"),
    "open quote": (HEADER + '"A,1,2\n', r"line 2: unexpected end of data"),
    "not UTF-8": (HEADER.encode() + b"\xff,1,2\n", r"not a text in UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FLEETS.values(), ids=BAD_FLEETS.keys())
def test_a_bad_table_is_named_with_its_place(table, text, message):
    fleet = table("fleet.csv", text)
    with pytest.raises(ValueError, match=message) as caught:
        from_csv(fleet, table("demand.csv", PLAIN_DEMAND), horizon=4)
    assert str(caught.value).startswith(str(fleet))


def test_a_named_column_must_be_there(table):
    with pytest.raises(ValueError, match="no column 'cost'; the columns are unit_id, region"):
        from_csv(FLEET, LOAD, srmc_column="cost")
    with pytest.raises(ValueError, match="no column 'time'"):
        from_csv(FLEET, LOAD, timestamp_column="time")
    with pytest.raises(ValueError, match="no column 'tide_mw'; the columns are hour, wind_mw"):
        from_csv(FLEET, LOAD, renewables=RENEWABLES, renewable_columns=["wind_mw", "tide_mw"])


def test_hourly_tables_must_have_the_same_length(table):
    demand = table("demand.csv", PLAIN_DEMAND)
    with pytest.raises(ValueError, match=r"renewables_hourly\.csv has 48 hours, but .*demand\.csv has 4"):
        from_csv(FLEET, demand, renewables=RENEWABLES, horizon=4)


def test_a_timestamp_that_is_none(table):
    demand = table("demand.csv", "timestamp,load_mw\nyesterday,80\n")
    with pytest.raises(
        ValueError, match="line 2, column 'timestamp': not a timestamp in ISO 8601: 'yesterday'"
    ):
        from_csv(FLEET, demand, horizon=1)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        from_csv(tmp_path / "none.csv", LOAD)


def test_the_tables_of_rts_gmlc_load_as_they_are(rts_gmlc):
    scenario = Scenario.from_csv(
        rts_gmlc / "rts_thermal_fleet.csv",
        rts_gmlc / "rts_load_hourly.csv",
        renewables=rts_gmlc / "rts_renewables_hourly.csv",
    )
    net_mw = scenario.demand.series_mw
    assert len(scenario.generators) == 73
    assert sum(g.capacity_mw for g in scenario.generators) == pytest.approx(8076.0)
    assert len({g.srmc for g in scenario.generators}) == 39
    assert len(net_mw) == 8784
    assert max(net_mw) == pytest.approx(6228.0, abs=0.5)
    assert sum(mw <= 0 for mw in net_mw) == 407
    assert scenario.demand.first_hour == 2 * 24  # 1 January 2020 is a Wednesday


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("name_column", 3),
        ("demand_column", 0),
        ("timestamp_column", b"timestamp"),
        ("renewable_columns", 3),
        ("renewable_columns", ["wind_mw", 3]),
        ("renewables", 3),
    ],
)
def test_options_of_a_wrong_type_are_named(option, value):
    options = {"renewables": RENEWABLES, option: value}
    with pytest.raises(TypeError, match=option):
        from_csv(FLEET, LOAD, **options)


def test_a_number_with_underscores_is_refused(table):
    fleet, demand = table("fleet.csv", PLAIN_FLEET.replace("100", "1_00")), table("demand.csv", PLAIN_DEMAND)
    with pytest.raises(ValueError, match=r"line 2, column 'capacity_mw': not a number: '1_00'"):
        from_csv(fleet, demand, horizon=4)


@pytest.mark.parametrize("zone", ["", "Z", "+00:00", "-07:00"])
def test_timestamps_with_a_zone_count_as_written(table, zone):
    fleet = table("fleet.csv", PLAIN_FLEET)
    demand = table("demand.csv", f"timestamp,demand_mw\n2024-05-02T05:00:00{zone},80\n")
    assert from_csv(fleet, demand, horizon=1).demand.first_hour == 3 * 24 + 5
