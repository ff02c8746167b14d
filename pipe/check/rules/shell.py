"""Rules about the lines of the shell beside the pipe: what hides a failure, or works with the exit code wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

from pipe import definition_file
from pipe.check.model import StepUse, Use
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, shell_lines, text_of
from pipe.placement import STEPS_OWN_CODE

MAP_IT = "EXIT_CODE: $BITBUCKET_EXIT_CODE"
AUTO = "EVENT_ACTION: auto # or leave it out: a failure pages, a success resolves"
_SWALLOWED = re.compile(r"\|\|\s*(true|:|echo\b|printf\b|exit\s+0)(?!.*\b(exit|return)\s+[1-9$]|.*\bfalse\b)")
_TEE = re.compile(r"[^|]\|\s*tee\b")
# What tidies up or looks something up, and what assigns: its failure is none of the step's.
_TIDIES = re.compile(
    r"(sudo\s+)?(rm|kill|pkill|killall|mkdir|unset|grep|cat|ls|which|command|test|wait|cp|mv|chmod|find|pgrep"
    r"|docker logs|docker(-| )compose (-\S+ \S+ )?(down|logs|stop|rm|kill)"
    r"|docker (container |image |network |volume |system )?"
    r"(rm|rmi|stop|kill|prune|inspect|network|volume|pull)|git (fetch|tag|config|branch|stash|remote)"
    r"|kubectl (delete|logs|describe|get)|apt-get|apt)\b|(export\s+)?\w+=\"?\$\("
)
_CHECKS_OFF = re.compile(r"\bset (\+[a-z]*e[a-z]*|\+o errexit)(?=[\s;]|$)")
_CHECKS_ON = re.compile(r"\bset (-[a-z]*e[a-z]*|-[a-z]*o errexit)(?=[\s;]|$)")
_READS_CODE = re.compile(r"\$\?|PIPESTATUS|\bexit +[1-9$\"]|\|\| *exit\b|\b(false|return [1-9$])")
_EXIT_0_BY_TRAP = re.compile(r"\btrap +(['\"])(?:(?!\1).)*\bexit 0\b.*\1 +.*\b(EXIT|ERR|0)\b")
_SAYS = re.compile(r"(echo|printf|export|set|unset|true|cd|sleep|exit|then|fi|\w+=\S*$)\b|:$")
_EQUALS_ONE = re.compile(r"BITBUCKET_EXIT_CODE[}\"']*\s*(-eq|==?)\s*[\"']?1\b")
_ASSIGNS = r"(export )?\w+=(\"[^\"`]*\"|'[^']*'|[^\s;&|`]*)|echo [^;&|>`]*"
_HARMLESS = re.compile(
    r"(echo|printf|export|set|unset|true|:)\b[^;&|>]*(>&2)?"  # says or sets something
    rf"|{_ASSIGNS}"
    rf"|if [^;]*; then (({_ASSIGNS}); |else |elif [^;]*; then )+fi"
    r"|.*\|\| *(true|:|echo [^;&|]*)"
)


def _pager_steps(checked: Checked) -> Iterator[StepUse]:
    """The steps that are paged for by their exit code, or would be if the pipe did not stand in their script."""
    for use in checked.file.uses:
        keeps = use.keeps_a_code or use.keeps_a_status or use.has_own_action
        if use.is_by_exit_code or (use.placed.runs_only_after_a_success and not keeps):
            yield use.at


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
        lines, pipefail = list(step.shell("script")), False
        for at, (line, command) in enumerate(lines):
            pipefail = pipefail or "pipefail" in command
            plain = re.sub(r"\"[^\"]*\"|'[^']*'", '""', command)
            if _SWALLOWED.search(plain) and not _TIDIES.match(command):
                yield Found(line, f"`{command}` never fails.")
            elif _TEE.search(plain) and not pipefail and "PIPESTATUS" not in command:
                yield Found(line, f"`{command}` ends as `tee` ends.")
            elif _EXIT_0_BY_TRAP.search(command):
                yield Found(line, f"`{command}` ends the step with 0, whatever failed.")
            elif ignored := _ignored([command, *(one for _, one in lines[at + 1 :])]):
                yield Found(line, f"Behind `{command}` a failure of `{ignored}` goes unnoticed.")


def _ignored(lines: list[str]) -> str:
    """The first command behind a `set +e` in the first line whose failure does not count: only the last line can fail
    the step."""
    if not (off := _CHECKS_OFF.search(lines[0])):
        return ""
    commands = [one.strip() for line in (lines[0][off.end() :], *lines[1:]) for one in re.split(r";|&&", line)]
    commands = [one for one in commands if one and not one.startswith("#")]
    unchecked = list(takewhile(lambda one: not _CHECKS_ON.search(one), commands))
    ends_with_0 = unchecked == commands and commands[-1:] == ["exit 0"]
    kept = [name for one in unchecked for name in re.findall(r"\b(\w+)=\$\?", one)]
    read = any(_READS_CODE.search(re.sub(r"\b\w+=\$\?", "", one)) for one in unchecked)
    if not ends_with_0 and (read or any(f"${name}" in one.replace("{", "") for name in kept for one in commands)):
        return ""
    counting = unchecked == commands and not ends_with_0
    ignored = unchecked[:-1] if counting else unchecked
    return next((one for one in ignored if not (_TIDIES.match(one) or _SAYS.match(one))), "")


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
        for line, command in use.at.shell("script"):
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
            what = f"EXIT_CODE is `{text_of(use.variables['EXIT_CODE'])}` in the after-script of {use.at.name}."
            yield Found(use.variables.line_of("EXIT_CODE"), what)


def reads_another_code(use: Use) -> bool:
    return use.is_by_exit_code and text_of(use.variables.get("EXIT_CODE")) not in STEPS_OWN_CODE


@rule(
    "action-by-shell",
    "A step sends what its own line has worked out, and one that passes resolves what another one opened. `auto`, the "
    "default, decides by the exit code and for each name apart.",
    """
