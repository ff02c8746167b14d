"""The README is the front door: every YAML example is valid, and does what its text says."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml

from pipe import VERSION, ownership, subject
from pipe.build import Build
from pipe.definition_file import parse
from pipe.settings import VARIABLES, Settings
from tests.conftest import KEY, ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    (f"{page.name}, example {number}", text)
    for page in PAGES
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.M | re.S), 1)
    if "pipelines:" in text
]
IDS = [name for name, _ in EXAMPLES]
CHECKED = dict(EXAMPLES) | {"our own": (ROOT / "bitbucket-pipelines.yml").read_text()}
TITLES = ["quick start", "several steps", "the whole repository", "a deployment"]
BY_TITLE = dict(zip(TITLES, re.findall(r"^```yaml\n(.*?)^```$", README, re.M | re.S), strict=True))
MOST_WORDS = 1000


def pagers(example: str) -> list[dict]:
    return [item for item in walk(yaml.safe_load(example)["pipelines"]) if "pagerduty-events" in item.get("pipe", "")]


def walk(node):
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


@pytest.fixture(scope="module")
def by_the_schema(tmp_path_factory) -> dict:
    """What the schema says of every example: one process reads them all."""
    folder = tmp_path_factory.mktemp("examples")
    for number, text in enumerate(CHECKED.values()):
        (folder / f"{number}.yml").write_text(text)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.bitbucket-pipelines", "--verbose",
             "--output-format", "json", *(f"{number}.yml" for number in range(len(CHECKED)))]  # fmt: skip
    run = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=False)
    said = json.loads(run.stdout)
    valid = said["checked_paths"] if said["status"] == "ok" else said["successes"]
    return {name: f"{number}.yml" in valid or run.stdout for number, name in enumerate(CHECKED)}


@pytest.mark.parametrize("name", CHECKED)
def test_every_yaml_example_is_valid_by_bitbucket_s_schema(by_the_schema, name):
    assert by_the_schema[name] is True


@pytest.mark.parametrize("example", [text for _, text in EXAMPLES], ids=IDS)
def test_every_example_uses_this_version_and_variables_that_exist(example):
    for item in pagers(example):
        assert item["pipe"].endswith(f"/pagerduty-events:{VERSION}")
        assert set(item["variables"]) <= {variable.name for variable in VARIABLES} | set(BITBUCKET_S_OWN)
        literal = {
            name: value for name, value in item["variables"].items() if isinstance(value, str) and "$" not in value
        }
        settings = Settings.read({"INTEGRATION_KEY": KEY, **literal})
        assert not settings.problems + settings.notices


BITBUCKET_S_OWN = [
    name for name in re.findall(r"BITBUCKET_[A-Z_]+", (ROOT / "pipe.yml").read_text()) if "TOKEN" not in name
]
MAIN = Build(repository="acme/shop", branch="main")
DEPLOY = Build(repository="acme/shop", branch="main", environment="production")


@pytest.mark.parametrize(
    ("title", "build", "name"),
    [
        ("quick start", MAIN, "build and test"),
        ("quick start", MAIN, "pager test"),
        ("several steps", MAIN, "unit tests"),
        ("several steps", MAIN, "lint"),
        ("a deployment", DEPLOY, "deploy"),
    ],
)
def test_a_step_that_passes_resolves(title, build, name):
    definition = parse(BY_TITLE[title].encode())
    assert [item["variables"]["ALERT_NAME"] for item in pagers(BY_TITLE[title])].count(name) == 1
    assert not ownership.of_step(definition, build, subject.of_step(build, name, "")).why_not


def test_the_told_recipe_never_starts_itself_by_its_own_success():
    conditions = [
        entry["condition"]
        for entry in yaml.safe_load(BY_TITLE["the whole repository"])["triggers"]["pipeline-completed"]
    ]
    assert parse(BY_TITLE["the whole repository"].encode()).pagers() == ("pagerduty",)
    assert all('"custom"' not in condition for condition in conditions)
    assert "SELECTOR_TYPE" in next(condition for condition in conditions if "!=" in condition)


def test_the_sections_people_look_for_are_there():
    for title in (
        "Quick start",
        "YAML Definition",
        "Variables",
        "Prerequisites",
        "Examples",
        "Nobody was paged?",
        "Limits",
        "Security",
        "Support",
        "License",
    ):
        assert f"\n## {title}\n" in README


def test_the_readme_stays_short():
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S)
    assert len(re.findall(r"\w[^\s|]*", prose)) <= MOST_WORDS


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "RELEASING.md"], ids=lambda page: page.name
)
def test_every_link_within_the_project_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_one_version_everywhere():
    assert re.findall(r"pagerduty-events:(\d[\w.]*)", README) == [VERSION] * README.count("pagerduty-events:0")
    assert yaml.safe_load((ROOT / "pipe.yml").read_text())["image"].endswith(f":{VERSION}")
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == VERSION
    assert f"ARG VERSION={VERSION}\n" in (ROOT / "Dockerfile").read_text()


def test_pipe_yml_has_what_bitbucket_asks_for():
    metadata = yaml.safe_load((ROOT / "pipe.yml").read_text())
    assert {"name", "image", "category", "description", "repository", "icon", "vendor", "maintainer", "tags"} <= set(
        metadata
    )
    assert metadata["category"] == "Notifications"
    assert {"name", "website", "email"} <= set(metadata["vendor"]) & set(metadata["maintainer"])


def test_no_app_password_is_ever_mentioned():
    for path in (*PAGES, ROOT / "pipe.yml", *(ROOT / "pipe").rglob("*.py")):
        assert "app password" not in path.read_text().lower()


def test_the_environment_file_s_second_run_resolves_what_the_first_one_opened(pipe, sandbox):
    environ = dict(
        line.split("=", 1) for line in (ROOT / "sandbox/failing-build.env").read_text().splitlines() if "=" in line
    )
    assert pipe(environ, None).status == 0
    assert pipe({**environ, "EXIT_CODE": "0", "BITBUCKET_EXIT_CODE": "0"}, None).status == 0
    assert [incident["status"] for incident in sandbox.incidents()] == ["resolved"]
