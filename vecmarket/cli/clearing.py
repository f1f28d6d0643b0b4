"""``vecmarket clear``: one market from the arguments or from a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vecmarket.clearing import clear
from vecmarket.config import MarketRules

__all__ = ["Clear", "clear_market"]


@dataclass(frozen=True)
class Clear:
    """Clear one market by merit order, and print the price and who runs.

    Attributes
    ----------
    demand
        Demand, MW.
    prices
        Offer prices, $/MWh, one per unit.
    quantities
        Offered quantities, MW, one per unit.
    offers
        Table of the offers (.csv) instead: columns price and quantity, and name where units have one.
    pricing
        Who is paid what: uniform or pay_as_bid.
    kink
        Price where supply meets demand exactly at a unit's end: lower, upper or mid.
    scarcity
        Price in shortage: last_offer, or cap (needs a price cap).
    tie_break
        Who runs among equal offers at the margin: pro_rata, index or random.
    price_floor
        Lowest legal offer, $/MWh.
    price_cap
        Highest legal offer, $/MWh.
    seed
        Key of the random tie-break.
    """

    demand: float
    prices: tuple[float, ...] = ()
    quantities: tuple[float, ...] = ()
    offers: Path | None = None
    pricing: str = "uniform"
    kink: str = "lower"
    scarcity: str = "last_offer"
    tie_break: str = "pro_rata"
    price_floor: float | None = None
    price_cap: float | None = None
    seed: int = 0


def clear_market(options: Clear) -> int:
    """Clear the market and print it in merit order."""
    names, prices, quantities = _offers(options)
    rules = MarketRules(
        pricing=options.pricing,
        kink=options.kink,
        scarcity=options.scarcity,
        tie_break=options.tie_break,
        price_floor=options.price_floor,
        price_cap=options.price_cap,
    )
    cleared = clear(prices, quantities, options.demand, rules=rules, seed=options.seed)
    price, unserved, curtailed = (float(x) for x in (cleared.price, cleared.unserved, cleared.curtailed))
    paid = prices if options.pricing == "pay_as_bid" else [price] * len(prices)
    table = Table(title=f"price {price:,.2f} $/MWh at a demand of {options.demand:,.2f} MW")
    table.add_column("unit", no_wrap=True)
    for column in ("offer $/MWh", "offered MW", "dispatch MW", "revenue $/h"):
        table.add_column(column, justify="right")
    for i in np.argsort(prices, kind="stable").tolist():
        marginal = i == cleared.marginal
        cells = (prices[i], quantities[i], cleared.dispatch[i], paid[i] * cleared.dispatch[i])
        name = f"{names[i]} (marginal)" if marginal else names[i]
        table.add_row(escape(name), *(f"{cell:,.2f}" for cell in cells), style="bold" if marginal else None)
    console = Console()
    console.print(table)
    if unserved > 0:
        console.print(f"unserved: {unserved:,.2f} MW")
    if curtailed > 0:
        console.print(f"curtailed: {curtailed:,.2f} MW")
    return 0


def _offers(options: Clear) -> tuple[list[str], list[float], list[float]]:
    if options.offers is not None:
        if options.prices or options.quantities:
            raise ValueError("offers: give the table, or prices and quantities, not both")
        return _read(options.offers)
    if not options.prices:
        raise ValueError("prices: give at least one, or a table with --offers")
    if len(options.prices) != len(options.quantities):
        raise ValueError(
            f"quantities: must be as many as prices, {len(options.prices)}, got {len(options.quantities)}"
        )
    return [f"G{i}" for i in range(len(options.prices))], list(options.prices), list(options.quantities)


def _read(path: Path) -> tuple[list[str], list[float], list[float]]:
    names: list[str] = []
    columns: dict[str, list[float]] = {"price": [], "quantity": []}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        for column in columns:
            if column not in (reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "none"
                raise ValueError(f"{path}: no column {column!r}; the columns are {found}")
        for row in reader:
            names.append(row.get("name") or f"G{len(names)}")
            for column, values in columns.items():
                values.append(_number(row[column], f"{path}, line {reader.line_num}, column {column!r}"))
    if not names:
        raise ValueError(f"{path}: no offers in it")
    return names, columns["price"], columns["quantity"]


def _number(text: str | None, place: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"{place}: not a number: {text!r}") from None
