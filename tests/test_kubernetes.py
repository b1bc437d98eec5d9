"""The manifests of `deployments/kubernetes`: as the API server and Dask's operator want them."""

import json
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from threading import Thread
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deployments" / "kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))

if any(find_spec(one) is None for one in ("dask_kubernetes", "kubernetes_validate", "kubernetes")):
    pytest.skip("what `dev` brings for Kubernetes is not installed", allow_module_level=True)


def resources(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(path.read_text())


def package(name: str) -> Path:
    """Where a package is; to import Dask's would start its client of Kubernetes."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@cache
def kubernetes_schemas() -> Path:
    found = (package("kubernetes_validate") / "kubernetes-json-schema").glob("v*-local-strict")
    return max(
        found, key=lambda path: [int(part) for part in path.name[1:].split("-")[0].split(".")]
    )


def strict(schema: Any) -> Any:
    """A schema in which no object has what is not in its properties: the server would drop it."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(one) for name, one in schema.items()}
    return made | (
        {"additionalProperties": False} if isinstance(made.get("properties"), dict) else {}
    )


def operator_schema() -> Any:
    """What validates a DaskCluster: the schema that the operator ships, and Kubernetes' pods."""
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    folder = package("dask_kubernetes") / "operator" / "customresources"
    definition = yaml.safe_load((folder / "daskcluster.yaml").read_text())
    (version,) = definition["spec"]["versions"]

    def retrieve(uri: str) -> Resource:
        if "dask_kubernetes" in uri:
            found = strict(yaml.safe_load((folder / uri.rpartition("/")[2]).read_text()))
            whole = found["definitions"]["dask.k8s.api.v1.DaskCluster"]
            whole["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
        else:
            found = json.loads((kubernetes_schemas() / "_definitions.json").read_text())
            found["definitions"] = found["$defs"]  # as the operator calls them
        return Resource(contents=found, specification=DRAFT202012)

    assert version["name"] == "v1"
    return Draft202012Validator(
        version["schema"]["openAPIV3Schema"], registry=Registry(retrieve=retrieve)
    )


def dask_clusters() -> dict[str, dict[str, Any]]:
    found = {
        path.name: one
        for path in MANIFESTS
        for one in resources(path)
        if one["kind"] == "DaskCluster"
    }
    assert set(found) == {"workers.yaml", "workers-gpu.yaml"}
    return found


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_what_kubernetes_and_the_operator_take(path: Path) -> None:
    from kubernetes_validate import validate

    version = kubernetes_schemas().name[1:].split("-")[0]
    for one in resources(path):
        assert one["apiVersion"]
        if one["kind"] == "DaskCluster":
            operator_schema().validate(one)
        else:
            validate(one, version, strict=True)


@pytest.mark.parametrize("where", ["scheduler", "worker"])
def test_a_misspelt_field_would_be_found(where: str) -> None:
    schema = operator_schema()
    for spoil in (
        lambda part: part["spec"]["containers"][0].update(volumeMount=[]),
        lambda part: part["spec"].update(volume=[]),
        lambda part: part["spec"].pop("containers"),
        lambda part: part.update(replica=2),
    ):
        one = dask_clusters()["workers.yaml"]
        spoil(one["spec"][where])
        assert not schema.is_valid(one)


@pytest.mark.integration  # importing dask-cuda runs a program
@pytest.mark.parametrize("name", ["workers.yaml", "workers-gpu.yaml"])
def test_pods_run_commands_that_there_are_and_see_the_same_folders(name: str) -> None:
    from dask_cuda.cli import worker as cuda_worker
    from distributed.cli.dask_scheduler import main as scheduler
    from distributed.cli.dask_worker import main as worker

    version = (ROOT / "pyproject.toml").read_text().partition('version = "')[2].partition('"')[0]
    cluster = dask_clusters()[name]
    programs = {("dask", "scheduler"): scheduler, ("dask", "worker"): worker}
    programs |= {("dask", "cuda", "worker"): cuda_worker}
    mounts = []
    for part in (cluster["spec"]["scheduler"], cluster["spec"]["worker"]):
        (container,) = part["spec"]["containers"]
        program = programs[tuple(container["command"])]
        known = {option for one in program.params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in container["args"] if word.startswith("-")} <= known
        assert container["image"] == f"coreframe:{version}"
        mounts.append([one["mountPath"] for one in container["volumeMounts"]])
        named = {one["name"] for one in part["spec"]["volumes"]}
        assert {one["name"] for one in container["volumeMounts"]} <= named
    assert mounts[0] == mounts[1] == ["/videos", "/data"]
    gpu = "nvidia.com/gpu" in container["resources"]["limits"]
    assert gpu == (name == "workers-gpu.yaml") == ("cuda" in container["command"])
    ports = {one["port"] for one in cluster["spec"]["scheduler"]["service"]["ports"]}
    address = yaml.safe_load((FOLDER.parent / "clusters" / "kubernetes.yaml").read_text())[
        "address"
    ]
    place = cluster["metadata"]
    assert address == f"tcp://{place['name']}-scheduler.{place['namespace']}.svc:8786"
    assert 8786 in ports


@pytest.mark.integration
def test_the_number_of_workers_is_changed_by_night(monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes import client

    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings = client.Configuration(host=f"http://127.0.0.1:{server.server_port}")
        client.Configuration.set_default(settings)
        try:
            run_path(str(FOLDER / "scale.py"))["scale"](16)
        finally:
            client.Configuration.set_default(None)
            server.shutdown()
    ((path, body),) = asked
    assert path == "/apis/kubernetes.dask.org/v1/namespaces/coreframe/daskclusters/coreframe/scale"
    assert body == {"spec": {"replicas": 16}}
