"""Every variable of the pipe, declared once: its name, its parser, its default and one line of help.

`read` turns the environment into `Settings`. It never raises: what is wrong is said in the settings themselves, so that
a bad variable never costs the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipe import parsing
from pipe.environment import mend, present, unexpanded
from pipe.masking import Mask

ACTIONS = ("auto", "trigger", "acknowledge", "resolve", "change")
STATUSES = ("successful", "failed", "stopped", "error", "expired")
SEVERITIES = ("critical", "error", "warning", "info")
REGIONS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
MOST_ITEMS = 1000  # of an array variable; more is a mistake

# What a bad value costs; the words end its line in the log. A filter that cannot be read keeps nothing back.
FATAL = "there is nowhere to send to"
RESULT = "it tells no result"
OPTIONAL = "its default is used"
FILTER = "it is taken as true"


@dataclass(frozen=True)
class Variable:
    """One variable; `many` ones are arrays (`X_COUNT`, `X_0`, …) or one string, `bad` is what a bad value costs."""

    name: str
    parse: Callable[[Any], Any]
    help: str
    default: Any = ""
    shown: str = ""  # the default, as the README and pipe.yml show it
    many: bool = False
    secret: bool = False
    bad: str = OPTIONAL
    if_bad: Any = None  # what a bad value counts as, where that is not the default

    @property
    def attribute(self) -> str:
        return "class_" if self.name == "CLASS" else self.name.lower()


# fmt: off
VARIABLES: tuple[Variable, ...] = (
    Variable("INTEGRATION_KEY", parsing.integration_key, "Events API v2 integration key of the PagerDuty service.",
             shown="$PAGERDUTY_INTEGRATION_KEY", secret=True, bad=FATAL),
    Variable("EVENT_ACTION", parsing.one_of(*ACTIONS), "`auto` decides by the result; `trigger`, `acknowledge`, "
             "`resolve` or `change` sends just that.", default="auto", shown="auto"),
    Variable("EXIT_CODE", parsing.integer, "The step's exit code, in after-script.", default=None,
             shown="$BITBUCKET_EXIT_CODE", bad=RESULT),
    Variable("BUILD_STATUS", parsing.one_of(*STATUSES), "The pipeline's result where you know it: `successful`, "
             "`failed`, `stopped`, `error` or `expired`.", bad=RESULT),
    Variable("ALERT_NAME", parsing.trimmed, "What this alert is about, e.g. `unit tests`; part of dedup key and "
             "summary."),
    Variable("DEDUP_KEY", parsing.trimmed, "Replaces the dedup key and changes no rule."),
    Variable("SUMMARY", parsing.line, "Replaces the summary, at most 1024 characters."),
    Variable("SEVERITY", parsing.one_of(*SEVERITIES), "`critical`, `error`, `warning` or `info`.", default="error",
             shown="error"),
    Variable("SOURCE", parsing.line, "PD-CEF source; from the build: `bitbucket.org/workspace/repository`."),
    Variable("COMPONENT", parsing.line, "PD-CEF component; from the build: the repository's slug."),
    Variable("GROUP", parsing.line, "PD-CEF group; from the build: the project key, else the workspace."),
    Variable("CLASS", parsing.line, "PD-CEF class; from the build: `build` or `deployment`."),
    Variable("CUSTOM_DETAILS", parsing.json_object, "A JSON object, merged over the pipe's own details.", default={}),
    Variable("LINKS", parsing.links, "Array of `Text https://…` or `https://…`, e.g. a runbook; the pipe's own links "
             "come after them.", default=(), many=True),
    Variable("BRANCHES", parsing.globs, "Glob patterns, an array or separated by blanks: runs with another branch (in "
             "a pull request: another destination) send nothing.", default=(), many=True, shown="all"),
    Variable("TAGS", parsing.globs, "The same for runs on a tag.", default=(), many=True, shown="all"),
    Variable("PULL_REQUESTS", parsing.boolean, "Whether pull-request runs send anything.", default=False,
             shown="false", bad=FILTER, if_bad=True),
    Variable("IGNORE_EXIT_CODES", parsing.integers, "Exit codes that are neither a failure nor a success, e.g. "
             "`130 143`: nothing is sent.", default=(), many=True),
    Variable("CHANGE_EVENT", parsing.boolean, "Also send a change event when a deployment step passes.", default=False,
             shown="false"),
    Variable("REGION", parsing.one_of(*REGIONS), "PagerDuty's service region: `us` or `eu`.", default="us", shown="us",
             bad=FATAL),
    Variable("EVENTS_URL", parsing.base_address, "Another base address, to which `/v2/enqueue` and "
             "`/v2/change/enqueue` are added: the sandbox, a relay.", shown="the region's", bad=FATAL),
    Variable("TIMEOUT", parsing.seconds, "Seconds for the delivery, retries and waits included.", default=120.0,
             shown="120"),
    Variable("ON_ERROR", parsing.one_of("fail", "warn"), "`fail`: exit code 1 on any error; `warn`: say so and exit "
             "with 0.", default="fail", shown="fail"),
    Variable("DRY_RUN", parsing.boolean, "Print the event instead of sending it; needs no key.", default=False,
             shown="false"),
    Variable("DEBUG", parsing.boolean, "Log more.", default=False, shown="false"),
    Variable("BITBUCKET_ACCESS_TOKEN", parsing.trimmed, "Access token (scope Pipelines: read), with which the pipe "
             "reads the pipeline's own result.", secret=True),
    Variable("ATLASSIAN_ACCOUNT_EMAIL", parsing.trimmed, "Instead of an access token, with `ATLASSIAN_API_TOKEN`: the "
             "account's e-mail address."),
    Variable("ATLASSIAN_API_TOKEN", parsing.trimmed, "Instead of an access token: a scoped API token.", secret=True),
    Variable("BITBUCKET_API_URL", parsing.base_address, "Another base address of Bitbucket's API, for tests and "
             "relays.", default="https://api.bitbucket.org/2.0", shown="https://api.bitbucket.org/2.0"),
    Variable("TEST_REPORTS", parsing.words, "Globs of JUnit XML files, relative to the clone; `none` turns it off.",
             default=(), many=True, shown="Bitbucket's own folders"),
    Variable("LOG_LINES", parsing.count, "How many last lines of the failing step's log go into the page (in a "
             "`final:` step, with a token).", default=0, shown="0"),
)
# fmt: on

ORDINARY = {"CI", "HOME", "HOSTNAME", "LANG", "PATH", "PWD", "SSL_CERT_FILE"}  # in every container; no slips

# What goes into the event as it was given.
SHOWN = ("alert_name", "dedup_key", "summary", "source", "component", "group", "class_", "custom_details", "links")

# Where a variable is absent, this one of the build's environment stands in for it.
FALLBACKS = {"INTEGRATION_KEY": "PAGERDUTY_INTEGRATION_KEY", "EXIT_CODE": "BITBUCKET_EXIT_CODE"}


@dataclass(frozen=True)
class Settings:
    """The variables, parsed; one attribute each, by the variable's name in lower case."""

    integration_key: str = ""
    event_action: str = "auto"
    exit_code: int | None = None
    build_status: str = ""
    alert_name: str = ""
    dedup_key: str = ""
    summary: str = ""
    severity: str = "error"
    source: str = ""
    component: str = ""
    group: str = ""
    class_: str = ""
    custom_details: dict[str, Any] = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    pull_requests: bool = False
    ignore_exit_codes: tuple[int, ...] = ()
    change_event: bool = False
    region: str = "us"
    events_url: str = ""
    timeout: float = 120.0
    on_error: str = "fail"
    dry_run: bool = False
    debug: bool = False
    bitbucket_access_token: str = ""
    atlassian_account_email: str = ""
    atlassian_api_token: str = ""
    bitbucket_api_url: str = "https://api.bitbucket.org/2.0"
    test_reports: tuple[str, ...] = ()
    log_lines: int = 0

    fatal: tuple[str, ...] = ()  # why nothing can be sent at all, a line each
    unreadable_result: str = ""  # why the result cannot be told from the variables
    problems: tuple[str, ...] = ()  # bad values: warned of, told on the page, exit code 1
    notices: tuple[str, ...] = ()  # suspicions: warned of, told on the page
    mask: Mask = field(default_factory=Mask, compare=False)

    @property
    def base_url(self) -> str:
        return self.events_url or REGIONS[self.region]

    @property
    def can_ask_bitbucket(self) -> bool:
        return bool(self.bitbucket_access_token or (self.atlassian_account_email and self.atlassian_api_token))


