"""`make bench`: a table of whole processes, interleaved, and one of images; targets are shown, nothing is asserted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi

from bench import registry

ROOT = Path(__file__).parent.parent
HERE = ROOT / "bench"
KEY = "c0ffee11c0ffee22c0ffee33c0ffee44"
ROUNDS = int(os.environ.get("ROUNDS", "21"))
DOCKER_ROUNDS = int(os.environ.get("DOCKER_ROUNDS", "25"))
COLD_ROUNDS = int(os.environ.get("COLD_ROUNDS", "7"))
LINE_MBIT = 100  # a second, of the line to the registry
COMMITS, REPORT_CASES, REPORT = 10_000, 5_000, "test-results/junit.xml"
PIPE_IMAGE, COMMON_IMAGE = "pagerduty-events:bench", "pagerduty-events:bench-common"
RUNTIME = "gcr.io/distroless/python3-debian13:nonroot"

DEFINITION = """\
pipelines:
  branches:
    main:
      - step:
          name: Build and test
          caches: [pip]
          script:
            - pip install -r requirements.txt
            - pytest --junitxml=test-results/junit.xml
          after-script:
            - pipe: your-workspace/pagerduty-events:0.1.0
              variables:
                INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
                EXIT_CODE: $BITBUCKET_EXIT_CODE
