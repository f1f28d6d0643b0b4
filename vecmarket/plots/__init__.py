"""Pictures: of an evaluation, and of the rounds of a game."""

from __future__ import annotations

from vecmarket.plots.evaluation import draw, save_png
from vecmarket.plots.rounds import draw_rounds, save_rounds_png

__all__ = ["draw", "draw_rounds", "save_png", "save_rounds_png"]
