"""Rules about an item's variables: those it lacks, those that do not exist, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipe.check.model import TOKENS, Use
from pipe.check.promise import IGNORED
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.shell import reads_another_code
from pipe.check.source import Seq, Text, text_of
from pipe.check.values import BY_NAME, in_place_of, wrong
from pipe.settings import FALLBACKS, FROM_CONTEXT, ORDINARY, nearest_variable

# Source: "Variables and secrets" in Bitbucket Cloud's documentation, and logs.
BITBUCKETS_OWN = {f"BITBUCKET_{name}" for name in re.findall(r"\w+", """
    BOOKMARK BRANCH BUILD_CREATED_ON BUILD_NUMBER CLONE_DIR COMMIT DEPLOYMENT_ENVIRONMENT DEPLOYMENT_ENVIRONMENT_UUID
    DOCKER_HOST_INTERNAL EXIT_CODE GIT_HTTP_ORIGIN GIT_SSH_ORIGIN PARALLEL_STEP PARALLEL_STEP_COUNT PIPELINE_UUID
    PIPELINES_VARIABLES_PATH PIPE_SHARED_STORAGE_DIR PIPE_STORAGE_DIR PROJECT_KEY PROJECT_UUID PR_DESTINATION_BRANCH
    PR_DESTINATION_COMMIT PR_ID REPO_FULL_NAME REPO_IS_PRIVATE REPO_OWNER REPO_OWNER_UUID REPO_SLUG REPO_UUID
    SSH_KEY_FILE STEP_OIDC_TOKEN STEP_RUN_NUMBER STEP_TRIGGERER_UUID STEP_UUID TAG TRIGGER_DEPLOYMENT_ENVIRONMENT_NAME
    TRIGGER_DEPLOYMENT_STATUS TRIGGER_PIPELINE_RUN_UUID WORKSPACE
""")} | set(FROM_CONTEXT)  # fmt: skip
_TEAMS_OWN = re.compile(r"TOKEN|USER|PASS|SECRET|CLIENT|EMAIL|URL|_KEY$|AUTH(?!OR)|CRED|ACCOUNT|OIDC|API")
_SET_BY_SHELL = re.compile(r"\b(BITBUCKET_\w+)=")
_NO_STRING = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+]?(\d[\d_]*(\.\d*)?|\.\d+)(e[-+]?\d+)?|0[xo][0-9a-f]+"
)


@rule(
    "unmapped",
    "`docker://` reads no pipe.yml, which would fill them in, and whether they arrive without that is not documented: "
    "if not, the alert belongs to another place, says that the result cannot be told, or is never sent.",
    "EXIT_CODE: $BITBUCKET_EXIT_CODE",
)
def unmapped(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if missing := use.unmapped:
            write = "\n".join(f"{name}: ${FALLBACKS.get(name, name)}" for name in missing)
            yield Found(use.line, f"{', '.join(missing)}: not mapped in {use.at.label}.", write)


@rule("unknown-variable", "The pipe does not read it.", "SEVERITY: critical # for example; docs/variables.md has all")
def unknown_variable(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        for name, value in use.variables.items():
            if name not in BY_NAME.keys() | ORDINARY | BITBUCKETS_OWN:
                other = nearest_variable(name)
                shown = text_of(value) if "$" in text_of(value) else "…"
                what = f"{name} is not a variable of this pipe{f'; did you mean {other}?' if other else '.'}"
                write = f"{other}: {shown}" if other else f"# leave {name} out"
                yield Found(use.variables.line_of(name), what, write)


@rule(
    "invented-variable",
    "Bitbucket sets no such variable, so it is empty. There is none for a step's name or a pipeline's result.",
    """
EXIT_CODE: $BITBUCKET_EXIT_CODE # in an after-script: how the step ended
ALERT_NAME: unit tests # in words of your own
""",
)
def invented_variable(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        shell = use.at.shell("script", "after-script")
        own = {name for _, command in shell for name in _SET_BY_SHELL.findall(command)}
        lines = [*((line, text, "") for line, text in use.at.shell("after-script")), *_values(use)]
        for line, text, variable in lines:
            for name in re.findall(r"\$\{?(BITBUCKET_\w+)", text):
                if name not in BITBUCKETS_OWN | own and not _TEAMS_OWN.search(name):
                    known = name.startswith("BITBUCKET_COMMIT_") and variable != "ALERT_NAME"
                    on_the_page = " The page has the commit's subject and author by itself." if known else ""
                    write = f"# leave {variable or name} out" if known else ""
                    yield Found(line, f"${name} does not exist.{on_the_page}", write)


def _values(use: Use) -> Iterator[tuple[int, str, str]]:
    for name, value in use.variables.items():
        for one in value if isinstance(value, Seq) else [value]:
            yield getattr(one, "line", use.variables.line_of(name)), text_of(one), name


@rule(
    "key-in-file",
    "Whoever can read the repository can page you, and the key stays in the history. Replace it in PagerDuty.",
    "INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY # a secured repository variable",
)
def key_in_file(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        for name in ("INTEGRATION_KEY", *TOKENS):
            value = text_of(use.variables.get(name))
            withheld = any(row.promise.withheld.startswith(f"{name}: ") for row in checked.rows_of(use))
            if value and "$" not in value and not withheld:  # which says that it is no key
                write = f"{name}: ${FALLBACKS.get(name, name)} # a secured repository variable"
                yield Found(use.variables.line_of(name), f"{name} is written out ({len(value)} characters).", write)


@rule(
    "unquoted-value",
    "A pipe's variables are strings. Without quotes this is a boolean or a number, which Bitbucket refuses or writes "
    "in another way (1.10 becomes 1.1).",
    'DEBUG: "true"',
)
def unquoted_value(checked: Checked) -> Iterator[Found]:
    for _, name, value in _read_values(checked):
        for one in value if isinstance(value, Seq) else [value]:
            if isinstance(one, Text) and one.plain and _NO_STRING.fullmatch(one) and not wrong(name, value):
                write = f'{name}: "{one}"' if one is value else f'- "{one}"'
                yield Found(one.line, f"{name} has the value {one} without quotes.", write)


@rule("bad-value", "The value counts for nothing, the page says so, and the pipe exits with 1.", "SEVERITY: critical")
def bad_value(checked: Checked) -> Iterator[Found]:
    for use, name, value in _read_values(checked):
        said = {one for row in checked.rows_of(use) for one in (row.promise.withheld, f"{row.promise.unknown}.")}
        known = name in BY_NAME and not BY_NAME[name].secret
        if known and (why := wrong(name, value)) and f"{why.removesuffix('.')}." not in said:
            yield Found(use.variables.line_of(name), why, in_place_of(name, value))


def _read_values(checked: Checked) -> Iterator[tuple[Use, str, object]]:
    """Each variable and its value, but those of which another rule says that another value belongs there."""
    for use in checked.file.uses:
        for name, value in use.variables.items():
            is_dry_run = name == "DRY_RUN" and text_of(value).lower() == "true"
            ignores_1 = name == "IGNORE_EXIT_CODES" and any(
                r.promise.on_failure == IGNORED for r in checked.rows_of(use)
            )
            if not (is_dry_run or ignores_1 or (name == "EXIT_CODE" and reads_another_code(use))):
                yield use, name, value
