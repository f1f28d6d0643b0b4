"""Measure other vector environments beside `MarketVectorEnv`: ``python -m bench.peers [--quick]``.

A peer that is not installed is skipped with a line that says what would install it, and one that cannot be
made or stepped is reported. A whole run writes ``PEERS.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.measure import Effort, Side, Timings, alternate, episodes
from bench.peer_envs import OURS, PEERS, Peer, Playable
from bench.report import Table, busy, load, nanoseconds, preface, times, write_results

HERE = Path(__file__).parent
STEPS = 32  # in one call of a side: about a day of the market, and an episode and a half of a random CartPole
PACKAGES = ("numpy", "gymnasium", "envpool", "gymnax", "jax", "pufferlib")
METHOD = (
    "Every number comes from this one run of one process. The sides take turns (A B A B ...); a cost is the "
    "median over the turns, and a ratio is the median of the ratios pair by pair. Each side has run before "
    "the clock starts, actions are random, drawn beforehand, and differ between environments and steps, and "
    "environments that end reset themselves, in the way of each library. The peers do not compute the same: "
    "most step CartPole, a much smaller computation than a market. The last table says what a step of each "
    "is.\n"
)


class Survey(NamedTuple):
    """Sizes and effort of one run."""

    sizes: tuple[int, ...]
    effort: Effort


FULL = Survey((1, 64, 1024, 8192), Effort(rounds=9, seconds=0.03, patience=20.0))
QUICK = Survey((1, 64), Effort(rounds=3, seconds=0.005, patience=3.0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer sizes and turns")
    parser.add_argument("--out", type=Path, help="page to write (default: PEERS.md, for a whole run only)")
    options = parser.parse_args(arguments)
    out: Path | None = options.out or (None if options.quick else HERE / "PEERS.md")

    start = time.monotonic()
    found = load()
    command = " ".join(["python -m bench.peers", *(sys.argv[1:] if arguments is None else arguments)])
    tables = survey(PEERS, QUICK if options.quick else FULL)
    for table in tables:
        print(table.markdown(), flush=True)
    # The versions are those of the packages that the run imported.
    opening = busy(found, tables) + preface(command, found, METHOD, PACKAGES)
    if out is not None:
        write_results(out, opening, tables, figure=None, title="Beside other vector environments")
    print(f"{time.monotonic() - start:.0f} s" + (f", written to {out}" if out else ""))


def survey(peers: Sequence[Peer], plan: Survey) -> list[Table]:
    """Return the tables of costs, of ratios, and of what was measured and what was not."""
    absent: dict[str, str] = {}
    measured = {size: _measure(peers, size, plan.effort, absent) for size in plan.sizes}
    return [_costs(peers, measured, absent), _ratios(peers, measured), _steps(peers, absent)]


def _measure(peers: Sequence[Peer], size: int, effort: Effort, absent: dict[str, str]) -> Timings:
    """Time the peers that can be had at one size; why others cannot goes into `absent`, and is printed."""
    made: list[Playable] = []
    sides: dict[str, Side] = {}
    try:
        for peer in peers:
            if peer.name in absent or (peer.largest is not None and size > peer.largest):
                continue
            playable = attempt(peer, size)
            if isinstance(playable, str):
                absent[peer.name] = playable
                print(f"{peer.name}: {playable}", flush=True)
                continue
            made.append(playable)
            sides[peer.name] = side(playable, size)
        return alternate(sides, effort)
    finally:
        for playable in made:
            playable.close()


def attempt(peer: Peer, size: int) -> Playable | str:
    """Return the environments after their first step, or why there are none: nothing here stops the run."""
    try:
        playable = peer.make(size)
        playable.step(playable.pool[0])
    except ModuleNotFoundError as error:
        if error.name == peer.needs:
            return f"skipped, not installed: {peer.hint}"
        return f"failed to import: {error} (installed by: {peer.hint})"
    except Exception as error:
        return f"failed at N = {size}: {type(error).__name__}: {_first_line(error)}"
    return playable


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def side(playable: Playable, size: int) -> Side:
    """Return a call of STEPS steps of every environment, or of as many as the playable does at once."""
    calls = max(1, STEPS // playable.steps)
    play = episodes(lambda: None, playable.step, playable.pool, calls)
    return Side(play, size * calls * playable.steps)


def _costs(peers: Sequence[Peer], measured: dict[int, Timings], absent: dict[str, str]) -> Table:
    rows = [
        [
            peer.name,
            *(
                nanoseconds(timings.median(peer.name)) if peer.name in timings.nanoseconds else "—"
                for timings in measured.values()
            ),
        ]
        for peer in peers
        if peer.name not in absent
    ]
    note = (
        "Nanoseconds per environment step, N environments. — is not measured: the cost per step would not "
        "change, or there would be too many processes."
    )
    return Table("Cost of a step", note, ["", *(f"N = {size}" for size in measured)], rows)


def _ratios(peers: Sequence[Peer], measured: dict[int, Timings]) -> Table:
    rows = []
    for peer in peers:
        cells = [
            times(timings.ratio(peer.name, OURS)) if {peer.name, OURS} <= timings.nanoseconds.keys() else "—"
            for timings in measured.values()
        ]
        if peer.name != OURS and set(cells) != {"—"}:
            rows.append([peer.name, *cells])
    note = (
        f"How many times as long a step takes as one of `{OURS}`. All but the rows of MarketEnv compute "
        "something else: a small number there is a lighter environment, or lighter calls, or both."
    )
    return Table("Beside a step of the market", note, ["", *(f"N = {size}" for size in measured)], rows)


def _steps(peers: Sequence[Peer], absent: dict[str, str]) -> Table:
    rows = [[peer.name, peer.does, absent.get(peer.name, "measured")] for peer in peers]
    note = "Peers that could not be had say so."
    return Table("What a step is", note, ["", "one environment step", "in this run"], rows)


if __name__ == "__main__":
    main()
