"""A real Prefect server, work pool and worker on this machine, and `deployments/prefect.yaml`."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.events import Event
from prefect.settings import Settings

from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.store import Store
from tests.videos import clips

ROOT = Path(__file__).parents[1]
PREFECT = str(Path(sys.executable).with_name("prefect"))

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@dataclass
class Place:
    """A server, and what was deployed to it."""

    folder: Path
    api: str
    environment: dict[str, str]

    def prefect(self, *arguments: str) -> str:
        done = subprocess.run(
            [PREFECT, "--no-prompt", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, **body: Any) -> Any:
        return self.request("POST", path, body).json()

    def request(self, method: str, path: str, body: Any) -> httpx.Response:
        for _ in range(30):
            answer = httpx.request(method, f"{self.api}/{path}", json=body, timeout=120)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)  # its database is busy
        return answer.raise_for_status()

    def deployment(self, name: str) -> dict[str, Any]:
        found = httpx.get(f"{self.api}/deployments/name/{name}", timeout=30)
        found.raise_for_status()
        return found.json()

    def runs(self, name: str) -> list[dict[str, Any]]:
        chosen = {"deployments": {"id": {"any_": [self.deployment(name)["id"]]}}}
        return self.ask("flow_runs/filter", **chosen, sort="EXPECTED_START_TIME_ASC", limit=200)

    def in_state(self, name: str, *states: str) -> list[dict[str, Any]]:
        return [run for run in self.runs(name) if run["state_type"] in states]

    def wait_for(self, what: Callable[[], Any], seconds: float = 120) -> Any:
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, (self.folder / "worker.log").read_text()[-5000:]
            time.sleep(0.5)
        return found

    def completed(self, run: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = httpx.get(f"{self.api}/flow_runs/{run}", timeout=30).json()
            return found if found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

        found = self.wait_for(ended)
        assert found["state"]["type"] == "COMPLETED", found["state"]
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("deployed")
    clips(folder / "videos", ["a", "b", "c"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    } | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_SERVICES_SCHEDULER_LOOP_SECONDS": "3",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "COREFRAME_HOME": str(ROOT),
        "COREFRAME_VIDEOS": str(folder / "videos"),
        "COREFRAME_STORE": str(folder / "store"),
        "COREFRAME_OUT": str(folder / "out"),
        "COREFRAME_PAGE_URL": "https://media.example.org/out",
    }
    made = Place(folder, environment["PREFECT_API_URL"], environment)
    processes = []

    def start(name: str, *arguments: str) -> None:
        with (folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [PREFECT, *arguments],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.append(process)

    def healthy() -> bool:
        try:
            return httpx.get(f"{made.api}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    try:
        start("server", "server", "start", "--host", "127.0.0.1", "--port", str(port))
        end = time.monotonic() + 120
        while not healthy():
            assert time.monotonic() < end, (folder / "server.log").read_text()
            time.sleep(0.5)
        made.prefect("work-pool", "create", "coreframe", "--type", "process")
        made.prefect("deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
        start("worker", "worker", "start", "--pool", "coreframe")
        yield made
    finally:
        for process in reversed(processes):
            os.killpg(process.pid, signal.SIGKILL)  # asked to end, it takes 20 s
            process.wait(20)


def test_parameters_are_forms_with_bounds_and_descriptions(place: Place) -> None:
    schema = place.deployment("curate/nightly")["parameter_openapi_schema"]
    assert schema["required"] == ["store", "out", "corpus"]
    definitions = schema["definitions"]
    for model in ("Sources", "Ingestion", "Selecting", "Picture", "Compute"):
        for name, field in definitions[model]["properties"].items():
            assert field.get("description") or "enum" in field, (model, name)
    for name in ("store", "out", "wait"):
        assert schema["properties"][name]["description"], name
    assert definitions["Sources"]["properties"]["corrupt_threshold"]["maximum"] == 1
    assert definitions["Picture"]["properties"]["quality"]["minimum"] == 1
    given = place.deployment("objects/adhoc-objects")
    assert given["parameters"]["store"] == str(place.folder / "store")
    assert given["parameter_openapi_schema"]["definitions"]["Boxes"]["properties"]["files"]
    assert place.deployment("train/train")["parameters"]["store"] == str(place.folder / "store")


def test_an_ad_hoc_run_takes_parameters(place: Place, processes: str) -> None:
    """The cluster among them: one that is there."""
    out = place.folder / "two"
    run = place.ask(
        f"deployments/{place.deployment('curate/adhoc-curate')['id']}/create_flow_run",
        parameters={
            "store": str(place.folder / "store"),
            "out": str(out),
            "corpus": {"videos": [str(place.folder / "videos")]},
            "selecting": {"n_samples": 2},
            "compute": {"cluster": processes},
        },
    )
    place.completed(run["id"])
    assert json.loads((out / "run.json").read_text())["counts"]["selected_frames"] == 2
    selected = place.folder / "selected"
    place.prefect(
        *["deployment", "run", "select/adhoc-select", "--watch", "--watch-timeout", "120"],
        *("--param", f"out={selected}", "--param", 'selecting={"n_samples": 3}'),
        *("--param", f"compute={json.dumps({'cluster': processes})}"),
    )
    assert json.loads((selected / "run.json").read_text())["counts"]["selected_frames"] == 3


def test_a_schedule_starts_runs_that_do_not_overlap(place: Place) -> None:
    """The first run waits for another writer; the next one comes due meanwhile."""
    if not (place.folder / "store").exists():  # where this test runs alone
        place.prefect(
            *["deployment", "run", "curate/adhoc-curate", "--watch", "--watch-timeout", "120"]
        )
    name = "curate/nightly"
    with writing(Store.open(place.folder / "store"), "the test"):
        place.prefect(*f"deployment schedule create {name} --interval 8".split())
        place.wait_for(lambda: place.in_state(name, "RUNNING"))
        cancelled = place.wait_for(lambda: place.in_state(name, "CANCELLED"))
        assert cancelled[0]["auto_scheduled"]
        assert len(place.in_state(name, "RUNNING")) == 1
    schedules = [one["id"] for one in place.deployment(name)["schedules"] if one["active"]]

    def at_rest() -> bool:
        """End the schedules again: the server may just have been writing down their next runs."""
        for schedule in schedules:
            one = f"deployments/{place.deployment(name)['id']}/schedules/{schedule}"
            place.request("PATCH", one, {"active": False})
        return not place.in_state(name, "RUNNING", "PENDING", "SCHEDULED")

    at_rest()
    first = place.wait_for(lambda: place.in_state(name, "COMPLETED"))[0]
    assert first["auto_scheduled"]
    place.wait_for(at_rest)
    record = json.loads((place.folder / "out" / "run.json").read_text())
    assert record["counts"]["files"] == {"ok": 3}


def test_impossible_parameters_are_refused_before_a_run_is_made(place: Place) -> None:
    with pytest.raises(httpx.HTTPStatusError) as refused:
        place.ask(
            f"deployments/{place.deployment('curate/adhoc-curate')['id']}/create_flow_run",
            parameters={
                "store": "s",
                "out": "o",
                "corpus": {"videos": ["x"], "corrupt_threshold": 2},
            },
        )
    assert "corrupt_threshold" in refused.value.response.text


def test_an_event_starts_a_run_and_its_end_is_an_event(place: Place) -> None:
    clips(place.folder / "videos" / "new", ["z"])

    def triggered() -> list[dict[str, Any]]:
        return [run for run in place.runs("curate/nightly") if not run["auto_scheduled"]]

    assert not triggered()
    known = {video.path for video in Store.open(place.folder / "store").read_catalogue().videos}
    assert known == {"a.mp4", "b.mp4", "c.mp4"}
    place.prefect(
        *["event", "emit", "coreframe.videos.arrived", "--resource-id", "coreframe.videos"]
    )
    run = place.completed(place.wait_for(triggered)[0]["id"])
    record = json.loads((place.folder / "out" / "run.json").read_text())
    assert record["changes"] == {"new": {"count": 1, "first": ["new/z.mp4"]}}
    assert record["counts"]["files"] == {"ok": 4}

    def told() -> list[dict[str, Any]]:
        found = place.ask(
            "events/filter",
            filter={"event": {"name": ["coreframe.run.completed"]}},
        )["events"]
        return [
            event
            for event in found
            if any(run["id"] in one["prefect.resource.id"] for one in event["related"])
        ]

    assert re.fullmatch(r"\d{4}-\d\d-\d\d nightly: 1 new, \d+ frames?", run["name"])
    event = place.wait_for(told)[0]
    assert event["resource"]["coreframe.flow"] == event["payload"]["flow"] == "curate"
    assert event["payload"]["run"] == run["name"]
    assert event["payload"]["page"] == "https://media.example.org/out/report.html"


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Where messages to people go: its address, and what came."""
    came: list[dict[str, str]] = []

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Inbox) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", came
        server.shutdown()