EXIT_CODE: $BITBUCKET_EXIT_CODE # and no EVENT_ACTION
ALERT_NAME: unit tests # another one in each step
""",
)
def action_by_shell(checked: Checked) -> Iterator[Found]:
    uses = [use for use in checked.file.uses if "$" in use.item.action]
    for use in uses:
        assigned = {name for _, line in use.at.shell("after-script") for name in re.findall(r"\b(\w+)=", line)}
        if len({id(one.at) for one in uses}) > 1 or use.item.action.upper().strip("${}") in assigned:
            what = f"EVENT_ACTION of {use.at.label} is `{use.item.action.upper()}`."
            yield Found(use.variables.line_of("EVENT_ACTION"), what)


@rule(
    "behind-a-line",
    "An after-script stops at its first line that fails: then the pipe does not run, and nobody is paged.",
    """
after-script:
  - pipe: …/pagerduty-events:… # first
  - ./clean-up.sh
""",
)
def behind_a_line(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        unchecked = False
        for entry in definition_file.entries(use.at.body.get("after-script")) if use.is_by_exit_code else ():
            if entry is use.node:
                break
            unchecked = unchecked or any(re.match(r"set \+e\b", command) for _, command in shell_lines(entry))
            risky = _risky(entry, unchecked=unchecked)
            if risky and not _EQUALS_ONE.search(risky[1]):  # which has a finding of its own, that puts the pipe first
                yield Found(risky[0], f"`{risky[1]}` stands before the pipe in the after-script of {use.at.name}.")


def _risky(entry: object, *, unchecked: bool) -> tuple[int, str] | None:
    """The line and the words of what may end the after-script."""
    if isinstance(entry, Map):
        other = text_of(entry.get("pipe"))
        return (entry.line, f"pipe: {other}") if "pagerduty" not in other.lower() else None
    lines = list(shell_lines(entry))
    whole = re.sub(r"\b(then|else);", r"\1", "; ".join(command for _, command in lines))
    if _HARMLESS.fullmatch(whole):
        return None
    for line, command in lines:
        ends = re.search(r"\b(exit|exec)\b", command)
        if ends or not (unchecked or command.startswith("#") or _HARMLESS.fullmatch(command)):
            return line, command
    return None
