"""Judging a policy needs the engine and NumPy alone."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import vecmarket as vm
from vecmarket.evaluation import diagnose, evaluate, evaluate_profile, truthful

evaluate(vm.Scenario.default(), 4, truthful, episodes=1)
evaluate_profile(vm.Scenario.default(), [None, 1.0, truthful, 2.0, None], episodes=1).figures
diagnose(np.zeros(9))
print([name for name in ("torch", "matplotlib", "rich", "tyro", "scipy", "pyarrow") if name in sys.modules])
"""


def test_evaluation_imports_no_optional_package() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