def read(environ: Mapping[str, str]) -> Settings:
    """The settings of an environment. Empty means absent; so does an unexpanded `$WORD`, with a warning."""
    values: dict[str, Any] = {}
    trouble: dict[str, list[str]] = {FATAL: [], RESULT: [], OPTIONAL: [], FILTER: []}
    notices = list(_unexpanded(environ)) + list(_slips(environ))
    for variable in VARIABLES:
        values[variable.attribute] = variable.default
        try:
            given = _given(environ, variable)
            if given:
                values[variable.attribute] = variable.parse(given)
        except ValueError as error:
            values[variable.attribute] = variable.default if variable.if_bad is None else variable.if_bad
            trouble[variable.bad].append(f"{variable.name}: {error}; {variable.bad}.")

    key = values["integration_key"]
    raw_key = environ.get("INTEGRATION_KEY", "")
    if key and present(environ, "INTEGRATION_KEY") and raw_key != raw_key.strip():
        trouble[OPTIONAL].append("INTEGRATION_KEY: it has blanks around it; they were left out, mend the variable.")
    if not key and not trouble[FATAL] and not values["dry_run"]:
        trouble[FATAL].append(
            "INTEGRATION_KEY: it is missing; define the repository variable PAGERDUTY_INTEGRATION_KEY (secured) with "
            'the integration key of the service\'s "Events API v2" integration, and map it.'
        )
    notices += _add_bitbuckets_own_exit_code(environ, values)
    if bool(values["atlassian_account_email"]) != bool(values["atlassian_api_token"]):
        notices.append("ATLASSIAN_ACCOUNT_EMAIL and ATLASSIAN_API_TOKEN only work together; one of them is missing.")

    mask = Mask(key, tuple(_secrets(environ, key)))
    for name in SHOWN:  # before anything is cut, so that no part of a secret stays
        values[name] = mask.all(values[name])
    return Settings(
        **values,
        fatal=tuple(map(mask.text, trouble[FATAL])),
        unreadable_result=mask.text(" ".join(trouble[RESULT])),
        problems=tuple(map(mask.text, trouble[RESULT] + trouble[OPTIONAL] + trouble[FILTER])),
        notices=tuple(map(mask.text, notices)),
        mask=mask,
    )


