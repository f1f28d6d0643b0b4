"""The folder of a game's run: every round's policies, the table of the rounds, and the profile to play.

::

    config.json                     settings
    scenario.toml                   the whole scenario
    checkpoint.pt                   where the run stands
    rounds.csv                      one row per round and learning agent
    round-0001/3-G3.safetensors     agent 3's policy at the end of round 1
    round-0001/profile.json         how every agent bids at the end of round 1
    profile.json                    the same of the newest round

An entry of profile.json says "truthful", a markup in $/MWh, or the file of a policy; in fictitious play
"mixture" lists the entries that an agent's strategy is drawn from. Agents with one policy share one file.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vecmarket.checks import whole_number
from vecmarket.files import write_atomically
from vecmarket.training.games.players import GameLearner, Row
from vecmarket.training.games.strategies import Pool, Strategy, still
from vecmarket.training.policy import ActorCritic, load_policy, save_policy

__all__ = ["PROFILE_FILE", "ROUNDS_FILE", "load_profile", "load_rounds", "write_round", "write_rows"]

PROFILE_FILE = "profile.json"
ROUNDS_FILE = "rounds.csv"


def write_rows(run: Path, rows: Sequence[Row]) -> None:
    """Write rounds.csv anew; a figure that does not exist is left empty."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    write_atomically(run / ROUNDS_FILE, text.getvalue().encode())


def write_round(run: Path, learner: GameLearner, names: Sequence[str]) -> None:
    """Write the policies and the profile of the round that has just ended, and the table of all rounds."""
    entries: list[dict[str, Any]] = []
    files: dict[int, str] = {}
    for place, strategy in enumerate(learner.strategies):
        if isinstance(strategy, ActorCritic) and id(strategy) not in files:
            files[id(strategy)] = f"{_folder(learner.round)}/{_file(place, names[place])}"
            save_policy(strategy, run / files[id(strategy)])
        entry = files[id(strategy)] if isinstance(strategy, ActorCritic) else strategy
        entries.append({"agent": names[place], "strategy": entry})
    for place, played in enumerate(learner.profile):
        if isinstance(played, Pool):  # a member for the end of each round, the newest last
            first = learner.round + 1 - len(played.members)
            entries[place]["mixture"] = [
                f"{_folder(first + k)}/{_file(place, names[place])}" if isinstance(m, ActorCritic) else m
                for k, m in enumerate(played.members)
            ]
    text = json.dumps({"round": learner.round, "agents": entries}, indent=2).encode()
    write_atomically(run / _folder(learner.round) / PROFILE_FILE, text)
    write_atomically(run / PROFILE_FILE, text)
    write_rows(run, learner.rows)


def load_profile(run: str | os.PathLike[str], round_: int | None = None) -> list[Strategy | Pool]:
    """Return how every agent bids, by place, at the end of a round, the newest when None.

    In fictitious play the learning agents have their mixtures, as a `Pool` each.

    Raises
    ------
    FileNotFoundError
        When the run has no such round, or a policy is missing.
    ValueError
        When a file is damaged.
    """
    run = Path(run)
    path = (run if round_ is None else run / _folder(round_)) / PROFILE_FILE
    _, agents = _read(path)
    loaded: dict[str, Strategy] = {}

    def strategy(entry: Any) -> Strategy:
        if isinstance(entry, str) and entry != "truthful":
            if entry not in loaded:
                loaded[entry] = still(load_policy(run / entry))
            return loaded[entry]
        if entry == "truthful":
            return "truthful"
        return float(entry)

    try:
        return [
            Pool(tuple(map(strategy, agent["mixture"])))
            if "mixture" in agent
            else strategy(agent["strategy"])
            for agent in agents
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a profile: {error}") from error


def load_rounds(run: Path) -> list[list[Strategy | Pool]]:
    """Return how every agent bids, by place, at the end of each round, from the first to the newest.

    Raises
    ------
    FileNotFoundError
        When the run has no round yet, or one of its rounds or a policy is missing.
    ValueError
        When a file is damaged.
    """
    count, _ = _read(run / PROFILE_FILE)
    missing = [r for r in range(1, count + 1) if not (run / _folder(r) / PROFILE_FILE).is_file()]
    if missing:
        file = run / _folder(missing[0]) / PROFILE_FILE
        raise FileNotFoundError(f"{file}: round {missing[0]} of the run's {count} is missing")
    return [load_profile(run, r) for r in range(1, count + 1)]


def _read(path: Path) -> tuple[int, Any]:
    """Return the round of a profile.json and its entries, one per agent."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such profile; a run has one once its first round is over")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return whole_number("round", values["round"], least=1), values["agents"]
    except (KeyError, TypeError, ValueError) as error:  # no JSON and no text are ValueErrors
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path}: not a profile: {reason}") from error


def _folder(round_: int) -> str:
    return f"round-{round_:04d}"


def _file(place: int, name: str) -> str:
    return f"{place}-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.safetensors"


def _cell(value: float | str) -> float | str:
    return "" if isinstance(value, float) and not math.isfinite(value) else value
