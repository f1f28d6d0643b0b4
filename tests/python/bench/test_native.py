"""What the table of the native backend reads from its parts."""

from __future__ import annotations

import pytest

from bench import native

PRINTED = """\
products_forward 80.5
products_backward 150.0
forward 110.0
backward 190.0
peak 270.0
"""


def test_products_are_read() -> None:
    found = native.read_products(PRINTED)
    assert found == {
        "products_forward": 80.5,
        "products_backward": 150.0,
        "forward": 110.0,
        "backward": 190.0,
        "peak": 270.0,
    }
    with pytest.raises(ValueError, match="products: no line for 'backward'"):
        native.read_products(PRINTED.replace("\nbackward", "\nback"))


def test_the_floor_counts_every_pass() -> None:
    # four epochs forward and backward, and once forward in the rollout
    assert native.floor_of(native.read_products(PRINTED), 4) == 5 * 80.5 + 4 * 150.0
