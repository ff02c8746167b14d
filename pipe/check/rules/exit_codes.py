"""Rules about what hides a failure from the exit code, or reads the code wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from pipe.check.model import StepUse, Use
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import text_of
from pipe.placement import STEPS_OWN_CODE

MAP_IT = "EXIT_CODE: $BITBUCKET_EXIT_CODE"
_SWALLOWED = re.compile(r"\|\|\s*(true|:|echo\b|printf\b|exit\s+0)(?!.*\b(exit|return)\s+[1-9$]|.*\bfalse\b)")
_TEE = re.compile(r"[^|]\|\s*tee\b")
# What tidies up or looks something up: its failure is none of the step's.
_TIDIES = re.compile(
    r"^(sudo\s+)?(rm|kill|pkill|killall|mkdir|unset|grep|cat|ls|which|command|test|wait|cp|mv|chmod|find|pgrep"
    r"|docker logs|docker(-| )compose (-\S+ \S+ )?(down|logs|stop|rm|kill)"
    r"|docker (container |image |network |volume |system )?"
    r"(rm|rmi|stop|kill|prune|inspect|network|volume|pull)|git (fetch|tag|config|branch|stash|remote)"
    r"|kubectl (delete|logs|describe|get)|apt-get|apt)\b"
)
_ASSIGNED = re.compile(r"^(export\s+)?\w+=\"?\$\(")
_CHECKS_OFF = re.compile(r"\bset (\+[a-z]*e[a-z]*|\+o errexit)(?=[\s;]|$)")
_CHECKS_ON = re.compile(r"\bset (-[a-z]*e[a-z]*|-[a-z]*o errexit)(?=[\s;]|$)")
_READS_CODE = re.compile(r"\$\?|PIPESTATUS|\bexit +[1-9$\"]|\|\| *exit\b|\b(false|return [1-9$])")
_EXIT_0_BY_TRAP = re.compile(r"\btrap +(['\"])(?:(?!\1).)*\bexit 0\b.*\1 +.*\b(EXIT|ERR|0)\b")
_SAYS = re.compile(r"(echo|printf|export|set|unset|true|cd|sleep|exit|then|fi|\w+=\S*$)\b|:$")
_EQUALS_ONE = re.compile(r"BITBUCKET_EXIT_CODE[}\"']*\s*(-eq|==?)\s*[\"']?1\b")


@rule(
    "failure-hidden",
    "Bitbucket and the pipe see a success, whatever the command said.",
    """
script:
  - set -o pipefail # where a line has a `|`
  - make test # without `|| true` or `set +e`
""",
)
def failure_hidden(checked: Checked) -> Iterator[Found]:
    for step in _pager_steps(checked):
        pipefail = False
        for line, command in step.shell("script"):
            pipefail = pipefail or "pipefail" in command
            plain = re.sub(r"\"[^\"]*\"|'[^']*'", '""', command)
            if _SWALLOWED.search(plain) and not (_TIDIES.match(command) or _ASSIGNED.match(command)):
                yield Found(line, f"`{command}` never fails.")
            elif _TEE.search(plain) and not pipefail and "PIPESTATUS" not in command:
                yield Found(line, f"`{command}` ends as `tee` ends.")
        yield from _unchecked(list(step.shell("script")))


def _unchecked(lines: list[tuple[int, str]]) -> Iterator[Found]:
    """`set +e`, behind which only the last line can fail the step; a trap that ends it with 0."""
    for at, (line, command) in enumerate(lines):
        if _EXIT_0_BY_TRAP.search(command):
            yield Found(line, f"`{command}` ends the step with 0, whatever failed.")
        if not (off := _CHECKS_OFF.search(command)):
            continue
        rest = [command[off.end() :], *(one for _, one in lines[at + 1 :])]
        unchecked = list(takewhile(lambda one: not _CHECKS_ON.search(one), _commands(rest)))
        handled = any(_READS_CODE.search(one) for one in unchecked)
        ends_with_0 = len(unchecked) == len(_commands(rest)) and unchecked[-1:] == ["exit 0"]
        last_counts = len(unchecked) == len(_commands(rest)) and not ends_with_0
        ignored = [one for one in (unchecked[:-1] if last_counts else unchecked) if not _says_or_tidies(one)]
        if ignored and (ends_with_0 or not handled):
            yield Found(line, f"Behind `{command}` a failure of `{ignored[0]}` goes unnoticed.")


def _commands(lines: list[str]) -> list[str]:
    found = [one.strip() for line in lines for one in re.split(r";|&&", line)]
    return [one for one in found if one and not one.startswith("#")]


def _says_or_tidies(command: str) -> bool:
    return bool(_TIDIES.match(command) or _ASSIGNED.match(command) or _SAYS.match(command))


@rule(
    "exit-code-1",
    "A step fails with any code but 0: 2, 127 and 137 are failures as well.",
    """
