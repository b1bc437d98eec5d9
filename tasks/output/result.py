"""What a run wrote into its output folder, read again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coreframe.tasks.errors import UsageError


@dataclass(frozen=True)
class Written:
    """The content of one output folder, its images aside.

    Attributes:
        out: the folder.
        selection: ``selection.parquet``, in pick order.
        metrics: ``metrics.json``.
        run: ``run.json``.
    """

    out: Path
    selection: pd.DataFrame
    metrics: dict[str, Any]
    run: dict[str, Any]

    @classmethod
    def read(cls, out: Path) -> "Written":
        """Read an output folder.

        Raises:
            UsageError: it is not one, or of an earlier version.
        """
        try:
            written = cls(
                out,
                pq.read_table(out / "selection.parquet").to_pandas(),
                json.loads((out / "metrics.json").read_text(encoding="utf-8")),
                json.loads((out / "run.json").read_text(encoding="utf-8")),
            )
        except FileNotFoundError as error:
            raise UsageError(
                f"no selection in {out} ({error.filename} is missing): make one with `coreframe "
                f"select --store STORE --out {out}`."
            ) from error
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UsageError(
                f"the selection in {out} cannot be read ({error}): select again."
            ) from error
        if "l2_bin" not in written.metrics or "command" not in written.run:
            raise UsageError(
                f"the selection in {out} was written by an earlier version, which measured less "
                "than a report shows: select again."
            )
        return written

    @property
    def length(self) -> int:
        """Frames a unit: 1, or those of a sequence."""
        return int(self.metrics["sequence_length"])

    @property
    def units(self) -> pd.DataFrame:
        """The first frame of each chosen unit, in pick order."""
        return self.selection.iloc[:: self.length].reset_index(drop=True)
