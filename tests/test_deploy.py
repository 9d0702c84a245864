"""The files for deployment: valid by their schemas, and what they start works in a clean environment."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kubernetes_validate
import psutil
import pytest
import yaml

from tests.servers.process import START_S, answers, get, until
from tests.servers.prometheus import prometheus_of
from tests.servers.sidecar import sidecar
from tests.sidecar.pages import made

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[1] / "examples"
DEPLOY = EXAMPLES / "deploy"
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))


def manifest(kind: str) -> Any:
    [found] = [document for document in MANIFESTS if document["kind"] == kind]
    return found


@pytest.mark.parametrize("document", MANIFESTS, ids=[document["kind"] for document in MANIFESTS])
def test_manifest_is_valid(document: Any) -> None:
    kubernetes_validate.validate(document, "1.30", strict=True)


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("compose-spec", DEPLOY / "compose.yaml"),
        ("github-workflows", EXAMPLES / "pipelines/github-actions.yml"),
        ("gitlab-ci", EXAMPLES / "pipelines/gitlab-ci.yml"),
    ],
    ids=["compose", "GitHub", "GitLab"],
)
def test_file_is_valid_by_the_schema_of_its_system(schema: str, file: Path) -> None:
    program = str(Path(sys.executable).parent / "check-jsonschema")
    command = [program, "--builtin-schema", f"vendor.{schema}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


def commands(part: Any) -> Iterator[str]:
    """Yield every command of a pipeline, wherever it stands."""
    if isinstance(part, dict):
        for key, inner in part.items():
            yield from inner if key == "script" else [inner] if key == "run" else commands(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from commands(inner)


@pytest.mark.parametrize("file", ["github-actions.yml", "gitlab-ci.yml"])
def test_options_of_a_pipeline_exist(file: str) -> None:
    document = yaml.safe_load((EXAMPLES / "pipelines" / file).read_text("utf-8"))
    ours = [shlex.split(command) for command in commands(document)]
    ours = [words for words in ours if words[0] in {"pytest", "sergas"}]

    assert {words[0] for words in ours} == {"pytest", "sergas"}
    for program, *rest in ours:
        asked = [program] if program == "pytest" else [program, rest[0]]
        module = ["-m", "pytest"] if program == "pytest" else ["-m", "pytest_sergas", rest[0]]
        done = subprocess.run([sys.executable, *module, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, asked
        known = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout))
        assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known, asked


def test_deployment_gives_the_store_one_owner_and_probes_what_an_orchestrator_should() -> None:
    spec = manifest("Deployment")["spec"]
    [container] = spec["template"]["spec"]["containers"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert container["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": 8000}
    assert container["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": 8000}
    assert container["resources"] == {
        "requests": {"memory": "256Mi", "cpu": "250m"},
        "limits": {"memory": "512Mi", "cpu": "500m"},
    }
    assert spec["template"]["spec"]["securityContext"]["runAsNonRoot"] is True


COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def mounts(service: str) -> dict[str, str]:
    """Return what a service of the compose file mounts: path in it → source."""
    volumes = [volume.split(":") for volume in COMPOSE["services"][service]["volumes"]]
    return {target: source for source, target, *_ in volumes}


def test_compose_starts_the_sidecar_and_what_looks_at_it() -> None:
    services = COMPOSE["services"]

    started = {name for name, service in services.items() if not service.get("profiles")}
    assert started == {"sergas", "prometheus", "grafana"}
    build = services["sergas"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert services["sergas"]["secrets"] == services["prometheus"]["secrets"]


def test_compose_provisions_the_data_source_and_the_dashboards() -> None:
    found = mounts("grafana")

    def provisioned(what: str, file: str) -> Any:
        path = DEPLOY / found[f"/etc/grafana/provisioning/{what}"] / file
        return yaml.safe_load(path.read_text("utf-8"))

    [source] = provisioned("datasources", "prometheus.yaml")["datasources"]
    [provider] = provisioned("dashboards", "sergas.yaml")["providers"]

    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    assert COMPOSE["services"]["prometheus"]["ports"] == ["127.0.0.1:9090:9090"]
    dashboards = DEPLOY / found[provider["options"]["path"]]
    assert {file.name for file in dashboards.glob("*.json")} == {"health.json", "system.json", "tests.json"}


def test_prometheus_of_the_compose_file_scrapes_the_sidecar_with_its_token(tmp_path: Path) -> None:
    text = (DEPLOY / mounts("prometheus")["/etc/prometheus/prometheus.yml"]).read_text("utf-8")
    [secret] = COMPOSE["services"]["prometheus"]["secrets"]
    assert secret["target"] in text
    (tmp_path / "tokens").write_text("t0ken\n", encoding="utf-8")
    with sidecar(tmp_path, config='[serve]\ntoken_file = "tokens"\n') as running:
        text = text.replace(secret["target"], str(tmp_path / "tokens"))
        text = text.replace("sergas:8000", running.url.partition("://")[2]).replace("15s", "100ms")
        with prometheus_of(tmp_path, text) as server:
            assert server.query('up{job="sergas"} == 1')


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_image_is_slim_runs_as_nobody_in_particular_and_keeps_its_store_on_a_volume() -> None:
    found = instructions()

    assert {rest.split()[0] for word, rest in found if word == "FROM"} == {"python:3.11-slim"}
    assert ("USER", "10001") in found
    assert ("VOLUME", "/var/lib/sergas") in found
    assert ("EXPOSE", "8000") in found
    [copied] = [rest.split()[0] for word, rest in found if word == "COPY" and rest.startswith("examples/")]
    assert (EXAMPLES.parent / copied).exists()


@pytest.mark.integration(timeout=600)
def test_commands_of_the_image_work_in_a_clean_environment(tmp_path: Path) -> None:
    """Run what the Dockerfile runs, its directories below ours, and ask as its health check asks."""
    places = {
        "/opt/sergas": str(tmp_path / "opt"),
        "/src": str(EXAMPLES.parent),
        "/etc/sergas": str(DEPLOY),
        "/var/lib/sergas": str(tmp_path),
        "/run/secrets/sergas": str(tmp_path / "secrets"),
        "0.0.0.0:8000": "127.0.0.1:0",
    }

    def here(text: str) -> str:
        for theirs, ours in places.items():
            text = text.replace(theirs, ours)
        return text

    for word, rest in instructions():
        if word == "RUN" and "useradd" not in rest:
            command = shlex.split(here(rest).replace("--no-cache-dir", "--quiet"))
            command[0] = sys.executable if command[0] == "python" else command[0]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
    config = tmp_path / "sergas.toml"
    config.write_text(here((DEPLOY / "sergas.toml").read_text("utf-8")), encoding="utf-8")
    [serve] = [json.loads(rest) for word, rest in instructions() if word == "CMD"]
    command = [str(config) if part == "/etc/sergas/sergas.toml" else here(part) for part in serve]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=tmp_path)
    try:
        listening = re.compile(r"^listening on (\S+)$", re.MULTILINE)
        until(lambda: listening.search(log.read_text("utf-8")), "the image's command listens", log, deadline_s=60)
        url = listening.findall(log.read_text("utf-8"))[0]
        [check] = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
        probe = json.loads(check.partition("CMD ")[2])
        probe = [here(part).replace("http://127.0.0.1:8000", url) for part in probe]
        assert subprocess.run(probe, check=False, timeout=60).returncode == 0
        assert answers(f"{url}/metrics")  # 401: it wants a token
        with urllib.request.urlopen(f"{url}/health", timeout=START_S) as answer:  # as the specification's probes ask
            assert list(json.loads(answer.read())) == ["status"]
        made_token = tmp_path / "sergas.db.token"
        assert made_token.stat().st_mode & 0o777 == 0o600
        token = made_token.read_text("utf-8").strip()
        assert token not in log.read_text("utf-8")
        request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            assert b"sergas_groups 0" in answer.read()
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert (tmp_path / "sergas.db").exists()


PUSHES, GROUPS, AT_ONCE = 500, 250, 8
RATE_PER_S = 100.0


def test_limits_of_the_specification_hold_under_load(tmp_path: Path) -> None:
    """Memory peaks below its limit, and CPU time stays below what the limit grants, with pushes, scrapes, pages, runs.

    The load is ten times the groups of a large project. It is sent as fast as it goes; the CPU time that it costs is
    compared with what half a CPU has while it arrives at `RATE_PER_S`.
    """
    [container] = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    with sidecar(tmp_path) as running, ThreadPoolExecutor(AT_ONCE) as writers, ThreadPoolExecutor(2) as readers:
        process = psutil.Process(running.process.pid)
        before_s = cpu_s(process)
        work: list[Future[Any]] = [writers.submit(push, running.url, number) for number in range(PUSHES)]
        for number in range(10):
            made.send(running, made.shop_run(number))
            paths = ("/metrics", "/", "/runs", "/tests", "/pushes", "/alerts")
            work += [readers.submit(get, f"{running.url}{path}") for path in paths]
        for one in work:
            one.result()
        page = get(f"{running.url}/metrics")
        spent_s, peak_kib = cpu_s(process) - before_s, running.peak_kib

    assert f"sergas_groups {GROUPS}" in page
    assert peak_kib < int(limits["memory"].removesuffix("Mi")) * 1024
    assert spent_s < int(limits["cpu"].removesuffix("m")) / 1000 * PUSHES / RATE_PER_S


def push(url: str, number: int) -> None:
    body = "".join(f'orders{{shop="{shop}"}} {number}\n' for shop in range(40)).encode()
    request = urllib.request.Request(f"{url}/metrics/job/j{number % GROUPS}", body, method="PUT")
    with urllib.request.urlopen(request, timeout=60):
        pass


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
