"""Every variable of the pipe, declared once: its name, its parser, its default and one line of help.

`Settings.read` turns the environment into values. It never raises: what is wrong is said in the settings themselves,
so that a bad variable never costs the page.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pipe import parsing
from pipe.lib.environment import encodable, present, quoted, unexpanded, unquoted
from pipe.lib.masking import Mask

ACTIONS = ("auto", "trigger", "acknowledge", "resolve", "change")
SEVERITIES = ("critical", "error", "warning", "info")
REGIONS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
MAX_ITEMS = 1000  # of an array variable; more is a mistake

# What a bad value costs; the words end its line in the log.
FATAL = "there is nowhere to send to"
RESULT = "it tells nothing"
OPTIONAL = "it is left out"  # or its default is used, if it has one
FILTER = "it is ignored and keeps nothing back"

LOCAL_HOSTS = ("localhost", "::1", "host.docker.internal")  # on the same machine
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "REQUESTS_CA_BUNDLE")
ORDINARY = {"CI", "HOME", "HOSTNAME", "LANG", "PATH", "PWD", "SSL_CERT_FILE", *PROXIES}  # no slips of ours
SECRETS_OF_BITBUCKET = ("PIPELINES_JWT_TOKEN", "BITBUCKET_STEP_OIDC_TOKEN")  # they can reach a pipe unmapped [R]

# Where a variable is absent, this one of the build's environment stands in for it.
FALLBACKS = {"INTEGRATION_KEY": "PAGERDUTY_INTEGRATION_KEY", "EXIT_CODE": "BITBUCKET_EXIT_CODE"}
# What goes into the event as it was given.
SHOWN = ("alert_name", "dedup_key", "summary", "source", "component", "group", "class_", "custom_details", "links")


class Variable(NamedTuple):
    """One variable; `many` ones are arrays (`X_COUNT`, `X_0`, …) or one string, `bad` is what a bad value costs."""

    parse: Callable[[Any], Any]
    help: str
    default: Any = ""
    shown: str = ""  # the default, as the README and pipe.yml show it
    many: bool = False
    secret: bool = False
    bad: str = OPTIONAL
    if_bad: Any = None  # what a bad value counts as
    attribute: str = ""  # of the settings

    @property
    def name(self) -> str:
        return self.attribute.upper().rstrip("_")


def _variable(*about: Any, **more: Any) -> Any:
    variable = Variable(*about, **more)
    return field(default_factory=lambda: variable.default, metadata={"variable": variable})


# fmt: off
@dataclass(frozen=True, repr=False)  # which would show the key
class Settings:
    """The variables, parsed; one field each, called by the variable's name in lower case."""

    integration_key: str = _variable(
        parsing.integration_key, "Events API v2 integration key of the PagerDuty service.",
        shown="$PAGERDUTY_INTEGRATION_KEY", secret=True, bad=FATAL)
    event_action: str = _variable(
        parsing.one_of(*ACTIONS), "`auto` decides by the result; `trigger`, `acknowledge`, `resolve` or `change` sends "
        "just that.", default="auto", shown="auto")
    exit_code: int | None = _variable(
        parsing.integer, "The step's exit code, in after-script.", default=None, shown="$BITBUCKET_EXIT_CODE",
        bad=RESULT)
    build_status: str = _variable(
        parsing.build_status, "The pipeline's result where you know it: `successful`, `failed`, `stopped`, `error` or "
        "`expired`.", bad=RESULT)
    alert_name: str = _variable(
        parsing.line, "What this alert is about, e.g. `unit tests`; part of dedup key and summary.")
    dedup_key: str = _variable(
        parsing.line, "Replaces the dedup key. Its place must stand in it as a whole word, else nothing resolves its "
        "alert: `$BITBUCKET_BRANCH`, in a deployment `$BITBUCKET_DEPLOYMENT_ENVIRONMENT`, else `$BITBUCKET_TAG` or "
        "`$BITBUCKET_PR_ID`.")
    summary: str = _variable(parsing.line, "Replaces the summary, at most 1024 characters.")
    severity: str = _variable(
        parsing.one_of(*SEVERITIES), "`critical`, `error`, `warning` or `info`.", default="error", shown="error")
    source: str = _variable(parsing.line, "PD-CEF source; from the build: `bitbucket.org/workspace/repository`.")
    component: str = _variable(parsing.line, "PD-CEF component; from the build: the repository's slug.")
    group: str = _variable(parsing.line, "PD-CEF group; from the build: the project key, else the workspace.")
    class_: str = _variable(parsing.line, "PD-CEF class; from the build: `build` or `deployment`.")
    custom_details: dict[str, Any] = _variable(  # noqa: RUF009 (it makes a field with a factory)
        parsing.json_object, "A JSON object, merged over the pipe's own details.", default={})
    links: tuple[tuple[str, str], ...] = _variable(
        parsing.links, "Array of `Text https://…` or `https://…`, e.g. a runbook; the pipe's own links come after "
        "them.", default=(), many=True)
    branches: tuple[str, ...] = _variable(
        parsing.globs, "Glob patterns, an array or separated by spaces: a run with another branch (in a pull request: "
        "another destination) sends nothing.", default=(), many=True, shown="every branch", bad=FILTER)
    tags: tuple[str, ...] = _variable(
        parsing.globs, "The same for runs on a tag.", default=(), many=True, shown="every tag", bad=FILTER)
    pull_requests: bool = _variable(
        parsing.boolean, "Whether pull-request runs send anything.", default=False, shown="false", bad=FILTER,
        if_bad=True)
    ignore_exit_codes: tuple[int, ...] = _variable(
        parsing.integers, "Exit codes that are neither a failure nor a success, e.g. `130 143`: nothing is sent.",
        default=(), many=True, bad=FILTER)
    change_event: bool = _variable(
        parsing.boolean, "Also send a change event when a deployment step passes.", default=False, shown="false")
    region: str = _variable(
        parsing.one_of(*REGIONS), "PagerDuty's service region: `us` or `eu`.", default="us", shown="us", bad=FATAL)
    events_url: str = _variable(
        parsing.base_address, "Another base address, to which `/v2/enqueue` and `/v2/change/enqueue` are added: the "
        "sandbox, a relay.", shown="the region's", bad=FATAL)
    timeout: float = _variable(
        parsing.seconds, "Seconds for the delivery, retries and waits included; at least 1.", default=120.0,
        shown="120")
    on_error: str = _variable(
        parsing.one_of("fail", "warn"), "`fail`: exit code 1 on any error; `warn`: say so and exit with 0.",
        default="fail", shown="fail")
    dry_run: bool = _variable(
        parsing.boolean, "Print the event instead of sending it; needs no key.", default=False, shown="false")
    debug: bool = _variable(parsing.boolean, "Log more.", default=False, shown="false")
    bitbucket_access_token: str = _variable(
        parsing.trimmed, "Access token (scope Pipelines: read), with which the pipe reads pipelines.",
        shown="$BITBUCKET_ACCESS_TOKEN", secret=True)
    atlassian_account_email: str = _variable(
        parsing.trimmed, "Instead of an access token, with `ATLASSIAN_API_TOKEN`: the account's e-mail address.",
        shown="$ATLASSIAN_ACCOUNT_EMAIL")
    atlassian_api_token: str = _variable(
        parsing.trimmed, "Instead of an access token: an API token with the scope read:pipeline:bitbucket.",
        shown="$ATLASSIAN_API_TOKEN", secret=True)
    bitbucket_api_url: str = _variable(
        parsing.base_address, "Another base address of Bitbucket's API, for tests and relays.",
        default="https://api.bitbucket.org/2.0", shown="https://api.bitbucket.org/2.0")
    test_reports: tuple[str, ...] = _variable(
        parsing.file_globs, "Globs of JUnit XML files, relative to the clone; `none` turns it off.", default=(),
        many=True, shown="Bitbucket's own folders")
    log_lines: int = _variable(
        parsing.count, "How many last lines of the failing step's log go into the page (with a token).", default=0,
        shown="0")

    fatal: tuple[str, ...] = ()  # why nothing can be sent at all, a line each
    has_own_exit_code: bool = False  # BITBUCKET_EXIT_CODE came
    bad_exit_code: str = ""  # why EXIT_CODE came and tells nothing
    bad_build_status: str = ""  # the same of BUILD_STATUS
    problems: tuple[str, ...] = ()  # bad values: warned of, told on the page, exit code 1
    notices: tuple[str, ...] = ()  # suspicions: warned of, told on the page
    mask: Mask = field(default_factory=Mask, compare=False)
    # fmt: on

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """The settings of an environment. Empty means absent; so does an unexpanded `$WORD`, with a warning."""
        values: dict[str, Any] = {}
        bad: dict[str, str] = {}
        costs = {variable.name: variable.bad for variable in VARIABLES} | {"BITBUCKET_EXIT_CODE": RESULT}
        for variable in VARIABLES:
            values[variable.attribute] = variable.default
            try:
                if given := _given(environ, variable):
                    values[variable.attribute] = variable.parse(given)
            except ValueError as error:
                values[variable.attribute] = variable.default if variable.if_bad is None else variable.if_bad
                bad[variable.name] = f"{variable.name}: {error}; {_instead(variable)}."
        if "REGION" in bad and values["events_url"]:  # it says where to, so the region decides nothing
            costs["REGION"], bad["REGION"] = OPTIONAL, bad["REGION"].replace(FATAL, "EVENTS_URL says where to")
        own_code = _add_bitbuckets_own_exit_code(environ, values, bad)
        if not values["integration_key"] and "INTEGRATION_KEY" not in bad and not values["dry_run"]:
            bad["INTEGRATION_KEY"] = (
                "INTEGRATION_KEY: it is missing; define the repository variable PAGERDUTY_INTEGRATION_KEY (secured) "
                'with the integration key of the service\'s "Events API v2" integration, and map it.'
            )
        email = values["atlassian_account_email"]
        mask = Mask(values["integration_key"], tuple(_secrets(environ, values)), email)
        bad = {name: mask.text(line) for name, line in bad.items()}
        notices = [*_notices(environ), *own_code, *_plain_http(values["events_url"])]
        for name in SHOWN:  # before anything is cut, so that no part of a secret stays
            values[name] = mask.all(values[name])
        return cls(
            **values,
            fatal=tuple(bad[name] for name in bad if costs[name] == FATAL),
            has_own_exit_code=bool(present(environ, "BITBUCKET_EXIT_CODE")),
            bad_exit_code=bad.get("EXIT_CODE", "") or bad.get("BITBUCKET_EXIT_CODE", ""),
            bad_build_status=bad.get("BUILD_STATUS", ""),
            problems=tuple(bad[name] for cost in (RESULT, OPTIONAL, FILTER) for name in bad if costs[name] == cost),
            notices=tuple(map(mask.text, notices)),
            mask=mask,
        )

    @property
    def base_url(self) -> str:
        return self.events_url or REGIONS[self.region]

    @property
    def has_token(self) -> bool:
        return bool(self.bitbucket_access_token or (self.atlassian_account_email and self.atlassian_api_token))


