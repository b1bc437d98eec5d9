#!/usr/bin/env bash
# torch 2.13 on a CPU: square roots are not correctly rounded, not even of small whole numbers.
#
# Expected: torch.sqrt gives what math.sqrt and NumPy give. IEEE 754 asks square roots to be
# correctly rounded as it does sums and products, and processors have an instruction that does it.
# Seen: of the whole numbers below 2^20, torch.sqrt is off in the last place for one in seventy in
# float64 (the first is 51), and for one in five in float32: in a tensor of one number as of many.
# torch's own list of what it was built with names Intel's math library, which rounds by less care.
# For users: what rounds a root to a whole number gets another one on a CPU than on a GPU. Coreframe
# takes roots on a CPU with NumPy where results are to be the same everywhere.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.0
"$place/venv/bin/python" - <<'PYTHON'
import math
import sys

import numpy as np
import torch

print(f"torch {torch.__version__}, numpy {np.__version__}, MKL: {torch.backends.mkl.is_available()}")
print(f"math.sqrt(51.0)  = {math.sqrt(51.0)!r}")
alone = torch.sqrt(torch.tensor([51.0], dtype=torch.float64)).item()
print(f"torch.sqrt(51.0) = {alone!r}")
wrong = {}
for name in ("float32", "float64"):
    values = np.arange(1, 2**20).astype(name)
    found = torch.sqrt(torch.from_numpy(values)).numpy()
    wrong[name] = int((found != np.sqrt(values)).sum())
    print(f"{name}: {wrong[name]:,} of {len(values):,} roots differ from NumPy's")
off = [abs(int(root * 2**52) ** 2 - 51 * 2**104) for root in (math.sqrt(51.0), alone)]
print(f"the square of math.sqrt(51.0), in whole numbers, is nearer to 51: {off[0] < off[1]}")
many = wrong["float64"] > 10_000 and wrong["float32"] > 100_000
sys.exit(not (alone != math.sqrt(51.0) and off[0] < off[1] and many))
PYTHON
