"""The benchmarks are a package in the root of the repository, which an installed vecmarket leaves out."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[3]))
