"""What SLURM says of the jobs that are to become workers."""

import shutil
import subprocess
from collections import Counter
from typing import Any

ASK_S = 10


def jobs_of(cluster: Any) -> tuple[int, str]:
    """How many jobs of a cluster are left, and what is known of them, in words.

    Args:
        cluster: one of dask-jobqueue. Of others than SLURM's all jobs count as left.
    """
    ids = [str(job.job_id) for job in cluster.workers.values() if job.job_id]
    if not ids:
        return 0, "no job was asked for, since the cluster file has no number of `workers`"
    named = f"job {ids[0]}" if len(ids) == 1 else f"{len(ids)} jobs ({ids[0]} to {ids[-1]})"
    squeue = shutil.which("squeue")
    if cluster.job_cls.submit_command != "sbatch" or squeue is None:
        return len(ids), f"{named} still in the queue, or unable to reach the scheduler"
    command = [squeue, "--noheader", "--format=%T (%r)", f"--jobs={','.join(ids)}"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return len(ids), f"of {named}, squeue says nothing"
    if asked.returncode and "Invalid job id" not in asked.stderr:
        return len(ids), f"of {named}, squeue says {' '.join(asked.stderr.split())}"
    states = Counter(line.strip() for line in asked.stdout.splitlines() if line.strip())
    if not states:
        return 0, (
            f"{named} ended before; what was said there is in slurm-*.out, or where the cluster "
            "file's `log_directory` is"
        )
    listed = ", ".join(f"{number} {state}" for state, number in states.most_common())
    return len(ids), f"of {named}, squeue says {listed}"
