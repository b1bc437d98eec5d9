"""What workers need, imported once: the process of which local workers are forks runs this.

Importing it starts nothing and computes nothing, so that a fork of the process is as good as a new
one.
"""

import gc

gc.disable()  # a fifth of the time of importing goes into looking for garbage

import distributed.nanny  # noqa: E402
import distributed.worker  # noqa: E402, F401
import torch  # noqa: E402, F401

import coreframe.tasks.check.job  # noqa: E402
import coreframe.tasks.embed.job  # noqa: E402
import coreframe.tasks.export.job  # noqa: E402
import coreframe.tasks.index.job  # noqa: E402
import coreframe.tasks.kcenter.job  # noqa: E402
import coreframe.tasks.report.job  # noqa: E402, F401

gc.freeze()  # what all forks share stays shared
gc.enable()
