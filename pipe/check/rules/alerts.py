"""Rules about keys: whom an alert pages for, and why no success resolves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from pipe import definition_file
from pipe.check.container import Place
from pipe.check.model import Use
from pipe.check.promise import BY_HAND, PAGES, openers
from pipe.check.refs import ELSEWHERE
from pipe.check.rule import Checked, Found, rule
from pipe.check.source import Map, Seq, holds_variable, text_of
from pipe.check.table import Row
from pipe.placement import same_environment
from pipe.subject import line_of
from pipe.wording import ZERO_IGNORED

EVERYTHING = ("*", "**")
USE_IT_TOO = " use the same key"
MOST_NAMES = 5  # in one sentence
EVERY_BRANCH = [("branches", pattern) for pattern in EVERYTHING]
NAMES_BESIDE_AN_ANCHOR = """
definitions:
  pager: &pager # the variables, not the list: a list has no merge
    INTEGRATION_KEY: $PAGERDUTY_INTEGRATION_KEY
    EXIT_CODE: $BITBUCKET_EXIT_CODE

after-script: # in each step
  - pipe: …/pagerduty-events:…
    variables:
      <<: *pager
      ALERT_NAME: unit tests # another one in each step
""".strip()
A_NAME_EACH = """
ALERT_NAME: unit tests # another one in each step; what they share stays in the anchor
"""


@rule(
    "default-pages-every-branch",
    "Every branch runs this pipeline, so an unfinished feature branch wakes somebody up.",
    "BRANCHES: main",
)
def default_pages_every_branch(checked: Checked) -> Iterator[Found]:
    found: dict[str, list[Row]] = {}
    for row in checked.rows:
        pipeline = row.places[0].pipeline
        everywhere = pipeline.section == "default" or (pipeline.section, pipeline.pattern) in EVERY_BRANCH
        on_any = any(place.ref.label in (ELSEWHERE, *EVERYTHING) for place in row.places)
        if everywhere and on_any and row.promise.on_failure == PAGES and not _may_be_kept_out(row.use):
            found.setdefault(row.pipeline, []).append(row)
    for label, rows in found.items():
        steps = list(dict.fromkeys(row.step for row in rows))
        more = f" (and {len(steps) - 1} more)" if len(steps) > 1 else ""
        yield Found(rows[0].line, f"{label}: a failure of {steps[0]}{more} pages on every branch.")


def _may_be_kept_out(use: Use) -> bool:
    """By a filter whose value only the team knows, or which keeps nothing back until all is mapped."""
    value = use.variables.get("BRANCHES")
    texts = value if isinstance(value, Seq) else [value]
    return any(holds_variable(text_of(text)) for text in texts) or bool(use.misread or (value and use.unmapped))


@rule(
    "no-alert-name",
    "Steps without ALERT_NAME share one alert. One that passes says nothing of the others, so nothing resolves it, and "
    "while it is open no failure of any of them pages.",
    A_NAME_EACH,
)
def no_alert_name(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "no-alert-name")


@rule(
    "no-alert-name-in-custom",
    "The custom pipeline runs on the same branches as the push build, so their steps without ALERT_NAME share one "
    "alert, and nothing resolves it.",
    "ALERT_NAME: nightly # in the custom pipeline's step, another one in the push build's",
)
def no_alert_name_in_custom(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "no-alert-name-in-custom")


@rule(
    "environment-shared",
    "An alert of a deployment belongs to the environment, whoever deploys to it. These steps share one there, and a "
    "green run of one says nothing of the other.",
    "ALERT_NAME: deploy api # another one in each step",
)
def environment_shared(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "environment-shared")


@rule(
    "default-beside-branches",
    "`default` can also be started by hand or on a schedule on a branch that has a pipeline of its own. Two steps "
    "without ALERT_NAME can then open one alert, and nothing resolves it.",
    "ALERT_NAME: build # one name, if both check the same; else one each",
)
def default_beside_branches(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "default-beside-branches")


@rule(
    "patterns-overlap",
    "Two patterns fit the same name, and either pipeline can be the one that runs. Steps without ALERT_NAME then share "
    "one alert, and nothing resolves it.",
    "ALERT_NAME: build # one name, if both check the same; else one each",
)
def patterns_overlap(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "patterns-overlap")


@rule(
    "no-alert-name-beside-import",
    "What an imported pipeline holds is not seen here: a step of it could use the same alert, so nothing resolves it.",
    "ALERT_NAME: build",
)
def no_alert_name_beside_import(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "no-alert-name-beside-import")


@rule(
    "alert-name-twice",
    "Two steps of one pipeline share one alert. One that passes says nothing of the other, so nothing resolves it.",
    A_NAME_EACH,
)
def alert_name_twice(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "alert-name-twice")


@rule(
    "no-alert-name-without-clone",
    "Without a clone the pipe cannot see whether another step uses the same alert, so nothing resolves it.",
    "ALERT_NAME: smoke test",
)
def no_alert_name_without_clone(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "no-alert-name-without-clone")


@rule(
    "dedup-key-shared",
    "Builds of other branches, or other steps, can have the same DEDUP_KEY. A success there must not resolve this "
    "alert, so nothing does.",
    "DEDUP_KEY: shop-build-$BITBUCKET_BRANCH # or leave it out, and write ALERT_NAME",
)
def dedup_key_shared(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "dedup-key-shared")


@rule(
    "zero-ignored",
    "Exit code 0 is among those that send nothing, so no success resolves the alert.",
    'IGNORE_EXIT_CODES: "130 143" # without 0',
)
def zero_ignored(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "zero-ignored")


@rule(
    "stays-open",
    "No success resolves this alert, and while it is open no failure under its key pages.",
    "ALERT_NAME: build # another one in each pipeline",
)
def stays_open(checked: Checked) -> Iterator[Found]:
    yield from _open_alerts(checked, "stays-open")


@rule(
    "alert-name-without-clone",
    "Two steps of one pipeline have one ALERT_NAME, and the one without a clone cannot see the other: its success "
    "resolves the other's alert, though that is still broken.",
    A_NAME_EACH,
)
def alert_name_without_clone(checked: Checked) -> Iterator[Found]:
    for row in checked.rows:
        if row.promise.on_success.startswith("resolves") and not row.use.at.has_clone and row.use.is_by_exit_code:
            others = [one for one in _alike(checked, row) if one.at.pipeline is row.use.at.pipeline]
            if len(others) > 1:
                yield Found(row.line, f"{_names(others)} have one ALERT_NAME, and {row.step} has no clone.")


@rule(
    "alert-name-shared",
    "An ALERT_NAME stands for one check. Here it stands for different scripts on the same ref: a green run of the one "
    "resolves the other's alert.",
    "ALERT_NAME: nightly build # another one where the script is another one",
)
def alert_name_shared(checked: Checked) -> Iterator[Found]:
    named: dict[str, list[Row]] = {}
    for row in checked.rows:
        if row.use.item.alert_name and row.use.is_by_exit_code and row.promise.on_failure == "pages":
            named.setdefault(row.use.item.alert_name, []).append(row)
    for name, found in named.items():
        for one, other in combinations(found, 2):
            if _differ(one.use, other.use) and any(_meet(a, b) for a in one.places for b in other.places):
                labels = f"{one.step} ({one.pipeline}) and {other.step} ({other.pipeline})"
                yield Found(other.line, f'"{name}" is the name of {labels}, whose scripts differ.')
                break


def _differ(one: Use, other: Use) -> bool:
    return one.at.pipeline is not other.at.pipeline and _script(one) != _script(other)


def _script(use: Use) -> list[str]:
    return [
        text
        for entry in definition_file.entries(use.at.body.get("script"))
        if not isinstance(entry, Map) and (text := text_of(entry))
    ]


def _meet(one: Place, other: Place) -> bool:
    """Whether both can be about the same place."""
    request, tag = (
        [place.pipeline.section == section for place in (one, other)] for section in ("pull-requests", "tags")
    )
    if any(request):
        return all(request) and one.ref == other.ref
    if one.environment or other.environment:
        return same_environment(one.environment, other.environment)
    if any(tag):
        return all(tag) and line_of(one.ref.name) == line_of(other.ref.name)
    return one.ref == other.ref


def _open_alerts(checked: Checked, code: str) -> Iterator[Found]:
    """One for each group of items that share an alert, at a line that none has yet: an anchor is in many groups."""
    groups: set[object] = set()
    taken: set[int] = set()
    for row in checked.rows:
        if BY_HAND not in row.promise.on_success or row.use.misread or _kind(checked, row) != code:
            continue
        alike = _alike(checked, row) if row.use.is_by_exit_code else []
        group: object = frozenset(one.line for one in alike) | {row.line}
        if row.use.item.dedup_key or (row.use.is_by_exit_code and not row.use.at.has_clone):  # the others are not named
            group = row.line
        elif not row.use.is_by_exit_code:
            group = row.promise.why
        if group not in groups:
            groups.add(group)
            line = next((n for n in (row.line, *sorted(one.line for one in alike)) if n not in taken), row.line)
            taken.add(line)
            yield Found(line, _what(row, alike), _by_anchor(alike))


def _by_anchor(alike: list[Use]) -> str:
    """Where one item is taken by several steps, a name in it would be the same for all; a list cannot be merged."""
    bodies: dict[int, set[int]] = {}
    for use in alike:
        bodies.setdefault(id(use.node), set()).add(id(use.at.body))
    return NAMES_BESIDE_AN_ANCHOR if any(len(steps) > 1 for steps in bodies.values()) else ""


def _at(row: Row) -> str:
    return " ".join(filter(None, (row.pipeline, row.refs)))


def _what(row: Row, alike: list[Use]) -> str:
    """Which others use its key; else the run's own reason and advice."""
    if len(alike) > 1 and row.use.at.has_clone and not row.use.item.dedup_key:
        return f"{_names(alike)} share one key."
    names = row.promise.why.removesuffix(USE_IT_TOO)
    if " and " in names and names != row.promise.why:
        return f"{names} share one key. {row.promise.advice}."
    return f"{row.step} ({_at(row)}): {'. '.join(filter(None, (row.promise.why, row.promise.advice)))}."