"""


@dataclass
class Contender:
    """Something that posts the event, and how long each of its runs took: wall and CPU seconds, peak bytes."""

    name: str
    command: list[str]
    environ: dict[str, str]
    cwd: Path
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)

    def run(self) -> None:
        started = time.perf_counter()
        # posix_spawn and wait4, so that the peak is this child's own
        quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        command = ["env", "-C", str(self.cwd), *self.command[1:]]
        pid = os.posix_spawn(self.command[0], command, self.environ, file_actions=quiet)
        _, status, used = os.wait4(pid, 0)
        self.wall.append(time.perf_counter() - started)
        if status:
            sys.exit(f"bench: {self.name} ended with {os.waitstatus_to_exitcode(status)}")
        self.cpu.append(used.ru_utime + used.ru_stime)
        self.peak.append(used.ru_maxrss * 1024)


def main() -> None:
    for needed in ("curl", "openssl", "git"):
        if not shutil.which(needed):
            sys.exit(f"bench: {needed} is needed on this machine")
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (url, log):
        work = Path(folder)
        processes(work, url)
        if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
            print("\nImages: no Docker engine answers, so they are not measured.")
        else:
            images(work, url, log)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[str, Path]]:
    certificate, key, log = folder / "certificate.pem", folder / "key.pem", folder / "accepted"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    command = [sys.executable, "-m", "bench.server", str(certificate), str(key), str(log)]
    # what is trusted is as long as in real life, and this server
    (folder / "trusted.pem").write_text(Path(certifi.where()).read_text() + certificate.read_text())
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"https://localhost:{process.stdout.readline().strip()}", log
        finally:
            process.kill()


def processes(work: Path, url: str) -> None:
    plain, busy = work / "plain", work / "busy"
    plain.mkdir()
    (plain / "bitbucket-pipelines.yml").write_text(DEFINITION)
    repository(busy)
    shared = {
        "PATH": os.environ["PATH"],
        "REQUESTS_CA_BUNDLE": str(work / "trusted.pem"),
        "SSL_CERT_FILE": str(work / "trusted.pem"),
        "CURL_CA_BUNDLE": str(work / "trusted.pem"),
        "EVENTS_URL": url,
        "EVENT": str(work / "event.json"),
    }
    build = {
        **shared,
        "PYTHONPATH": str(ROOT),
        "INTEGRATION_KEY": KEY,
        "CI": "true",
        "BITBUCKET_REPO_FULL_NAME": "acme/shop",
        "BITBUCKET_BRANCH": "main",
        "BITBUCKET_BUILD_NUMBER": "812",
        "EXIT_CODE": "2",
    }
    python = [shutil.which("env") or "env", sys.executable, "-P"]
    printed = output([*python[1:], "-m", "pipe"], cwd=plain, env=build | {"DRY_RUN": "true"})
    event = json.loads(printed.splitlines()[-1]) | {"routing_key": KEY}
    (work / "event.json").write_text(json.dumps(event))

    curl = ["curl", "-sS", "--fail", "-H", "Content-Type: application/json", "--data-binary", f"@{work}/event.json"]
    commit = output(["git", "rev-parse", "HEAD"], cwd=busy)
    rows = [
        Contender("(a) curl", [python[0], *curl, f"{url}/v2/enqueue"], shared, plain),
        Contender("(b) toolkit + requests, ten lines", [*python, str(HERE / "floor.py")], shared, plain),
        Contender("(c) PagerDuty's own client", [*python, str(HERE / "client.py")], shared, plain),
        Contender("(d) python -m pipe", [*python, "-m", "pipe"], build, plain),
        Contender("(e) (d) with evidence", [*python, "-m", "pipe"], build | {"BITBUCKET_COMMIT": commit}, busy),
    ]
    single = work / "pagerduty-events.pyz"
    output([sys.executable, str(ROOT / "image/zipapp.py"), str(single)])
    alone = {name: value for name, value in build.items() if name != "PYTHONPATH"}
    rows.append(Contender("(f) the single file", [*python, str(single)], alone, plain))
    interleaved([row.run for row in rows], ROUNDS)
    floor, pipe = rows[1], rows[3]
    print(f"One process that sends one trigger over loopback TLS: medians of {ROUNDS} interleaved runs")
    print(f"{'':36}{'wall ms':>9}{'CPU ms':>9}{'peak MiB':>10}{'wall/(b)':>10}{'CPU/(b)':>10}{'wall/(d)':>10}")
    for row in rows:
        wall, cpu, peak = (statistics.median(values) for values in (row.wall, row.cpu, row.peak))
        print(
            f"{row.name:36}{wall * 1000:9.0f}{cpu * 1000:9.0f}{peak / 2**20:10.1f}"
            f"{ratio(row.wall, floor.wall):10.2f}{ratio(row.cpu, floor.cpu):10.2f}{ratio(row.wall, pipe.wall):10.2f}"
        )
    size = (busy / REPORT).stat().st_size / 1e6
    print(f"(e): a clone of {COMMITS} commits and a report of {size:.1f} MB, two of {REPORT_CASES} tests failing")
    print(f"(f): {single.stat().st_size / 1e6:.2f} MB, run by the Python that made it")
    print("targets: (d) at most 1.05 of (b) in wall and CPU, below 45 MiB; (e) at most 1.2 of (d)")


def repository(folder: Path) -> None:
    """A clone with many commits, packed as a clone is, and a test report."""
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    stream = "".join(
        f"commit refs/heads/main\ncommitter Ada Lovelace <ada@example.org> {1700000000 + n} +0000\n"
        f"data <<END\nChange number {n}\nEND\nM 644 inline src/file{n % 500}\ndata <<END\nLine {n}\nEND\n\n"
        for n in range(COMMITS)
    )
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=stream, text=True, check=True)
    subprocess.run(["git", "gc", "--quiet"], cwd=folder, check=True)
    (folder / "bitbucket-pipelines.yml").write_text(DEFINITION)
    case = '<testcase classname="tests.test_shop.TestCart" name="test_adding_item_{}_to_the_cart_and_paying">'
    ends = ("<system-out>paid, packed, shipped and done</system-out>", '<failure message="assert 3 == 4">…</failure>')
    cases = "".join(f"{case.format(n)}{ends[n in (17, 4711)]}</testcase>\n" for n in range(REPORT_CASES))
    (folder / REPORT).parent.mkdir()
    (folder / REPORT).write_text(f'<testsuites><testsuite name="pytest">{cases}</testsuite></testsuites>')


def images(work: Path, url: str, log: Path) -> None:
    build_image = ["docker", "build", "-q", "--network", "host"]  # an engine may have no bridge network
    output([*build_image, "-t", PIPE_IMAGE, str(ROOT)])
    output([*build_image, "-t", COMMON_IMAGE, "-f", str(HERE / "common.Dockerfile"), str(HERE)])
    both = (PIPE_IMAGE, COMMON_IMAGE)
    save = "docker save {} | gzip -6 | wc -c"
    compressed = {name: int(output(["sh", "-c", save.format(name)])) / 1e6 for name in (*both, RUNTIME)}
    mounts = ["-v", f"{work}:/bench:ro", "-w", "/bench/plain"]
    shared = [*mounts, "--network", "host", "-e", f"EVENTS_URL={url}", "-e", "REQUESTS_CA_BUNDLE=/bench/trusted.pem"]
    build = ["-e", f"INTEGRATION_KEY={KEY}", "-e", "CI=true", "-e", "BITBUCKET_REPO_FULL_NAME=acme/shop",
             "-e", "BITBUCKET_BRANCH=main", "-e", "BITBUCKET_BUILD_NUMBER=812", "-e", "EXIT_CODE=2"]  # fmt: skip
    for path in (work, *work.glob("*.pem"), work / "event.json", work / "plain"):
        path.chmod(0o755)  # the pipe's container runs as nobody
    accepted: dict[str, list[float]] = {PIPE_IMAGE: [], COMMON_IMAGE: []}

    options = {PIPE_IMAGE: build, COMMON_IMAGE: ["-e", "EVENT=/bench/event.json"]}

    def start(name: str, reference: str) -> Callable[[], None]:
        def run() -> None:
            started = time.monotonic()
            output(["docker", "run", "--rm", *shared, *options[name], reference])
            accepted[name].append(float(log.read_text().splitlines()[-1]) - started)

        return run

    interleaved([start(name, name) for name in both], DOCKER_ROUNDS)
    print("\nThe image, beside (b) on python:3.13-slim-trixie as pipes are commonly built")
    print(f"{'':36}{'pipe':>12}{'common':>12}{'ratio':>8}")
    rows = [
        ("compressed (docker save | gzip -6)", compressed, "MB"),
        ("docker run to accepted, median", {name: statistics.median(values) for name, values in accepted.items()}, "s"),
    ]
    for title, values, unit in rows:
        ours, common = values[PIPE_IMAGE], values[COMMON_IMAGE]
        print(f"{title:36}{ours:9.2f} {unit:2}{common:9.2f} {unit:2}{ours / common:8.2f}")
    print(f"{'  above the runtime base':36}{compressed[PIPE_IMAGE] - compressed[RUNTIME]:9.2f} MB")
    print(
        "targets, compressed: at most 20 MB, at most 2.5 MB above its base, less than half of the common one; no slower"
    )
    cold(start, accepted)


def cold(start: Callable[[str, str], Callable[[], None]], accepted: dict[str, list[float]]) -> None:
    """From `docker run` of an image that only the registry has, over a line of a certain speed, to accepted."""
    if not registry.program():
        print(f"Cold start: not measured; {registry.MISSING}.")
        return
    with registry.registry() as address, registry.throttled(address, LINE_MBIT * 1e6 / 8) as line:
        runs = []
        for name in accepted:
            repository = name.replace(":", "/")
            publish(name, f"{address}/{repository}")
            runs.append(cold_start(start(name, f"{line}/{repository}"), f"{line}/{repository}"))
        for values in accepted.values():
            values.clear()
        interleaved(runs, COLD_ROUNDS)
    ours, common = (statistics.median(accepted[name]) for name in (PIPE_IMAGE, COMMON_IMAGE))
    title = f"cold start, median of {COLD_ROUNDS}"
    print(f"{title:36}{ours:9.2f} s {common:9.2f} s {ours / common:8.2f}")
    print(f"cold: pulled over a proxy of {LINE_MBIT} Mbit/s as one layer that no other image has; target at most 0.40")


def publish(name: str, reference: str) -> None:
    """Push what an image holds as one layer of its own, and forget it: what is pulled shares none with other images."""
    settings = json.loads(output(["docker", "image", "inspect", name]))[0]["Config"]
    changes = [f"ENTRYPOINT {json.dumps(settings['Entrypoint'])}", *(f"ENV {one}" for one in settings["Env"])]
    if settings["User"]:
        changes.append(f"USER {settings['User']}")
    made = output(["docker", "create", name])
    imported = ["docker", "import", *(word for change in changes for word in ("--change", change)), "-", reference]
    with subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE) as exported:
        subprocess.run(imported, stdin=exported.stdout, stdout=subprocess.DEVNULL, check=True)
    output(["docker", "rm", made])
    output(["docker", "push", "-q", reference])
    output(["docker", "rmi", reference])


def cold_start(run: Callable[[], None], reference: str) -> Callable[[], None]:
    def whole() -> None:
        run()
        output(["docker", "rmi", reference])

    return whole


def interleaved(runs: list[Callable[[], None]], rounds: int) -> None:
    """Every contender once a round, so that whatever the machine does meanwhile, it does to all; every other round in
    reverse, so that none always comes after the same one."""
    for number in range(rounds):
        for run in runs if number % 2 else reversed(runs):
            run()


def ratio(values: list[float], base: list[float]) -> float:
    """The median of each round's own ratio."""
    return statistics.median(value / other for value, other in zip(values, base, strict=True))


def output(command: list[str], **more: Any) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if run.returncode:
        sys.exit(f"bench: {' '.join(command)} ended with {run.returncode}: {run.stderr.strip()[-1000:]}")
    return str(run.stdout).strip()


if __name__ == "__main__":
    main()
