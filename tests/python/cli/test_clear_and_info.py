from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vecmarket as vm
from vecmarket.cli import main

MARKET = ["--prices", "10", "20", "30", "40", "--quantities", "50", "50", "50", "50"]


def output(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 0
    return capsys.readouterr().out


def error(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_clear_prints_price_and_dispatch(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "clear", "--demand", "120", *MARKET)
    assert "price 30.00 $/MWh" in text
    marginal = next(line for line in text.splitlines() if "marginal" in line)
    assert "G2" in marginal
    assert "20.00" in marginal
    assert "600.00" in marginal  # 20 MW at 30 $/MWh


def test_clear_takes_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert "price 25.00" in output(capsys, "clear", "--demand", "100", *MARKET, "--kink", "mid")
    text = output(capsys, "clear", "--demand", "250", *MARKET, "--scarcity", "cap", "--price-cap", "500")
    assert "price 500.00" in text
    assert "unserved: 50.00 MW" in text


def test_clear_pays_each_its_own_offer_under_pay_as_bid(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "clear", "--demand", "120", *MARKET, "--pricing", "pay_as_bid")
    first = next(line for line in text.splitlines() if "G0" in line)
    assert "500.00" in first  # 50 MW at its own 10 $/MWh


def test_clear_takes_negative_offers_and_demand(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "clear", "--demand", "30", "--prices", "-10", "20", "--quantities", "50", "50")
    assert "price -10.00" in text
    text = output(capsys, "clear", "--demand", "-30", "--prices", "-10", "20", "--quantities", "50", "50")
    assert "curtailed: 30.00 MW" in text


def test_clear_reads_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = tmp_path / "offers.csv"
    table.write_text("name,quantity,price\nwind,50,0\ngas,50,35.5\n")
    text = output(capsys, "clear", "--demand", "60", "--offers", str(table))
    assert "price 35.50" in text
    assert "gas (marginal)" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,price\nwind,0\n", "no column 'quantity'"),
        ("price,quantity\n10,50\n20,x\n", "line 3, column 'quantity': not a number: 'x'"),
        ("price,quantity\n10\n", "line 2, column 'quantity'"),
        ("price,quantity\n", "no offers"),
        ("", "no column 'price'"),
    ],
)
def test_a_bad_table_is_named_with_its_place(
    content: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = tmp_path / "offers.csv"
    table.write_text(content)
    line = error(capsys, "clear", "--demand", "60", "--offers", str(table))
    assert message in line
    assert "offers.csv" in line


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--demand", "10"], "prices"),
        (["--demand", "10", "--prices", "1", "2", "--quantities", "5"], "quantities"),
        (["--demand", "nan", *MARKET], "demand"),
        (["--demand", "10", "--prices", "1", "--quantities", "-5"], "quantities"),
        (["--demand", "10", *MARKET, "--kink", "middle"], "lower, upper, mid"),
        (["--demand", "10", *MARKET, "--scarcity", "cap"], "cap"),
        (["--demand", "10", "--offers", "no-such.csv"], "no-such.csv"),
        (["--demand", "10", "--offers", "no-such.csv", *MARKET], "not both"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error(capsys, "clear", *argv)


def test_info_lists_version_and_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "info")
    assert vm.__version__ in text
    for word in ("cores", "ieee-rts", "competitive", "pay_as_bid", "pro_rata", "simple_v3", "random_day"):
        assert word in text


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), ("train", "evaluate", "clear", "info")),
        (("train",), ("--scenario", "--learner", "--resume", "--total-steps", "ieee-rts")),
        (("evaluate",), ("RUN",)),
        (("clear",), ("--demand", "--offers", "$/MWh")),
        (("info",), ("version",)),
    ],
)
def test_help_reads_well(
    argv: tuple[str, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*argv, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for word in words:
        assert word in text


@pytest.mark.parametrize("argv", [["fly"], ["clear"], ["clear", "--demand", "x"], ["info", "--colour"]])
def test_unknown_words_end_with_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Hidden())
from vecmarket.cli import main
sys.exit(main({argv!r}))
"""


@pytest.mark.parametrize(
    ("package", "argv"),
    [
        ("tyro", ["info"]),
        ("rich", ["clear", "--demand", "1"]),
        ("torch", ["train"]),
        ("torch", ["evaluate", "runs/x"]),
    ],
)
def test_a_missing_package_is_one_line_that_says_what_to_install(package: str, argv: list[str]) -> None:
    program = HIDE.format(package=package, argv=argv)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert 'pip install "vecmarket[train]"' in done.stderr
    assert package in done.stderr


@pytest.mark.parametrize("argv", [["info"], ["clear", "--demand", "5", "--prices", "1", "--quantities", "9"]])
def test_info_and_clear_work_without_torch(argv: list[str]) -> None:
    program = HIDE.format(package="torch", argv=argv)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_python_dash_m_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vecmarket", "clear", "--demand", "5", "--prices", "1", "--quantities", "9"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "price 1.00" in done.stdout
