"""Give the Dask cluster of this folder so many workers, from within Kubernetes: scale.py 16."""

import sys
from pathlib import Path

import yaml
from kubernetes import client, config


def scale(workers: int) -> None:
    """Ask the API server; the operator does the rest."""
    manifest = yaml.safe_load(Path(__file__).with_name("workers.yaml").read_text())
    group, _, version = manifest["apiVersion"].partition("/")
    client.CustomObjectsApi().patch_namespaced_custom_object_scale(
        group,
        version,
        manifest["metadata"]["namespace"],
        "daskclusters",
        manifest["metadata"]["name"],
        {"spec": {"replicas": workers}},
    )


if __name__ == "__main__":
    config.load_incluster_config()
    scale(int(sys.argv[1]))
