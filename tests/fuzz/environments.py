"""Whole environments: the variables of the pipe and of a build, each likely, half-likely or wild."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from pipe.build import Build
from pipe.settings import PROXIES, SECRETS_OF_BITBUCKET, VARIABLES, Settings
from tests.conftest import MAIN
from tests.fuzz import values
from tests.fuzz.example import API, SANDBOX, Example
from tests.fuzz.files import PLAIN_FILES


class _Asked(dict[str, str]):
    """Keeps the names that were asked for."""

    names: set[str]

    def get(self, name: str, default: str | None = None) -> str | None:
        self.names.add(name)
        return super().get(name, default)


def _names() -> list[str]:
    asked = _Asked()
    asked.names = set()
    Settings.read(asked)
    Build.read(asked)
    arrays = [f"{one.name}_{part}" for one in VARIABLES for part in ("COUNT", "0", "1") if one.many]
    odd = ["SEVERTY", "severity", "BRANCH", "EXITCODE", "BITBUCKET_BRANCHES", "DEDUP_KEY_COUNT", "EXIT_CODE_COUNT"]
    names = asked.names | {one.name for one in VARIABLES} | set(PROXIES) | set(SECRETS_OF_BITBUCKET)
    return sorted(filter(None, {*names, *arrays, *odd}))


NAMES = _names()
BASE = {name.encode(): value.encode() for name, value in MAIN.items()} | {
    b"INTEGRATION_KEY": values.KEY,
    b"EVENTS_URL": SANDBOX,
    b"BITBUCKET_API_URL": API,
}
_STATUSES = [b"successful", b"Passed", b"SUCCESS", b"failed", b"FAILED ", b"stopped", b"error", b"expired", b"0", b"ok"]
_BOOLEANS = [b"true", b"false", b"True", b" FALSE ", b"yes", b"1"]
_GLOBS = [
    b"main",
    b"release/*",
    b"*",
    b"**",
    b"m* dev",
    b"{main,dev}",
    b"[main]",
    b"main|dev",
    b"^main$",
    b"/main",
    b"main,dev",
]
_REFS = [b"main", b"feature/x", b"release/1.2", b"v1.9.5", b"api-v2", b"python3.12", b"k8s-v1", b"x" * 300, b"a:b"]
LIKELY: dict[str, list[bytes]] = {
    "INTEGRATION_KEY": [values.KEY, b" " + values.KEY, b"R0212P1QXGEIQE2NMTQ7L7WXD04JSUHB", values.KEY[:20], b'"' + values.KEY + b'"',
                        b"https://events.pagerduty.com/integration/" + values.KEY + b"/enqueue"],
    "PAGERDUTY_INTEGRATION_KEY": [values.KEY, b""],
    "EVENT_ACTION": [b"auto", b"trigger", b"acknowledge", b"resolve", b"change", b"Resolve", b"RESOLVE ", b"reslove"],
    "EXIT_CODE": [b"0", b"1", b"2", b"130", b"-1", b" 0 ", b"'0'", b"$BITBUCKET_EXIT_CODE", b"$?", b"00", b"+1", b"0.0"],
    "BITBUCKET_EXIT_CODE": [b"0", b"1", b"127", b"x"],
    "BUILD_STATUS": _STATUSES,
    "ALERT_NAME": [b"unit", b"unit tests", b"lint", b"Unit", b"x" * 300],
    "DEDUP_KEY": [b"build-main", b"build", b"shop main deploy", b"x" * 300, b"x" * 256, b"build-$BITBUCKET_BRANCH"],
    "SEVERITY": [b"critical", b"Warning", b"info", b"fatal"],
    "CUSTOM_DETAILS": [b'{"team": "payments"}', b"[1]", b"{", b'{"resolves": 1, "a\\u001b[0m": ["\\ud800"]}', b'{"a":' * 60 + b"1" + b"}" * 60,
                       b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}", b'{"x": "' + b"y" * 60_000 + b'"}'],
    "LINKS": [b"Runbook https://wiki.example/x", b"https://wiki.example", b"no address", b"http://"],
    "LINKS_COUNT": [b"1", b"2", b"0", b"1001", b"x"],
    "BRANCHES": _GLOBS, "BRANCHES_0": _GLOBS, "BRANCHES_COUNT": [b"1", b"2", b"-1"],
    "TAGS": _GLOBS, "TAGS_0": _GLOBS, "TAGS_COUNT": [b"1", b"2"],
    "PULL_REQUESTS": _BOOLEANS, "CHANGE_EVENT": _BOOLEANS, "DRY_RUN": _BOOLEANS, "DEBUG": _BOOLEANS,
    "IGNORE_EXIT_CODES": [b"130 143", b"0", b"1", b"1,2", b"x"],
    "REGION": [b"us", b"eu", b"EU", b"europe"],
    "EVENTS_URL": [SANDBOX, SANDBOX + b"/", SANDBOX + b"/v2/enqueue", SANDBOX + b"/x", b"http://127.0.0.1:1", b"events.pagerduty.com",
                   b"https://events.pagerduty.com/integration/" + values.KEY + b"/enqueue", b"https://a:b@c", b""],
    "TIMEOUT": [b"1", b"5", b"120", b"0", b"300", b"1e3"],
    "ON_ERROR": [b"fail", b"warn", b"ignore"],
    "BITBUCKET_ACCESS_TOKEN": [values.TOKEN, values.TOKEN + b"\n", b"short", b"$BITBUCKET_ACCESS_TOKEN"],
    "ATLASSIAN_ACCOUNT_EMAIL": [values.EMAIL], "ATLASSIAN_API_TOKEN": [values.API_TOKEN],
    "BITBUCKET_API_URL": [API, API + b"/2.0", b"http://127.0.0.1:1", b"x"],
    "TEST_REPORTS": [b"none", b"**/*.xml", b"build/*.xml", b"[", b"../*.xml"],
    "LOG_LINES": [b"0", b"20", b"10000"],
    "PIPELINES_JWT_TOKEN": [values.JWT], "BITBUCKET_STEP_OIDC_TOKEN": [values.OIDC],
    "BITBUCKET_BRANCH": _REFS, "BITBUCKET_TAG": [b"", *_REFS], "BITBUCKET_PR_ID": [b"", b"42", b"x"],
    "BITBUCKET_PR_DESTINATION_BRANCH": [b"main", b"dev"], "BITBUCKET_DEPLOYMENT_ENVIRONMENT": [b"", b"production", b"staging eu"],
    "BITBUCKET_REPO_FULL_NAME": [b"acme/shop", b"", b"acme", b"/"], "BITBUCKET_CLONE_DIR": [b".", b"", b"/nowhere", b"/dev/null"],
    "BITBUCKET_STEP_RUN_NUMBER": [b"1", b"2", b"0"], "CI": [b"true", b""],
    "BITBUCKET_TRIGGER_PIPELINE_STATUS": [b"FAILED", b"SUCCESSFUL", b"PASSED", b"STOPPED", b"ERROR", b"odd", b""],
    "BITBUCKET_TRIGGER_PIPELINE_UUID": [b"{33333333-3333-3333-3333-333333333333}", b"x"],
    "BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE": [b"default", b"branches", b"tags", b"custom", b"pull-requests", b"PULLREQUESTS"],
    "BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN": [b"main", b"nightly", b"pagerduty"],
    "HTTP_PROXY": [b"http://127.0.0.1:1", b"socks5://127.0.0.1:1", b"http://u:" + values.LOGIN + b"@127.0.0.1:1", b"$HTTP_PROXY"],
    "NO_PROXY": [b"127.0.0.1", b"*", b"localhost"],
    "REQUESTS_CA_BUNDLE": [b"/nowhere", b"/dev/null"],
}  # fmt: skip
# An address is its owner's to share, and a folder of somebody's machine may be large.
TAME = {"EVENTS_URL", "BITBUCKET_API_URL", "BITBUCKET_CLONE_DIR", "TIMEOUT", "TEST_REPORTS"}
SIGNS = ["EXIT_CODE", "BITBUCKET_EXIT_CODE", "BUILD_STATUS", "BITBUCKET_TRIGGER_PIPELINE_STATUS"]
OFTEN = [
    *SIGNS,
    "EVENT_ACTION",
    "ALERT_NAME",
    "DEDUP_KEY",
    "BITBUCKET_ACCESS_TOKEN",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT",
]

_odd_names = values.wild.map(lambda name: values.without_nul(name).replace(b"=", b"")[:200]).filter(bool)
_signs = [(), *((sign,) for sign in SIGNS), *itertools.combinations(SIGNS, 2)]


@st.composite
def one_variable(draw: st.DrawFn) -> tuple[bytes, bytes]:
    name = draw(st.sampled_from(NAMES + OFTEN * 4))
    likely = LIKELY.get(name, [])
    if name in TAME:
        return name.encode(), draw(st.sampled_from(likely or [b""]))
    value = draw(st.sampled_from(likely)) if likely and draw(st.integers(0, 3)) else draw(values.wild)
    return name.encode(), values.without_nul(value)


@st.composite
def environments(draw: st.DrawFn) -> dict[bytes, bytes]:
    environ = dict(BASE) if draw(st.integers(0, 9)) else {b"EVENTS_URL": SANDBOX, b"BITBUCKET_API_URL": API}
    for sign in draw(st.sampled_from(_signs)):
        environ[sign.encode()] = draw(st.sampled_from(LIKELY[sign]))
    if not draw(st.integers(0, 3)):
        environ[b"ALERT_NAME"] = b"unit"  # as in the files
    environ |= dict(draw(st.lists(one_variable(), max_size=7)))
    if not draw(st.integers(0, 9)):
        environ[draw(_odd_names)] = values.without_nul(draw(values.wild))
    return environ


EXAMPLES = st.builds(
    lambda environ, file: Example(environ, PLAIN_FILES[file], walled=False),
    environments(),
    st.sampled_from(sorted(PLAIN_FILES)),
)
