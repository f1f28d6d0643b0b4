"""metrics.csv over crashes and resumption, and TensorBoard."""

from __future__ import annotations

import csv
import errno
import io
import math
import os

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vecmarket.training.logs import CsvLog, ProgressLog, RunLog, TensorBoardLog


def row(iteration: int, value: float = 0.5) -> dict[str, float]:
    return {
        "iteration": iteration,
        "steps": 100 * iteration,
        "steps_per_second": 1e4,
        "episode_return": value,
        "mean_profit": 3.0,
    }


HEADER = "iteration,steps,steps_per_second,episode_return,mean_profit"


def test_rows_are_there_as_soon_as_they_are_written(tmp_path):
    log = CsvLog(tmp_path / "metrics.csv", 0)
    log.write(row(1, math.nan))
    log.write(row(2, 0.1))
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == [HEADER, "1,100,10000,,3", "2,200,10000,0.1,3"]
    log.sync()
    log.close()


@pytest.mark.parametrize("act", ["write", "sync", "close"])
def test_a_full_disk_says_which_file_it_was(tmp_path, act):
    path = tmp_path / "metrics.csv"
    log = CsvLog(path, 0)

    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        fileno = close = flush

    log._file.close()
    log._file = Full()
    log._writer = csv.writer(log._file)
    with pytest.raises(OSError, match="No space left") as caught:
        log.write(row(1)) if act == "write" else getattr(log, act)()
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("tail", ["", "5,50", "5,500,1", "x", "7,700,10000,0.5,3\n"])
def test_a_resumed_run_neither_loses_nor_repeats_rows(tmp_path, tail):
    """The checkpoint is of iteration 3; the table went on to 4, and perhaps broke off inside a row."""
    path = tmp_path / "metrics.csv"
    log = CsvLog(path, 0)
    for i in range(1, 5):
        log.write(row(i))
    log.close()
    path.write_text(path.read_text() + tail)
    log = CsvLog(path, 3)
    for i in range(4, 7):
        log.write(row(i, 0.25))
    log.close()
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4", "5", "6"]
    assert [line.split(",")[3] for line in lines[1:]] == ["0.5"] * 3 + ["0.25"] * 3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_an_empty_cell(tmp_path, value):
    path = tmp_path / "metrics.csv"
    log = CsvLog(path, 0)
    log.write(row(1, value))
    log.close()
    assert path.read_text().splitlines() == [HEADER, "1,100,10000,,3"]


def test_a_new_run_starts_a_new_table(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("something else\n1\n")
    log = CsvLog(path, 0)
    log.write(row(1))
    log.close()
    assert path.read_text().splitlines() == [HEADER, "1,100,10000,0.5,3"]


def test_tensorboard_shows_each_step_once(tmp_path):
    for begin, end in ((0, 4), (2, 6)):  # the second sitting goes on from iteration 2
        log = TensorBoardLog(tmp_path, 100 * begin)
        for i in range(begin + 1, end + 1):
            log.write(row(i, float(begin)))
        log.sync()
        log.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    scalars = events.Scalars("market/episode_return")
    assert [(s.step, s.value) for s in scalars] == [
        (100, 0),
        (200, 0),
        (300, 2),
        (400, 2),
        (500, 2),
        (600, 2),
    ]


def test_logs_are_closed_after_an_error(tmp_path):
    csv_log = CsvLog(tmp_path / "metrics.csv", 0)
    log = RunLog([csv_log, ProgressLog(1000, 0)])
    log.write(row(1))
    log.sync()

    def fail():
        with log:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with pytest.raises(ValueError, match="closed file"):
        csv_log.write(row(2))
