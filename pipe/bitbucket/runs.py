"""A pipeline and its steps, as Bitbucket's REST API tells of them: data only.

Words of states, stages and results are in upper case as sent, new ones included; an empty string is what Bitbucket does
not say. Source: "Pipelines" in the REST reference [D]; fields marked [R] are seen in real answers and not specified.
"""

from __future__ import annotations

from typing import NamedTuple


class StepRun(NamedTuple):
    """One step of a pipeline: its last run, which is the only one that Bitbucket lists [R]."""

    uuid: str = ""  # with Bitbucket's braces
    name: str = ""  # trimmed; "" for a step without a name [R]
    state: str = ""  # PENDING, READY, IN_PROGRESS, COMPLETED
    stage: str = ""  # of one that is not completed: PENDING, RUNNING, PAUSED, HALTED [R]
    result: str = ""  # SUCCESSFUL, FAILED, ERROR, EXPIRED, STOPPED, NOT_RUN; SKIPPED, USER_ERROR, SYSTEM_ERROR [R]
    error: str = ""  # `result.error.message`: "Container 'Build' exceeded memory limit." [R]


class PipelineRun(NamedTuple):
    """A pipeline without its steps."""

    uuid: str = ""
    number: int | None = None
    state: str = ""  # PARSING, PENDING, IN_PROGRESS, COMPLETED
    stage: str = ""  # as a step's
    result: str = ""  # SUCCESSFUL, FAILED, ERROR, EXPIRED, STOPPED; "" while it is not completed
    error: str = ""  # as a step's; bad YAML, for one
    terminator: str = ""  # who pressed Stop, `result.terminator.display_name`; "" where nobody is named [R]
    ref_type: str = ""  # branch, tag, pullrequest; "" for a bare commit
    ref_name: str = ""  # of a pull request: its source branch
    pull_request: int | None = None
    destination: str = ""  # of a pull request: the branch that it is to be merged into
    selector_type: str = ""  # default, branches, tags, pull-requests, custom
    selector_pattern: str = ""  # of a custom pipeline: its name; "" for default
    commit: str = ""
    commit_message: str = ""  # whole, as sent
    commit_author: str = ""  # the name, without the address

    @property
    def selector(self) -> tuple[str, str]:
        return self.selector_type, self.selector_pattern


class FailedTests(NamedTuple):
    """What Bitbucket read from the test reports of one step; nothing where it read none."""

    total: int | None = None  # all tests, skipped ones too
    failed: int | None = None  # failures and errors
    cases: tuple[tuple[str, str, str], ...] = ()  # some of those that failed: suite, case, message, each as sent