VARIABLES = tuple(one.metadata["variable"]._replace(attribute=one.name) for one in fields(Settings) if one.metadata)


def _instead(variable: Variable) -> str:
    """What is done with a bad value."""
    if variable.if_bad is not None:
        return f"{str(variable.if_bad).lower()} is used"
    return f"{variable.shown} is used" if variable.bad == OPTIONAL and variable.shown else variable.bad


def _given(environ: Mapping[str, str], variable: Variable) -> str | list[str]:
    """What the environment holds of a variable: a string, or of one with `many` a list of strings."""
    length = present(environ, f"{variable.name}_COUNT").strip()
    if not length:
        single = present(environ, variable.name) or present(environ, FALLBACKS.get(variable.name, ""))
        return [single] if single and variable.many else single
    if not variable.many:
        raise ValueError("it is an array; give one string")
    if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > MAX_ITEMS:
        raise ValueError(f"{variable.name}_COUNT is {parsing.quoted(length)}, not a number from 0 to {MAX_ITEMS}")
    items = (present(environ, f"{variable.name}_{index}") for index in range(int(length)))
    return [item for item in items if item]


def _add_bitbuckets_own_exit_code(
    environ: Mapping[str, str], values: dict[str, Any], bad: dict[str, str]
) -> tuple[str, ...]:
    """Any sign of failure is a failure: `EXIT_CODE: $?` reads 0 in an after-script, whatever the step's code was.
    Beside one that cannot be read, a 0 tells nothing."""
    given = values["exit_code"]
    try:
        own = parsing.integer(present(environ, "BITBUCKET_EXIT_CODE") or "0")
    except ValueError as error:
        if given == 0:
            values["exit_code"] = None
            bad["BITBUCKET_EXIT_CODE"] = f"BITBUCKET_EXIT_CODE: {error}; {RESULT}."
        return ()
    if own == 0 or given not in (0, None, *values["ignore_exit_codes"]):
        return ()
    values["exit_code"] = own
    ignored = own in values["ignore_exit_codes"]
    counted = f"EXIT_CODE is 0 but BITBUCKET_EXIT_CODE is {own}: {'it counts' if ignored else 'counted as a failure'}"
    return (f"{counted}; write `EXIT_CODE: $BITBUCKET_EXIT_CODE`.",) if given == 0 else ()


