"""Rules about keys: whom an alert pages for, and for whom a name speaks."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from pipe import definition_file
from pipe.check.container import Place
from pipe.check.model import Use
from pipe.check.promise import PAGES
from pipe.check.refs import ELSEWHERE
from pipe.check.rule import Checked, Found, rule
from pipe.check.rules.by_hand import A_NAME_EACH, users_of
from pipe.check.source import Map, holds_variable, text_of, texts_of
from pipe.check.table import Row
from pipe.placement import in_words, same_environment
from pipe.subject import line_of

EVERYTHING = ("*", "**")
EVERY_BRANCH = [("branches", pattern) for pattern in EVERYTHING]


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
    return any(map(holds_variable, texts_of(value))) or bool(use.misread or (value and use.unmapped))


@rule(
    "alert-name-without-clone",
    "Two steps of one pipeline have one ALERT_NAME, and the one without a clone cannot see the other: its success "
    "resolves the other's alert, though that is still broken.",
    A_NAME_EACH,
)
def alert_name_without_clone(checked: Checked) -> Iterator[Found]:
    for row in checked.rows:
        if row.promise.on_success.startswith("resolves") and not row.use.at.has_clone and row.use.is_by_exit_code:
            others = [one for one in users_of(checked, row) if one.at.pipeline is row.use.at.pipeline]
            if len(others) > 1:
                steps = in_words([use.placed for use in others])
                yield Found(row.line, f"{steps} have one ALERT_NAME, and {row.step} has no clone.")


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
