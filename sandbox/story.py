"""The demo's story: which builds run, what people do in between, and which incidents there must be in the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field

_PASSED = "".join(f'<testcase classname="tests.test_shop" name="test_{number}"/>\n' for number in range(212))
REPORT = f"""\
<testsuites><testsuite name="pytest" tests="214" failures="2">
{_PASSED}
<testcase classname="tests.test_cart" name="test_two_of_a_kind"><failure message="assert 3 == 4">…</failure></testcase>
<testcase classname="tests.test_cart" name="test_voucher"><failure message="KeyError: 'voucher'">…</failure></testcase>
</testsuite></testsuites>
"""


@dataclass(frozen=True)
class Build:
    """One run of the pipe in a step."""

    title: str
    number: str
    variables: Mapping[str, str]
    exit_code: str
    status: int = 0
    """With which the pipe must end."""
    report: str = ""
    """What the tests left behind."""


@dataclass(frozen=True)
class Person:
    """What somebody does to an incident in the page."""

    title: str
    action: str
    incident: int


@dataclass(frozen=True)
class Ending:
    """How an incident must stand in the end."""

    title: str
    status: str
    actions: list[str] = field(default_factory=list)


MAIN = {"BITBUCKET_BRANCH": "main"}
UNIT_TESTS = {**MAIN, "ALERT_NAME": "unit tests"}
LINT = {**MAIN, "ALERT_NAME": "lint", "SEVERITY": "warning"}
SMOKE = LOAD = NIGHTLY = MAIN
DEPLOY = {
    **MAIN,
    "ALERT_NAME": "deploy",
    "SEVERITY": "critical",
    "CHANGE_EVENT": "true",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT": "production",
    "LINKS": "Runbook https://wiki.example/deploying",
    "CUSTOM_DETAILS": '{"rollout": {"wanted": 6, "ready": 2, "waiting": ["shop-7c9f-4kx2", "shop-7c9f-p8wd"]}}',
}
HOTFIX = {**DEPLOY, "BITBUCKET_BRANCH": "hotfix/17"}

STORY = (
    Build("#811: the unit tests pass", "811", UNIT_TESTS, "0"),
    Build("#812: the unit tests fail, and somebody is paged", "812", UNIT_TESTS, "1", report=REPORT),
    Build("#812: so does lint, which has an alert of its own", "812", LINT, "1"),
    Person("somebody acknowledges the unit tests' incident", "acknowledge", 1),
    Build("#813: the unit tests fail again, nobody is paged again", "813", UNIT_TESTS, "1", report=REPORT),
    Build("#813: lint passes, its incident is resolved", "813", LINT, "0"),
    Build("#814: the unit tests pass, their incident is resolved", "814", UNIT_TESTS, "0"),
    Build("#815: a deployment to production fails", "815", DEPLOY, "7"),
    Build("#816: the next one, from another branch, fixes it", "816", HOTFIX, "0"),
    Build("#817: a final step that cannot know the result says so on the pager", "817", NIGHTLY, "", status=1),
    Build("#818: it is told the result now, which closes that", "818", {**NIGHTLY, "BUILD_STATUS": "successful"}, ""),
    Build("#819: a step without ALERT_NAME fails; another one shares its alert", "819", SMOKE, "1"),
    Build("#820: the other one fails, and the open alert swallows it", "820", LOAD, "1"),
    Build("#821: the first one passes; the alert stays open, for nobody knows of the other", "821", SMOKE, "0"),
    Person("somebody resolves it by hand", "resolve", 5),
    Build("#822: the other one still fails, and pages now", "822", LOAD, "1"),
    Build("#823: the unit tests break anew: a new incident", "823", UNIT_TESTS, "1", report=REPORT),
    Person("somebody acknowledges it", "acknowledge", 7),
)

ENDINGS = (
    Ending(
        "acme/shop: unit tests failed on main (#812, 2 of 214 tests failed)",
        "resolved",
        ["trigger", "acknowledge by hand", "trigger", "resolve"],
    ),
    Ending("acme/shop: lint failed on main (#812, exit code 1)", "resolved", ["trigger", "resolve"]),
    Ending("acme/shop: deploy in production failed on main (#815, exit code 7)", "resolved", ["trigger", "resolve"]),
    Ending("acme/shop: cannot tell whether #817 on main passed", "resolved", ["trigger", "resolve"]),
    Ending(
        "acme/shop: build failed on main (#819, exit code 1)",
        "resolved",
        ["trigger", "trigger", "resolve by hand"],
    ),
    Ending("acme/shop: build failed on main (#822, exit code 1)", "triggered", ["trigger"]),
    Ending(
        "acme/shop: unit tests failed on main (#823, 2 of 214 tests failed)",
        "acknowledged",
        ["trigger", "acknowledge by hand"],
    ),
)
