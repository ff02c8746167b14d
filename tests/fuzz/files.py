"""`bitbucket-pipelines.yml`: what teams write, changed in places; YAML's odd corners; bytes without any sense."""

from __future__ import annotations

import textwrap

from hypothesis import strategies as st

from tests.conftest import ONE_STEP, ROOT
from tests.fuzz import values
from tests.fuzz.example import API, Example
from tests.histories import strategies as histories

TWO_STEPS = """
pipelines:
  default:
    - step: &step
        name: Lint
        script: [make lint]
        after-script:
          - pipe: acme/pagerduty-events:1.0.0
            variables: {INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY, EXIT_CODE: $BITBUCKET_EXIT_CODE}
    - step: {<<: *step, name: Unit}
"""
ONE_NAME = TWO_STEPS.replace("EXIT_CODE: $", "ALERT_NAME: unit, EXIT_CODE: $")
TWO_PIPELINES = TWO_STEPS.replace("    - step: {<<: *step, name: Unit}", "  custom:\n    nightly:\n    - step: *step")
FINAL_STEP = """
pipelines:
  branches:
    main:
      - step: {name: Unit, script: [make test]}
      - step: {name: Deploy, script: [make deploy]}
      - final:
          name: PagerDuty
          script:
            - pipe: acme/pagerduty-events:1.0.0
              variables: {INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY}
"""
NOT_YAML = "pipelines: {default: ["
PLAIN_FILES: dict[str, bytes | None] = {
    "": None,
    "one step": ONE_STEP.encode(),
    "two steps": TWO_STEPS.encode(),
    "one name": ONE_NAME.encode(),
    "two pipelines": TWO_PIPELINES.encode(),
    "final": FINAL_STEP.encode(),
    "not YAML": NOT_YAML.encode(),
    "empty": b"",
}

ITEM = b"- pipe: acme/pagerduty-events:1\n  variables: {EXIT_CODE: $BITBUCKET_EXIT_CODE}\n"
ODD_YAML = [
    b"&a [*a]", b"&a {a: *a}", b"<<: *a", b"&s", b"*s", b"*nothing", b"!!python/object/apply:os.system ['id']", b"!!binary aGk=",
    b"!!set {a, b}", b"!!omap [a: 1]", b"!!timestamp 2001-12-14", b"!<tag:x> y", b"? [a, b]\n: c", b"? {a: b}\n: c", b"---\n", b"...\n",
    b"%YAML 1.1\n---\n", b"%TAG ! tag:x,2000:\n---\n", b"|\n  text\n", b">-\n  text\n", b"\t", b"key: value: value", b"- - - a", b"@a", b"`a`",
    b"pipelines:\n", b"default:\n", b"branches:\n  main:\n", b"custom:\n", b"  - step:\n", b"    name: Unit\n", b"after-script:\n", b"script:\n",
    b"on-fail: ignore", b"final:\n", b"parallel:\n", b"stage:\n", b"import: x@y:z", b"deployment: production", b"condition: {}", b"trigger: manual",
    b"EVENT_ACTION: resolve", b"ALERT_NAME: $X", b"ALERT_NAME: [a]", b"ALERT_NAME: 1.10", b"DEDUP_KEY: {a: b}", b"variables: 1", b"pipe: 1",
    b"pipe: ''", b"pipe: [a]", ITEM, b"name: |-\n  a\n\n  b", b"1: 2", b"null: ~", b"~", b"true: yes", b"0x7f: 0o7", b"1e400", b"'a", b'"\\x"',
    b'"\\ud800"', b"\x85", b"\xc2\x85", b"\xe2\x80\xa9", b"#", b"{" * 50, b"[" * 3000, b"- " * 2000, b"x: " * 10, b"a: &a 1\nb: *a\n",
]  # fmt: skip


def merge_bomb() -> bytes:
    lines = [b"a0: &a0 {x: 1}\n"]
    lines += [b"a%d: &a%d {<<: [%s]}\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)]
    return b"".join(lines)


_found = [path.read_bytes() for path in sorted((ROOT / "tests/pipelines").glob("*.yml")) if "bomb" not in path.name]
_found += [path.read_bytes() for path in sorted((ROOT / "tests/check/examples").rglob("*.yml"))[:40]]
_likely = st.one_of(
    st.sampled_from([text for text in PLAIN_FILES.values() if text]),
    st.sampled_from(_found),
    histories.files().map(lambda file: file.yaml.encode()),
)
_piece = st.one_of(st.sampled_from(ODD_YAML), values.wild)
_change = st.tuples(
    st.sampled_from(("insert", "insert line", "replace", "delete", "double", "cut")), st.integers(0, 999), _piece
)


def _changed(text: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, piece in changes:
        if kind == "insert line":
            lines = text.split(b"\n")
            at = len(lines) * where // 1000
            indent = b" " * (len(lines[at]) - len(lines[at].lstrip()))
            lines.insert(at, textwrap.indent(piece.decode("latin-1"), indent.decode()).encode("latin-1"))
            text = b"\n".join(lines)
        else:
            text = values.changed(text, [(kind, where, piece)])
    return text


def _encoded(text: bytes, encoding: str) -> bytes:
    return text.decode("utf-8", "replace").encode(encoding, "replace") if encoding else text


files = st.one_of(
    st.builds(_changed, _likely, st.lists(_change, max_size=4)),
    st.builds(_changed, _likely, st.lists(_change, min_size=1, max_size=2)),
    st.builds(
        _encoded, _likely, st.sampled_from(("", "utf-16", "utf-16-le", "utf-8-sig", "utf-32", "latin-1", "cp037"))
    ),
    st.lists(_piece, max_size=8).map(b"".join),
    st.binary(max_size=200),
)

# Where the pipe stands, and how it went there.
_places: list[dict[bytes, bytes]] = [
    {b"EXIT_CODE": b"0"},
    *[{b"EXIT_CODE": b"0", b"ALERT_NAME": b"unit"}] * 4,
    {b"EXIT_CODE": b"0", b"ALERT_NAME": b"checks"},
    {b"EXIT_CODE": b"0", b"DEDUP_KEY": b"build-main"},
    {b"EXIT_CODE": b"0", b"DEDUP_KEY": b"build"},
    {b"EXIT_CODE": b"0", b"BITBUCKET_DEPLOYMENT_ENVIRONMENT": b"production"},
    {b"EXIT_CODE": b"0", b"BITBUCKET_BRANCH": b"", b"BITBUCKET_TAG": b"v2.0.0"},
    {b"BUILD_STATUS": b"successful"},
    {b"EXIT_CODE": b"2"},
    {b"EXIT_CODE": b"2", b"ALERT_NAME": b"unit"},
    {b"BUILD_STATUS": b"failed"},
    {},
    {b"BITBUCKET_TRIGGER_PIPELINE_STATUS": b"FAILED"},
]
_environs = st.sampled_from(_places).map(lambda place: {**_base(), **place})
EXAMPLES = st.integers(0, 99).flatmap(
    lambda chance: (
        st.builds(lambda environ: Example(environ, merge_bomb()), _environs)
        if chance == 99
        else st.builds(lambda environ, file: Example(environ, file, walled=chance % 5 == 0), _environs, files)
    )
)


def _base() -> dict[bytes, bytes]:
    from tests.fuzz.environments import BASE

    return {**BASE, b"BITBUCKET_API_URL": API}
