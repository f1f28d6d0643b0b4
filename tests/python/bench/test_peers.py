"""The comparison with other vector environments: what is skipped, what fails, and what the tables say."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from bench import peers
from bench.measure import Effort
from bench.peer_envs import OURS, PEERS, POOL, Peer, Playable
from bench.peers import STEPS, Survey, attempt, side, survey

QUICKEST = Effort(rounds=2, seconds=0.0, patience=0.0)


class Counter:
    """Environments that count the steps they are asked for."""

    def __init__(self) -> None:
        self.stepped: list[int] = []
        self.closed = 0

    def make(self, size: int) -> Playable:
        return Playable(self.stepped.append, [1, 2, 3], self._close)

    def _close(self) -> None:
        self.closed += 1


def _peer(name: str, make: Callable[[int], Playable], largest: int | None = None) -> Peer:
    return Peer(name, make, "nothing", "not_there", largest=largest)


def _absent(size: int) -> Playable:
    import_module("not_there")
    raise AssertionError("the module is not there")


def _half_installed(size: int) -> Playable:
    import_module("not_there_either")
    raise AssertionError("the module is not there")


def _broken(size: int) -> Playable:
    raise OSError("no such library\nand a second line")


def _stumbling(size: int) -> Playable:
    def step(actions: object) -> object:
        raise RuntimeError("stumbled")

    return Playable(step, [0], lambda: None)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_absent, "skipped, not installed: pip install not_there"),
        (
            _half_installed,
            "failed to import: No module named 'not_there_either' (installed by: pip install not_there)",
        ),
        (_broken, "failed at N = 4: OSError: no such library"),
        (_stumbling, "failed at N = 4: RuntimeError: stumbled"),
    ],
)
def test_what_cannot_be_had_is_told(make: Callable[[int], Playable], told: str) -> None:
    assert attempt(_peer("peer", make), 4) == told


def test_the_hint_names_what_pip_is_told() -> None:
    assert Peer("peer", _absent, "", "module").hint == "pip install module"
    assert (
        Peer("peer", _absent, "", "module", "distribution[extra]").hint == "pip install distribution[extra]"
    )


def test_a_side_counts_the_steps_of_every_environment() -> None:
    counter = Counter()
    measured = side(counter.make(10), 10)
    measured.run()
    assert len(counter.stepped) == STEPS
    assert measured.units == STEPS * 10
    # A call that does several steps itself is made less often.
    measured = side(counter.make(10)._replace(steps=STEPS), 10)
    counter.stepped.clear()
    measured.run()
    assert len(counter.stepped) == 1
    assert measured.units == STEPS * 10


def test_a_survey_goes_on_without_the_absent(capsys: pytest.CaptureFixture[str]) -> None:
    ours, small = Counter(), Counter()
    asked: list[int] = []

    def missing(size: int) -> Playable:
        asked.append(size)
        return _absent(size)

    chosen = [_peer(OURS, ours.make), _peer("small", small.make, largest=2), _peer("missing", missing)]
    costs, ratios, steps = survey(chosen, Survey((2, 4), QUICKEST))

    assert asked == [2]  # and not again at the next size
    assert capsys.readouterr().out == "missing: skipped, not installed: pip install not_there\n"
    assert costs.header == ["", "N = 2", "N = 4"]
    assert [row[0] for row in costs.rows] == [OURS, "small"]
    assert [cell == "—" for cell in costs.rows[1]] == [False, False, True]
    assert [row[0] for row in ratios.rows] == ["small"]
    assert [row[2] for row in steps.rows] == [
        "measured",
        "measured",
        "skipped, not installed: pip install not_there",
    ]
    assert (ours.closed, small.closed) == (2, 1)


@pytest.fixture
def in_one_process() -> list[Peer]:
    """Return the peers that every development environment has, those with worker processes left out."""
    return [peer for peer in PEERS if peer.needs == "gymnasium" and "Async" not in peer.name]


def test_the_peers_at_hand_are_stepped(in_one_process: list[Peer]) -> None:
    assert len(in_one_process) == 5
    for peer in in_one_process:
        playable = attempt(peer, 3)
        assert isinstance(playable, Playable), playable
        assert len(playable.pool) == POOL
        assert len({np.asarray(actions).tobytes() for actions in playable.pool}) > 1
        # Longer than a day: what ends resets itself.
        for actions in playable.pool:
            playable.step(actions)
        playable.close()


def test_a_page_is_written_where_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, in_one_process: list[Peer]
) -> None:
    monkeypatch.setattr(peers, "PEERS", [in_one_process[0], _peer("missing", _absent)])
    monkeypatch.setattr(peers, "QUICK", Survey((1, 2), QUICKEST))
    peers.main(["--quick", "--out", str(tmp_path / "PEERS.md")])
    text = (tmp_path / "PEERS.md").read_text(encoding="utf-8")
    assert text.startswith("# Beside other vector environments\n")
    assert f"- command: `python -m bench.peers --quick --out {tmp_path / 'PEERS.md'}`" in text
    assert "pip install not_there" in text
    assert "numba" not in text
