"""Print and write what was found of a profile, of a game over seeds, and of the rounds of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from vecmarket.evaluation.columns import Table, Written, write_tables
from vecmarket.evaluation.figures import AGENT_FIGURES, MARKET_FIGURES, Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

    from vecmarket.evaluation.exploitability import ProfileEvaluation
    from vecmarket.evaluation.rounds import Rounds
    from vecmarket.evaluation.seeds import Interval, SeedFigures

__all__ = [
    "print_profile",
    "print_rounds",
    "print_seeds",
    "profile_tables",
    "rounds_tables",
    "save_profile",
    "save_rounds",
    "save_seeds",
    "seeds_tables",
]

DIGITS = {"$/MWh": 2, "$/h": 1, "MWh/h": 2, "%": 1, "": 3}
"""Digits printed after the point, by unit."""

PRINTED = {
    "profit": "profit",
    "profit_truthful": "truthful",
    "profit_best": "best",
    "gain": "gain",
    "gain_share": "share %",
    "energy_share": "market %",
}
"""Figures of an agent that are printed, and their columns; the files have all."""

MOST_AGENTS = 6
"""Agents up to which the profit of each is printed by round."""

MOST_ROUNDS = 20
"""Rounds that are printed; a longer run shows its last ones."""


# One profile


def profile_tables(evaluation: ProfileEvaluation) -> list[Table]:
    """Return ``market``, ``agents`` and ``hours``: by hour of the day (empty: all), and every hour played."""
    figures = evaluation.figures
    groups: list[int | None] = [None, *figures.hours]
    names = evaluation.agents
    market = Table("market", {"hour_of_day": groups, **{k: v.tolist() for k, v in figures.market.items()}})
    # Agent by agent, and within it all hours first.
    agents = Table(
        "agents",
        {
            "agent": [name for name in names for _ in groups],
            "bidding": [evaluation.profile.describe(i) for i in range(len(names)) for _ in groups],
            "hour_of_day": groups * len(names),
            **{k: v.T.ravel().tolist() for k, v in figures.by_agent.items()},
        },
    )
    return [market, agents, _hours_table(evaluation)]


def _hours_table(evaluation: ProfileEvaluation) -> Table:
    played, honest = evaluation.played, evaluation.truthful
    episodes, horizon = played.price.shape
    columns: dict[str, NDArray[Any]] = {
        "episode": np.repeat(np.arange(episodes), horizon),
        "day": np.repeat(np.array(evaluation.episodes.days), horizon),
        "step": np.tile(np.arange(horizon), episodes),
        "hour": played.hour,
        "demand": played.demand,
        "price": played.price,
        "price_truthful": honest.price,
        "unserved": played.unserved,
        "consumer_cost": played.consumer_cost,
        "production_cost": played.production_cost,
        "production_cost_truthful": honest.production_cost,
        "profit": played.profit.sum(axis=2),
        "gain": np.sum([d.best - d.own for d in evaluation.deviations], axis=0),
    }
    return Table("hours", {name: column.ravel().tolist() for name, column in columns.items()})


def save_profile(
    evaluation: ProfileEvaluation, directory: str | PathLike[str], *, parquet: bool | None = None
) -> Written:
    """Write ``market``, ``agents`` and ``hours`` as CSV and Parquet; see `write_tables`."""
    return write_tables(profile_tables(evaluation), directory, parquet=parquet)


def print_profile(evaluation: ProfileEvaluation, console: Console | None = None) -> None:
    """Print the market and the agents of a profile with rich, over all hours."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    console = console or Console()
    figures = evaluation.figures
    fixed = evaluation.episodes
    market = RichTable(
        title=escape(f"{fixed.scenario.name}: the market"),
        caption=f"{len(fixed)} fixed episodes of {fixed.scenario.horizon} h.",
        caption_justify="left",
    )
    market.add_column("over all hours", no_wrap=True)
    market.add_column("unit", no_wrap=True)
    market.add_column("value", justify="right", no_wrap=True)
    for figure in MARKET_FIGURES:
        style = "bold" if figure.key in ("price", "exploitability") else None
        market.add_row(figure.label, figure.unit, _number(figures.overall(figure.key), figure), style=style)
    market.add_row("truthful price", "$/MWh", f"{evaluation.truthful.price.mean():,.2f}")
    console.print(market)

    agents = RichTable(
        title=escape(f"{fixed.scenario.name}: the agents, mean over all hours, $/h"),
        caption=_caption(evaluation),
        caption_justify="left",
    )
    agents.add_column("agent", no_wrap=True)
    for header in PRINTED.values():
        agents.add_column(header, justify="right", no_wrap=True)
    shown = {f.key: f for f in AGENT_FIGURES}
    for place, name in enumerate(evaluation.agents):
        values = (_number(figures.overall(key, place), shown[key]) for key in PRINTED)
        agents.add_row(escape(name), *values)
    console.print(agents)


def _caption(evaluation: ProfileEvaluation) -> str:
    relative = evaluation.relative_exploitability
    share = "" if relative is None else f" ({100 * relative:.1f} % of the deviators' profits)"
    text = (
        f"Exploitability {evaluation.exploitability:,.1f} $/h{share}: the sum of the gains from deviating. "
    )
    kept = "" if evaluation.grid.withholds else " They offer all capacity: none withholds."
    bounds = [evaluation.agents[d.agent] for d in evaluation.deviations if not d.exact]
    if not bounds:
        return text + "Best responses are exact, hour by hour." + kept
    return (
        text
        + f"Rivals answer to what they saw: best responses of {', '.join(bounds)} are lower bounds."
        + kept
    )


# Over seeds


