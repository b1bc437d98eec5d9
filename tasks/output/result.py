"""What a run that selects comes to: the content of ``run.json`` and ``metrics.json``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Run

NOTHING_NEW = "nothing_new"


@dataclass(frozen=True)
class Result:
    """The two files, and whether this run wrote them."""

    run: Run
    metrics: Metrics
    nothing_new: bool = False
    """They stand since an earlier run, and nothing has changed."""

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a flow returns them: Prefect may keep them for another process.

        Returns:
            What the files hold under ``run`` and ``metrics``; ``run`` has ``nothing_new`` where
            that is so.
        """
        run = self.run.model_dump() | ({NOTHING_NEW: True} if self.nothing_new else {})
        return {"run": run, "metrics": self.metrics.model_dump()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Result":
        """Read what :meth:`to_json` gave."""
        return cls(
            Run.model_validate(values["run"]),
            Metrics.model_validate(values["metrics"]),
            bool(values["run"].get(NOTHING_NEW)),
        )
