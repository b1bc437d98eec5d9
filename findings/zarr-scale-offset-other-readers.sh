#!/usr/bin/env bash
# zarr-python 3.1.6 writes the filter numcodecs.fixedscaleoffset into a Zarr version 3 array;
# tensorstore 0.1.80 cannot open that array.
#
# Expected: the array's metadata says zarr_format 3 and float32, so any reader of version 3 gives
# the float32 values.
# Seen: codecs named numcodecs.* are outside the version 3 specification. zarr-python reads its own
# array (and warns when it writes one); tensorstore refuses it: "numcodecs.fixedscaleoffset" is not
# registered.
# For users: vectors kept as small integers behind this filter are float32 to zarr-python only.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check \
    zarr==3.1.6 numcodecs==0.16.5 numpy==2.4.0 tensorstore==0.1.80
cd "$place"
"$place/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorstore
import zarr
from zarr.codecs.numcodecs import FixedScaleOffset

values = np.array([[0.5, -0.25], [0.75, 0.0]], np.float32)
scaled = FixedScaleOffset(offset=0, scale=4000, dtype="f4", astype="i2")
array = zarr.create_array(
    "a.zarr", shape=(2, 2), chunks=(2, 2), dtype="float32", filters=[scaled], compressors=None
)
array[:] = values
facts = json.loads(Path("a.zarr/zarr.json").read_text())
print(f"zarr {version('zarr')} wrote: zarr_format {facts['zarr_format']}, {facts['data_type']}, "
      f"codecs {[codec['name'] for codec in facts['codecs']]}")
own = np.array_equal(zarr.open_array("a.zarr", mode="r")[:], values)
print(f"zarr reads back what it wrote: {own}")
spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(Path("a.zarr").absolute())}}
refused = False
try:
    print("tensorstore reads", tensorstore.open(spec).result().read().result())
except ValueError as error:
    refused = '"numcodecs.fixedscaleoffset" is not registered' in str(error)
    print(f"tensorstore {version('tensorstore')}: {str(error).split(' [', 1)[0]}")
sys.exit(not (own and refused))
PYTHON
