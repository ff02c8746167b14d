"""Whatever stands where something else is expected, the check ends with a report or with one clear line."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipe.check import report
from pipe.check.report import Report
from pipe.check.source import Unreadable
from pipe.definition_file import parse
from tests.conftest import MORE

FILES = sorted((Path(__file__).parent / "files").glob("*.yml"))[:-1] + sorted(
    (Path(__file__).parent / "examples").rglob("bad.yml")
)
TEXTS = [file.read_text() for file in FILES]
ODD = st.sampled_from(
    (
        None,
        "",
        "x",
        "$X",
        1,
        True,
        [],
        {},
        ["x"],
        [None],
        {"x": "y"},
        [[]],
        [{"step": None}],
        {"pipe": "pagerduty"},
        {"step": {"script": {}}},
    )
)


def places(node: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@settings(max_examples=100 * MORE)
@given(st.sampled_from(TEXTS), st.lists(st.tuples(st.floats(0, 0.999), ODD), min_size=1, max_size=3))
def test_an_odd_value_anywhere(text, changes):
    document = yaml.safe_load(text)
    for where, odd in changes:
        found = [path for path in places(document) if path]
        if not found:
            break
        *path, key = found[int(where * len(found))]
        node = document
        for step in path:
            node = node[step]
        node[key] = copy.deepcopy(odd)
    changed = yaml.safe_dump(document, sort_keys=False).encode()
    made = checked(changed)
    assert made is None or made.file.definition == parse(changed)
    assert made or not parse(changed).pipelines


def checked(text: bytes) -> Report | None:
    """None: it was said in one line that the file cannot be read."""
    try:
        made = report(Path("bitbucket-pipelines.yml"), text)
    except Unreadable as error:
        said = str(error)
    else:
        assert made.as_text() and made.as_json() and made.as_sarif()
        return made
    assert said.startswith("bitbucket-pipelines.yml:") and "\n" not in said
    return None


@settings(max_examples=80 * MORE)
@given(st.sampled_from(TEXTS), st.floats(0, 0.999), st.floats(0, 0.999))
def test_a_part_of_a_file(text, start, end):
    start, end = sorted((int(start * len(text)), int(end * len(text))))
    checked((text[:start] + text[end:]).encode())


@pytest.mark.parametrize(
    "text",
    [
        "pipelines: {default: [step: {script: [make], after-script: [pipe: a/pagerduty:1]}]}",
        "pipelines: {default: [step: {script: [], after-script: [{pipe: a/pagerduty:1, variables: []}]}]}",
        "pipelines: {branches: {'[': [step: {after-script: [{pipe: a/pagerduty:1, variables: {BRANCHES: '['}}]}]}}",
        "pipelines: {branches: {'{a,b': [step: {after-script: [{pipe: a/pagerduty:1}]}], '': []}}",
        "pipelines: {x-new: [step: {after-script: [{pipe: a/pagerduty:1}]}]}",
        "pipelines: {x-new: {y: [step: {deployment: Prodüktion, after-script: [{pipe: a/pagerduty:1}]}]}}",
        "pipelines: {default: [step: {environment: $E, after-script: [{pipe: a/pagerduty:1}]}]}",
        "pipelines: {custom: {a: [step: {script: [{pipe: a/pagerduty:1, variables: {EVENT_ACTION: [a]}}]}]}}",
        "triggers: {pipeline-completed: [x, {pipelines: x}, {pipelines: [a]}]}\npipelines: {custom: {a: [step: {script: [pipe: a/pagerduty:1]}]}}",
    ],
)
def test_shapes_that_nobody_documents(text):
    assert report(Path("bitbucket-pipelines.yml"), text.encode()).as_text()
