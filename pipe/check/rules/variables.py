"""Rules about which variables an item has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipe.check.model import TOKENS, Use
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Seq, text_of
from pipe.settings import FALLBACKS, FROM_CONTEXT, ORDINARY, VARIABLES, nearest_variable

NAMES = {variable.name for variable in VARIABLES}
# Source: "Variables and secrets" in Bitbucket Cloud's documentation, and logs.
BITBUCKETS_OWN = {f"BITBUCKET_{name}" for name in re.findall(r"\w+", """
    BOOKMARK BRANCH BUILD_CREATED_ON BUILD_NUMBER CLONE_DIR COMMIT DEPLOYMENT_ENVIRONMENT DEPLOYMENT_ENVIRONMENT_UUID
    DOCKER_HOST_INTERNAL EXIT_CODE GIT_HTTP_ORIGIN GIT_SSH_ORIGIN PARALLEL_STEP PARALLEL_STEP_COUNT PIPELINE_UUID
    PIPELINES_VARIABLES_PATH PIPE_SHARED_STORAGE_DIR PIPE_STORAGE_DIR PROJECT_KEY PROJECT_UUID PR_DESTINATION_BRANCH
    PR_DESTINATION_COMMIT PR_ID REPO_FULL_NAME REPO_IS_PRIVATE REPO_OWNER REPO_OWNER_UUID REPO_SLUG REPO_UUID
    SSH_KEY_FILE STEP_OIDC_TOKEN STEP_RUN_NUMBER STEP_TRIGGERER_UUID STEP_UUID TAG TRIGGER_DEPLOYMENT_ENVIRONMENT_NAME
    TRIGGER_DEPLOYMENT_STATUS TRIGGER_PIPELINE_RUN_UUID WORKSPACE
""")} | set(FROM_CONTEXT)  # fmt: skip
_TEAMS_OWN = re.compile(r"TOKEN|USER|PASS|SECRET|CLIENT|EMAIL|URL|_KEY$|AUTH|CRED|ACCOUNT|OIDC|API")
_SET_BY_SHELL = re.compile(r"\b(BITBUCKET_\w+)=")


@rule(
    "exit-code-unmapped",
    "pipe.yml fills it in where it is left out; `docker://` reads none, and whether it arrives without that is not "
    "documented: if not, each build pages a warning that it cannot be told whether it passed.",
    "EXIT_CODE: $BITBUCKET_EXIT_CODE",
)
def exit_code_unmapped(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        explicit = text_of(use.variables.get("EXIT_CODE")) or text_of(use.variables.get("BITBUCKET_EXIT_CODE"))
        left_out = (use.by_docker and not use.item.build_status) or "EXIT_CODE" in use.variables
        if left_out and use.is_by_exit_code and not explicit and not use.misread:
            yield Found(use.line, f"EXIT_CODE is not mapped in the after-script of {use.at.name}.")


@rule(
    "variable-unmapped",
    "`docker://` reads no pipe.yml, which would fill them in, and whether they arrive without that is not documented: "
    "if not, the alert belongs to another place, or is never sent.",
    "BITBUCKET_TAG: $BITBUCKET_TAG",
)
def variable_unmapped(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if missing := use.unmapped:
            write = "\n".join(f"{name}: ${FALLBACKS.get(name, name)}" for name in missing)
            yield Found(use.line, f"{', '.join(missing)}: not mapped in {use.at.label}.", write)


@rule("unknown-variable", "The pipe does not read it.", "SEVERITY: critical # for example; docs/variables.md has all")
def unknown_variable(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        for name, value in use.variables.items():
            known = name in NAMES | ORDINARY | BITBUCKETS_OWN
            if not known:
                other = nearest_variable(name)
                shown = text_of(value) if "$" in text_of(value) else "…"
                yield Found(
                    use.variables.line_of(name),
                    f"{name} is not a variable of this pipe{f'; did you mean {other}?' if other else '.'}",
                    f"{other}: {shown}" if other else f"# leave {name} out",
                )


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
            if value and "$" not in value:
                write = "" if name == "INTEGRATION_KEY" else f"{name}: ${name} # a secured repository variable"
                yield Found(use.variables.line_of(name), f"{name} is written out ({len(value)} characters).", write)
