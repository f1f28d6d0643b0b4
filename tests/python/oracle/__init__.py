"""A small, slow, obvious market in plain Python and NumPy, written from ``docs/market.md`` and nothing else.

It plays one environment at a time with loops, so that every line can be checked against the page. The tests
hold the engine against it. It knows the configuration dataclasses and no other part of the package.
"""

from oracle.clearing import Cleared, clear
from oracle.market import REWARD_TERMS, Market, Step
from oracle.rng import Draws, philox, tie_order

__all__ = ["REWARD_TERMS", "Cleared", "Draws", "Market", "Step", "clear", "philox", "tie_order"]