def seeds_tables(figures: SeedFigures) -> list[Table]:
    """Return ``seeds_market`` and ``seeds_agents``: a row per figure, hour of the day (empty: all), agent."""
    groups: list[int | None] = [None, *figures.hours]
    header = ("figure", "unit", "hour_of_day", *_INTERVAL)
    market = [
        (figure.key, figure.unit, hour, *_interval(figures.market[figure.key], (g,)))
        for figure in MARKET_FIGURES
        for g, hour in enumerate(groups)
    ]
    agents = [
        (name, figure.key, figure.unit, hour, *_interval(figures.by_agent[figure.key], (g, place)))
        for place, name in enumerate(figures.agents)
        for figure in AGENT_FIGURES
        for g, hour in enumerate(groups)
    ]
    return [
        Table.of_rows("seeds_market", header, market),
        Table.of_rows("seeds_agents", ("agent", *header), agents),
    ]


_INTERVAL = ("mean", "half_width", "least", "most", "samples")


def _interval(interval: Interval, place: tuple[int, ...]) -> list[Any]:
    return [getattr(interval, name)[place].item() for name in _INTERVAL]


def save_seeds(
    figures: SeedFigures, directory: str | PathLike[str], *, parquet: bool | None = None
) -> Written:
    """Write ``seeds_market`` and ``seeds_agents`` as CSV and Parquet; see `write_tables`."""
    return write_tables(seeds_tables(figures), directory, parquet=parquet)


def print_seeds(figures: SeedFigures, console: Console | None = None) -> None:
    """Print the figures over all hours with their confidence intervals."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    table = RichTable(
        title=f"over {figures.seeds} training seeds",
        caption=f"Half-widths of {100 * figures.level:g} % t intervals for the mean over training seeds.",
        caption_justify="left",
    )
    for name in ("over all hours", "unit"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", "+-", "least", "most"):
        table.add_column(name, justify="right", no_wrap=True)

    def add(label: str, figure: Figure, interval: Interval, place: tuple[int, ...]) -> None:
        mean, half, least, most, _ = _interval(interval, place)
        table.add_row(label, figure.unit, *(_number(v, figure) for v in (mean, half, least, most)))

    for figure in MARKET_FIGURES:
        add(figure.label, figure, figures.market[figure.key], (0,))
    shown = [f for f in AGENT_FIGURES if f.key in ("profit", "gain", "gain_share")]
    for place, name in enumerate(figures.agents):
        table.add_section()
        for figure in shown:
            add(f"{escape(name)}: {figure.label}", figure, figures.by_agent[figure.key], (0, place))
    (console or Console()).print(table)


# The rounds of a run


def rounds_tables(rounds: Rounds, *, window: int = 5, tolerance: float = 0.01) -> list[Table]:
    """Return ``rounds``, one row per round, and ``dynamics``, one row per series judged."""
    columns: dict[str, Sequence[Any]] = {
        "round": list(range(len(rounds))),
        "price": rounds.price.tolist(),
        "exploitability": rounds.exploitability.tolist(),
        "exploitability_share": (100 * rounds.relative_exploitability).tolist(),
    }
    for what in ("profit", "gain"):
        for place, name in enumerate(rounds.agents):
            columns[f"{what}_{name}"] = getattr(rounds, what)[:, place].tolist()
    fields = (
        "kind",
        "rounds",
        "judged",
        "window",
        "tolerance",
        "spread",
        "settled_from",
        "period",
        "amplitude",
        "mismatch",
        "drift",
        "directness",
    )
    judged = rounds.dynamics(window=window, tolerance=tolerance)
    rows = [(name, *(getattr(dynamics, f) for f in fields)) for name, dynamics in judged.items()]
    return [Table("rounds", columns), Table.of_rows("dynamics", ("series", *fields), rows)]


def save_rounds(
    rounds: Rounds,
    directory: str | PathLike[str],
    *,
    window: int = 5,
    tolerance: float = 0.01,
    parquet: bool | None = None,
) -> Written:
    """Write ``rounds`` and ``dynamics`` as CSV and Parquet; see `write_tables` and `Rounds.dynamics`."""
    tables = rounds_tables(rounds, window=window, tolerance=tolerance)
    return write_tables(tables, directory, parquet=parquet)


def print_rounds(
    rounds: Rounds, console: Console | None = None, *, window: int = 5, tolerance: float = 0.01
) -> None:
    """Print the last rounds, and say of every series whether it settled, cycles or drifts."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as RichTable

    judged = rounds.dynamics(window=window, tolerance=tolerance)
    last = float(rounds.relative_exploitability[-1])
    far = "" if math.isnan(last) else f", exploitability {100 * last:.1f} % of the deviators' profits"
    table = RichTable(
        title=f"{len(rounds)} rounds: {rounds.verdict(window=window, tolerance=tolerance)}{far}",
        caption="Mean price, $/MWh; mean profits and exploitability, $/h.\n"
        + "\n".join(f"{name} {dynamics}" for name, dynamics in judged.items()),
        caption_justify="left",
    )
    each = len(rounds.agents) <= MOST_AGENTS
    profits = rounds.profit if each else rounds.profit.sum(axis=1, keepdims=True)
    names = [escape(name) for name in rounds.agents] if each else ["all profits"]
    for header in ("round", "price", "exploitability", *names):
        table.add_column(header, justify="right", no_wrap=True)
    for r in range(max(0, len(rounds) - MOST_ROUNDS), len(rounds)):
        cells = (f"{profit:,.1f}" for profit in profits[r])
        table.add_row(str(r), f"{rounds.price[r]:,.2f}", f"{rounds.exploitability[r]:,.1f}", *cells)
    (console or Console()).print(table)


def _number(value: float, figure: Figure) -> str:
    if math.isnan(value):
        return "-"
    text = f"{value:,.{0 if figure.key.startswith('hhi') else DIGITS[figure.unit]}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text
