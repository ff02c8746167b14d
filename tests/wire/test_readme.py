"""The README is the front door: every YAML example is valid, and does what its text says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from pipe import VERSION, ownership
from pipe.build import Build
from pipe.definition_file import parse
from pipe.variables import VARIABLES, read
from tests.conftest import KEY, ROOT

README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", README, re.M | re.S)
TITLES = ["one step", "several steps", "deployment", "plain last step", "final with a token", "final with BUILD_STATUS"]


def pagers(example: str) -> list[dict]:
    return [item for item in walk(yaml.safe_load(example)["pipelines"]) if "pipe" in item]


def walk(node):
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def test_there_is_an_example_for_every_way_to_use_it():
    assert len(EXAMPLES) == len(TITLES)


@pytest.mark.parametrize("example", [*EXAMPLES, (ROOT / "bitbucket-pipelines.yml").read_text()], ids=[*TITLES, "our own"])
def test_every_yaml_example_is_valid_by_bitbucket_s_schema(example, tmp_path):
    file = tmp_path / "bitbucket-pipelines.yml"
    file.write_text(example)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.bitbucket-pipelines", str(file)]
    run = subprocess.run(check, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=TITLES)
def test_every_example_uses_this_version_and_variables_that_exist(example):
    for item in pagers(example):
        assert item["pipe"].endswith(f"/pagerduty-events:{VERSION}")
        assert set(item["variables"]) <= {variable.name for variable in VARIABLES}
        literal = {name: value for name, value in item["variables"].items() if isinstance(value, str) and "$" not in value}
        assert not read({"INTEGRATION_KEY": KEY, **literal}).problems


MAIN = Build(repository="acme/shop", branch="main")


@pytest.mark.parametrize(
    ("title", "build", "name", "owns"),
    [
        ("one step", MAIN, "", True),
        ("several steps", MAIN, "unit tests", True),
        ("several steps", MAIN, "lint", True),
        ("deployment", Build(repository="acme/shop", branch="main", environment="production"), "", True),
        ("plain last step", MAIN, "", False),
    ],
)
def test_a_step_that_passes_resolves_where_its_text_says_so(title, build, name, owns):
    definition = parse(EXAMPLES[TITLES.index(title)].encode())
    held = ownership.of_step(definition, build, read({"ALERT_NAME": name}))
    assert held.owns is owns
    assert held.owns or held.resolver


@pytest.mark.parametrize("title", ["final with a token", "final with BUILD_STATUS"])
def test_a_final_step_s_success_resolves(title):
    definition = parse(EXAMPLES[TITLES.index(title)].encode())
    assert ownership.of_pipeline(definition, MAIN, read({})).owns
    assert not ownership.of_step(definition, MAIN, read({})).owns


def test_the_sections_people_look_for_are_there():
    for title in ("YAML Definition", "Variables", "Prerequisites", "Examples", "Support", "License", "Why was nobody paged?", "Limits"):
        assert f"\n## {title}\n" in README


def test_one_version_everywhere():
    assert re.findall(r"pagerduty-events:(\d[\w.]*)", README) == [VERSION] * README.count("pagerduty-events:0")
    assert yaml.safe_load((ROOT / "pipe.yml").read_text())["image"].endswith(f":{VERSION}")
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == VERSION
    assert f"ARG VERSION={VERSION}\n" in (ROOT / "Dockerfile").read_text()


def test_pipe_yml_has_what_bitbucket_asks_for():
    metadata = yaml.safe_load((ROOT / "pipe.yml").read_text())
    assert {"name", "image", "category", "description", "repository", "icon", "vendor", "maintainer", "tags"} <= set(metadata)
    assert metadata["category"] == "Notifications"
    assert {"name", "website", "email"} <= set(metadata["vendor"]) & set(metadata["maintainer"])


def test_no_app_password_is_ever_mentioned():
    for path in (ROOT / "README.md", ROOT / "pipe.yml", *(ROOT / "pipe").rglob("*.py")):
        assert "app password" not in path.read_text().lower()


def test_the_readme_s_second_local_run_resolves_what_the_first_one_opened(pipe, sandbox):
    environ = dict(line.split("=", 1) for line in (ROOT / "sandbox/failing-build.env").read_text().splitlines() if "=" in line)
    assert pipe(environ, None).status == 0
    assert pipe({**environ, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": "0"}, None).status == 0
    assert [incident["status"] for incident in sandbox.incidents()] == ["resolved"]