def _notices(environ: Mapping[str, str]) -> Iterator[str]:
    """What looks like a mistake and is not a bad value: an unexpanded variable, quotes, a slip of a name."""
    own_default = {variable.name: variable.shown for variable in VARIABLES}
    own_default |= {name: f"${name}" for name in FROM_CONTEXT}
    for name in sorted(environ):
        value, shown = encodable(environ[name]), encodable(name)
        if name in _NAMES or _is_part_of_an_array(name) or name in (*PROXIES, *FROM_CONTEXT):
            bare = unquoted(value).strip()
            if unexpanded(bare) and bare != own_default.get(name):
                yield f"{shown} is the unexpanded variable {bare}; taken as absent."
            if quoted(value):
                yield f"{shown} has quotes around its value; they were taken off."
        elif environ[name] and (meant := nearest_variable(shown)):
            yield f"{shown} is not a variable of this pipe; did you mean {meant}?"
    email, token = present(environ, "ATLASSIAN_ACCOUNT_EMAIL"), present(environ, "ATLASSIAN_API_TOKEN")
    if bool(email) != bool(token):
        missing = "ATLASSIAN_API_TOKEN" if email else "ATLASSIAN_ACCOUNT_EMAIL"
        yield f"ATLASSIAN_ACCOUNT_EMAIL and ATLASSIAN_API_TOKEN only work together; {missing} is missing."
    if re.search(r"^\s|\s$", environ.get("INTEGRATION_KEY", "")) and present(environ, "INTEGRATION_KEY"):
        yield "INTEGRATION_KEY has spaces around it; they were left out."


