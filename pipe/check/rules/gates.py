"""Rules about manual gates, and what a step does on a failure."""

from __future__ import annotations

from collections.abc import Iterator

from pipe.check.rule import Checked, Found, rule

IN_A_PIPELINE_OF_ITS_OWN = """
custom:
  deploy-to-production: # in place of `trigger: manual`
    - step:
        deployment: production
"""


@rule(
    "on-fail-retry",
    "The after-script runs on each attempt: the first one pages, though the next may pass and resolve it.",
    """
- step:
    name: End to end
    script: [./e2e] # without `on-fail: retry`; or page from a `final:` step, which sees the last attempt
""",
)
def on_fail_retry(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.is_by_exit_code and use.at.step.on_fail == "retry":
            yield Found(use.line, f"{use.at.label} is retried, and each failed attempt pages.")


@rule(
    "on-fail-ignore",
    "The pipeline passes, and the pipe pages all the same.",
    """
# leave out the pipe, or `on-fail: ignore`, or say that it is no emergency:
SEVERITY: warning
""",
)
def on_fail_ignore(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        mild = str(use.variables.get("SEVERITY")).strip().lower() in ("warning", "info")
        if use.is_by_exit_code and use.at.step.on_fail == "ignore" and not mild:
            yield Found(use.line, f"A failure of {use.at.label} is ignored by Bitbucket, and pages.")


@rule(
    "manual-gate",
    "The step runs only when somebody starts it, so its alert stays open until somebody does, and passes. Until then "
    "no failure of it pages again.",
    """
# leave the pipe out: whoever started the step sees it fail; or accept it:
- pipe: …/pagerduty-events:… # pagerduty-events: ignore manual-gate
""",
)
def manual_gate(checked: Checked) -> Iterator[Found]:
    for use in checked.file.uses:
        if use.is_by_exit_code and use.at.behind_gate and not use.at.step.final and not use.has_own_action:
            yield Found(use.line, f"{use.at.label} waits at a manual gate or behind one.")
    for row in checked.rows:
        speaks_for_all = not (row.use.is_by_exit_code or row.use.has_own_action)
        if speaks_for_all and row.promise.on_success.startswith("resolves"):
            steps = checked.file.steps_of(row.places[0].pipeline)
            if waiting := [step.name for step in steps if step.behind_gate and not step.step.final]:
                what = f"{row.use.at.name} pages for {waiting[0]} ({row.pipeline}), which waits at a manual gate."
                yield Found(row.line, what, IN_A_PIPELINE_OF_ITS_OWN)