def test_people_are_told_of_failed_warned_missed_and_lost_runs(
    place: Place, inbox: tuple[str, list[dict[str, str]]]
) -> None:
    """The last test to start runs: here they are lost after ten seconds."""
    address, came = inbox
    sender = {"url": address, "json_data": {"subject": "{{subject}}", "body": "{{body}}"}}
    block = subprocess.run(
        [sys.executable, "-c", SENDER, json.dumps(sender)],
        env=place.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    file = place.folder / "automations.yaml"
    text = (ROOT / "deployments" / "automations.yaml").read_text()
    assert "within: 93600" in text
    assert "within: 600" in text
    short = text.replace("within: 93600", "within: 10").replace("within: 600", "within: 10")
    file.write_text(short.replace("NOTIFICATION_BLOCK_ID", block))
    place.prefect("automation", "create", "--from-file", str(file))
    flow = place.ask("flows/", name="curate")["id"]

    def run(name: str, *states: tuple[str, str]) -> str:
        made = place.ask("flow_runs/", flow_id=flow, name=name)["id"]
        for kind, why in states:
            state = {"type": kind, "message": why}
            place.ask(f"flow_runs/{made}/set_state", state=state, force=True)
        return made

    run("the failed one", ("RUNNING", ""), ("FAILED", "the disk is full"))
    lost = run("the lost one", ("RUNNING", ""))
    run("the sound one", ("RUNNING", ""), ("COMPLETED", ""))
    warned = Event(
        event="coreframe.run.warned",
        resource={"prefect.resource.id": "coreframe.store./s", "coreframe.flow": "curate"},
        payload={"run": "the warned one", "reason": "b.mp4 has changed", "page": "http://p/"},
    )
    place.request("POST", "events", [warned.model_dump(mode="json")])
    subjects = {
        "Coreframe: the failed one Failed",
        "Coreframe: the lost one Crashed",
        "Coreframe: the warned one has warnings",
        "Coreframe: no night for 26 hours",
    }
    place.wait_for(lambda: subjects <= {message["subject"] for message in came})
    told = {message["subject"]: message["body"] for message in came}
    assert not any("the sound one" in subject for subject in told)
    assert "the disk is full" in told["Coreframe: the failed one Failed"]
    assert told["Coreframe: the warned one has warnings"] == "b.mp4 has changed\n\nhttp://p/"
    assert f"/runs/flow-run/{lost}" in told["Coreframe: the lost one Crashed"]


SENDER = """
import json, sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock as Sender
print(Sender(name="coreframe", **json.loads(sys.argv[1])).save("coreframe-alerts"))
"""


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    units = sorted((ROOT / "deployments" / "systemd").glob("*.service"))
    assert len(units) == 2
    for unit in units:
        text = unit.read_text()
        assert text.count("/opt/coreframe/.venv/bin/prefect") == 1
        text = text.replace("/opt/coreframe/.venv/bin/prefect", PREFECT)
        (tmp_path / unit.name).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", *sorted(tmp_path.iterdir())], capture_output=True, text=True
    )
    assert (said.returncode, said.stderr) == (0, "")


def test_the_environment_of_services_is_what_deploying_and_prefect_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = (ROOT / "deployments" / "systemd" / "environment").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    asked = re.findall(r"\$(COREFRAME_\w+)", (ROOT / "deployments" / "prefect.yaml").read_text())
    assert set(asked) <= given.keys()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    read = Settings()
    assert read.api.url == "http://127.0.0.1:4200/api"
    assert read.home == Path("/var/lib/coreframe/prefect")
    assert not read.server.analytics_enabled
    vacuum = read.server.services.db_vacuum
    assert vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
    assert vacuum.retention_period.days == 90


def test_every_cluster_file_and_compose_file_is_yaml() -> None:
    files = [*(ROOT / "deployments").rglob("*.yaml")]
    assert len(files) > 3
    for path in files:
        assert all(yaml.safe_load_all(path.read_text())), path