def _given(environ: Mapping[str, str], variable: Variable) -> str | list[str]:
    """What the environment holds of a variable: a string, or of one with `many` a list of strings."""
    length = present(environ, f"{variable.name}_COUNT").strip()
    if not length:
        single = present(environ, variable.name) or present(environ, FALLBACKS.get(variable.name, ""))
        return [single] if single and variable.many else single
    if not variable.many:
        raise ValueError("it is an array; give one string")
    if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > MOST_ITEMS:
        raise ValueError(f"{variable.name}_COUNT is {parsing.quoted(length)}, not a number from 0 to {MOST_ITEMS}")
    items = (present(environ, f"{variable.name}_{index}") for index in range(int(length)))
    return [item for item in items if item]


def _add_bitbuckets_own_exit_code(environ: Mapping[str, str], values: dict[str, Any]) -> Iterator[str]:
    """Any sign of failure is a failure: `EXIT_CODE: $?` reads 0 in an after-script, whatever the step's code was."""
    try:
        own = parsing.integer(present(environ, "BITBUCKET_EXIT_CODE") or "0")
    except ValueError:
        return
    given = values["exit_code"]
    if own != 0 and given in (0, None):
        values["exit_code"] = own
        if given == 0:
            yield (
                f"EXIT_CODE is 0 but BITBUCKET_EXIT_CODE is {own}: counted as a failure; "
                "write `EXIT_CODE: $BITBUCKET_EXIT_CODE`."
            )


def _unexpanded(environ: Mapping[str, str]) -> Iterator[str]:
    for variable in VARIABLES:
        arrays = [name for name in environ if variable.many and name.startswith(f"{variable.name}_")]
        for name in (variable.name, *sorted(arrays)):
            value = mend(environ.get(name, "")).strip()
            if unexpanded(value):
                yield f"{mend(name)} is the unexpanded variable {value}; taken as absent."


def _slips(environ: Mapping[str, str]) -> Iterator[str]:
    """Names that are none of the pipe's but look like a slip of one: `SEVERTY`, `severity`, `LINK`."""
    known = {variable.name for variable in VARIABLES} | set(FALLBACKS.values())
    arrays = tuple(variable.name for variable in VARIABLES)
    for name in sorted(environ):
        upper = mend(name).upper()
        array_part = re.fullmatch(r"(.+)_(COUNT|\d+)", upper)
        if name in known | ORDINARY or name.startswith(("BITBUCKET_", "PYTHON")):
            continue
        if array_part and array_part[1] in arrays:
            continue
        if upper in known:
            yield f"{mend(name)} is not a variable of this pipe; did you mean {upper}?"
        elif len(upper) >= 4:
            import difflib

            close = difflib.get_close_matches(upper, known, n=1, cutoff=0.85)
            if close and environ[name]:
                yield f"{mend(name)} is not a variable of this pipe; did you mean {close[0]}?"


def _secrets(environ: Mapping[str, str], key: str) -> Iterator[str]:
    """Every value that must not be shown, good or bad: also the parts of an address pasted in place of a key."""
    names = [variable.name for variable in VARIABLES if variable.secret] + [FALLBACKS["INTEGRATION_KEY"]]
    for name in names:
        value = mend(environ.get(name, "")).strip()
        if value and not unexpanded(value):
            yield from (part for part in (value, *re.findall(r"[A-Za-z0-9]{16,}", value)) if part != key)
    yield from re.findall(r"(?<=/integration/)[^/\s]+", environ.get("EVENTS_URL", ""))