after-script:
  - pipe: …/pagerduty-events:… # first: it decides by the code itself
  - if [ "$BITBUCKET_EXIT_CODE" -ne 0 ]; then ./report.sh; fi
""",
)
def exit_code_1(checked: Checked) -> Iterator[Found]:
    for step in _pager_steps(checked):
        for line, command in step.shell("after-script"):
            if _EQUALS_ONE.search(command):
                yield Found(line, f"`{command}` takes only exit code 1 for a failure.")


@rule(
    "exit-code-in-script",
    "BITBUCKET_EXIT_CODE exists in an after-script only; here it is empty.",
    """
after-script:
  - pipe: …/pagerduty-events:…
    variables:
      EXIT_CODE: $BITBUCKET_EXIT_CODE
""",
)
def exit_code_in_script(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        misplaced = use.placed.runs_only_after_a_success
        if use.item.place == "script" and not misplaced and "BITBUCKET_EXIT_CODE" in use.item.exit_code:
            what = f"EXIT_CODE is mapped in `script` of {use.at.name}."
            yield Found(use.variables.line_of("EXIT_CODE"), what, "# leave EXIT_CODE out")
    for step in _pager_steps(checked):
        for line, command in step.shell("script"):
            if re.search(r"\$\{?BITBUCKET_EXIT_CODE\b", command):
                yield Found(line, f"`{command}` reads BITBUCKET_EXIT_CODE in `script`.")


@rule(
    "exit-code-not-the-step-s",
    "Only BITBUCKET_EXIT_CODE is how the step ended: commands are echoed first, so `$?` is 0 in an after-script.",
    MAP_IT,
)
def exit_code_not_the_steps(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if reads_another_code(use):
            code = text_of(use.variables.get("EXIT_CODE"))
            yield Found(
                use.variables.line_of("EXIT_CODE"), f"EXIT_CODE is `{code}` in the after-script of {use.at.name}."
            )


def reads_another_code(use: Use) -> bool:
    return use.is_by_exit_code and text_of(use.variables.get("EXIT_CODE")) not in STEPS_OWN_CODE


@rule(
    "action-by-shell",
    "Each step sends what its own line has worked out, and the step that passes resolves what another one opened. "
    "`auto`, the default, decides by the exit code and for each name apart.",
    """
EXIT_CODE: $BITBUCKET_EXIT_CODE # and no EVENT_ACTION
ALERT_NAME: unit tests # another one in each step
""",
)
def action_by_shell(checked: Checked) -> Iterator[Found]:
    uses = [use for use in checked.file.uses if "$" in use.item.action]
    steps = {id(use.at) for use in uses}
    if len(steps) > 1:
        for use in uses:
            what = f"EVENT_ACTION is `{use.item.action.upper()}` in {len(steps)} steps."
            yield Found(use.variables.line_of("EVENT_ACTION"), what)


@rule(
    "always-pages",
    "`trigger` pages after a success too, and nothing resolves it.",
    "EVENT_ACTION: auto # or leave it out",
)
def always_pages(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.is_by_exit_code and use.item.action == "trigger":
            yield Found(use.variables.line_of("EVENT_ACTION"), f"{use.at.name} pages whatever its exit code is.")


def _pager_steps(checked: Checked) -> Iterator[StepUse]:
    """The steps that are paged for by their exit code."""
    yield from dict.fromkeys(use.at for use in checked.file.uses if use.is_by_exit_code)
