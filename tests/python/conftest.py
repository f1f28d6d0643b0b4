"""Shared by all Python tests: hypothesis settings, and the published figures that some tests hold us to."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parents[2]

# Before torch is imported: small networks gain nothing from its threads, which wait for each other on a busy
# machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: times depend on the machine. CI repeats the same examples on every run.
settings.register_profile("local", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


# A shell's background job, as CI may be, ignores Ctrl-C, and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def ground_truth() -> dict[str, Any]:
    """Small markets with known outcomes, kept beside the repository."""
    path = Path(os.environ.get("VECMARKET_GROUND_TRUTH", REPOSITORY.parent / "shared" / "ground_truth.json"))
    if not path.is_file():
        pytest.skip(f"{path} is absent; set VECMARKET_GROUND_TRUTH to the file of known outcomes")
    outcomes: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return outcomes


@pytest.fixture(scope="session")
def rts_gmlc() -> Path:
    """The tables of the RTS-GMLC test system, kept beside the repository."""
    path = Path(os.environ.get("VECMARKET_RTS_GMLC", REPOSITORY.parent / "shared" / "data" / "rts_gmlc"))
    if not path.is_dir():
        pytest.skip(f"{path} is absent; set VECMARKET_RTS_GMLC to the folder of the RTS-GMLC tables")
    return path