def _kind(checked: Checked, row: Row) -> str:
    """The code for an alert that nothing resolves."""
    use = row.use
    if use.is_told and not use.has_token:
        return "told-without-token"
    if use.item.dedup_key:
        return "dedup-key-shared"
    if row.promise.why == ZERO_IGNORED:
        return "zero-ignored"
    if use.is_told or not use.is_by_exit_code:
        return "stays-open"
    if not use.at.has_clone:
        return "no-alert-name-without-clone"
    alike = _alike(checked, row)
    if use.item.alert_name:
        return "alert-name-twice"
    return _kind_of_unnamed(row, alike)


def _kind_of_unnamed(row: Row, alike: list[Use]) -> str:
    if len(alike) < 2:
        return "no-alert-name-beside-import" if alike else "stays-open"
    if any(place.environment for place in row.places):
        return "environment-shared"
    if len(_together(row.use, alike)) > 1:
        return "no-alert-name"
    sections = {one.at.pipeline.section for one in alike}
    if "custom" in sections:
        return "no-alert-name-in-custom"
    return "default-beside-branches" if "default" in sections else "patterns-overlap"


def _alike(checked: Checked, row: Row) -> list[Use]:
    """The uses that could have opened the row's alert."""
    found = openers(row.use, row.places[0], checked.file.definition)
    return [use for one in found for use in checked.file.uses if use.at.step is one.step and use.item is one.item]


def _together(use: Use, alike: list[Use]) -> list[Use]:
    """Those in the same pipeline."""
    return [one for one in alike if one.at.pipeline is use.at.pipeline]


def _names(uses: list[Use]) -> str:
    """`Lint and Unit tests`, with the pipelines' names where there is more than one."""
    alone = len({use.at.pipeline.label for use in uses}) == 1
    counts = Counter(use.at.name if alone else f"{use.at.name} ({use.at.pipeline.label})" for use in uses)
    words = [name if times == 1 else f"{name} ({times} times)" for name, times in counts.items()]
    if len(words) > MOST_NAMES:
        words[MOST_NAMES:] = [f"{len(words) - MOST_NAMES} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