def _plain_http(url: str) -> Iterator[str]:
    host = urlsplit(url).hostname or ""
    if url.lower().startswith("http:") and host not in LOCAL_HOSTS and not re.fullmatch(r"127(\.[0-9]+){3}", host):
        yield "EVENTS_URL is plain http: the integration key can be read on the way."


def _is_part_of_an_array(name: str) -> bool:
    part = re.fullmatch(r"(.+)_(COUNT|\d+)", name)
    return part is not None and part[1] in _ARRAYS


def nearest_variable(name: str) -> str:
    """The variable that a name is probably a slip of: `SEVERTY`, `severity`, `LINK`, `BRANCH_COUNT` (of an array); ""
    for none."""
    upper = name.upper().removesuffix("_COUNT")
    if name.endswith("_COUNT") and upper in _NAMES:  # it is no array, which is said of its value
        return ""
    if name in ORDINARY | set(FALLBACKS.values()) or name.startswith("PYTHON") or len(name) < 4:
        return ""
    alike = 0.93 if upper.startswith("BITBUCKET_") else 0.85  # Bitbucket's own begin with the same ten letters
    return next(iter(difflib.get_close_matches(upper, sorted(_NAMES), n=1, cutoff=alike)), "")


def _secrets(environ: Mapping[str, str], values: Mapping[str, Any]) -> Iterator[str]:
    """Every value that must not be shown, good or bad: also the parts of an address pasted in place of a key."""
    names = [variable.name for variable in VARIABLES if variable.secret]
    for name in (*names, FALLBACKS["INTEGRATION_KEY"], *SECRETS_OF_BITBUCKET):
        value = present(environ, name).strip()
        parts = (value, *re.findall(r"[A-Za-z0-9]{16,}", value)) if value else ()
        yield from (part for part in parts if part != values["integration_key"])
    yield from re.findall(r"(?<=/integration/)[^/\s]+", environ.get("EVENTS_URL", ""))


# Of these, pipe.yml's default is the variable of the same name: taken from the context, or not expanded.
FROM_CONTEXT = (
    "BITBUCKET_ACCESS_TOKEN", "ATLASSIAN_ACCOUNT_EMAIL", "ATLASSIAN_API_TOKEN",
    "BITBUCKET_TRIGGER_PIPELINE_STATUS", "BITBUCKET_TRIGGER_PIPELINE_UUID",
    "BITBUCKET_TRIGGER_PIPELINE_SELECTOR_TYPE", "BITBUCKET_TRIGGER_PIPELINE_SELECTOR_PATTERN",
    "BITBUCKET_DEPLOYMENT_ENVIRONMENT", "BITBUCKET_TAG", "BITBUCKET_PR_ID", "BITBUCKET_PR_DESTINATION_BRANCH",
)  # fmt: skip
_NAMES = {variable.name for variable in VARIABLES}
_ARRAYS = {variable.name for variable in VARIABLES if variable.many}
