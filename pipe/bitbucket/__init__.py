"""What Bitbucket's REST API says of pipelines, read only: the client fetches, others judge.

Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/ [D]
"""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from bitbucket_pipes_toolkit import TokenAuth
from requests.auth import AuthBase, HTTPBasicAuth

from pipe.bitbucket import answers
from pipe.bitbucket.api import Api
from pipe.bitbucket.runs import FailedTests, PipelineRun, StepRun
from pipe.bitbucket.unreadable import CHECK_WHO_ANSWERS, TRY_LATER, Unreadable
from pipe.lib import http, wall
from pipe.settings import Settings

__all__ = ["BUDGET_SECONDS", "Bitbucket", "Connect", "FailedTests", "PipelineRun", "StepRun", "Unreadable"]

BUDGET_SECONDS = 15.0  # for all that one Bitbucket object is asked, retries and waits included
ATTEMPT_SECONDS = 7.0  # for one question, so that a second attempt fits into the budget
LEAST_SECONDS = 0.05  # with less left, nothing is asked
LONGEST_WAIT_SECONDS = 2.0  # between two attempts, unless Retry-After asks for more
MAX_BUILDS = 60
MAX_TESTS = 20
MAX_LOG_BYTES = 64 * 1024
CHECK_NETWORK = http.CHECK_NETWORK.format(address="BITBUCKET_API_URL")
UNREAD = "Bitbucket's answer could not be read"
# Left out of an answer unless asked for: seen so in lists [R], by the same syntax of one pipeline [?].
COMMIT = "+target.commit.message,+target.commit.author"

T = TypeVar("T")
Run = TypeVar("Run", PipelineRun, StepRun)


class Bitbucket:
    """One repository's pipelines, within one budget of time. Every method is one question behind the wall, and raises
    Unreadable and nothing else."""

    def __init__(self, settings: Settings, repository: str, seconds: float, log: Callable[[str], None]) -> None:
        """With an access token as Bearer, else a scoped API token as Basic `email:token`. `repository` is
        `workspace/slug`; `seconds` from now are the budget; `log` takes a line for each retry."""
        self._base_url, self._repository, self._log = settings.bitbucket_api_url, repository, log
        self._auth: AuthBase = HTTPBasicAuth(settings.atlassian_account_email, settings.atlassian_api_token)
        if settings.bitbucket_access_token:
            self._auth = TokenAuth(settings.bitbucket_access_token)
        self._conceal = settings.mask.text  # names of refs and pipelines go into keys
        self._deadline = time.monotonic() + seconds

    @property
    def time_left(self) -> float:
        """Seconds of the budget, never less than 0."""
        return max(0.0, self._deadline - time.monotonic())

    def pipeline(self, uuid: str) -> PipelineRun:
        """The pipeline as it stands, with its commit."""
        path = f"pipelines/{_segment(uuid)}"
        return self._ask(
            lambda api: answers.pipeline_run(api.get(path, {"fields": COMMIT})),
            lambda row: self._run(PipelineRun, row),
        )

    def steps(self, pipeline_uuid: str) -> tuple[StepRun, ...]:
        """All steps of the pipeline, as they stand, in Bitbucket's order."""
        path = f"pipelines/{_segment(pipeline_uuid)}/steps"
        return self._ask(
            lambda api: [answers.step_run(item) for item in api.pages(path, {"pagelen": "100"})],
            lambda rows: tuple(self._run(StepRun, row) for row in rows),
        )

    def builds(self, branch: str = "") -> tuple[PipelineRun, ...]:
        """The repository's newest pipelines, newest first, at most MAX_BUILDS of them, by one request. Those of one
        branch where one is given [D]; what comes is compared all the same."""
        query = {"sort": "-created_on", "pagelen": str(MAX_BUILDS)} | ({"target.branch": branch} if branch else {})
        return self._ask(
            lambda api: answers.pipeline_runs(api.values("pipelines", query)),
            lambda rows: tuple(self._run(PipelineRun, row) for row in rows[:MAX_BUILDS]),
        )

    def log_tail(self, pipeline_uuid: str, step_uuid: str, size: int = MAX_LOG_BYTES) -> tuple[bytes, bool]:
        """The last `size` bytes of a step's log, and whether something stands before them."""
        path = f"pipelines/{_segment(pipeline_uuid)}/steps/{_segment(step_uuid)}/log"

        def tail(api: Api) -> tuple[str, bool]:
            end, cut = api.log_tail(path, size)
            return base64.b64encode(end).decode(), cut

        return self._ask(tail, lambda found: (base64.b64decode(found[0]), bool(found[1])))

    def failed_tests(self, pipeline_uuid: str, step_uuid: str) -> FailedTests:
        """What Bitbucket read from the step's test reports, with at most MAX_TESTS of the tests that failed."""
        path = f"pipelines/{_segment(pipeline_uuid)}/steps/{_segment(step_uuid)}/test_reports"
        return self._ask(
            lambda api: answers.failed_tests(*api.failed_tests(path, MAX_TESTS)),
            lambda row: FailedTests(row[0], row[1], tuple((str(a), str(b), str(c)) for a, b, c in row[2])),
        )

    def _run(self, kind: type[Run], row: list[Any]) -> Run:
        """Made of what came from behind the wall, with every field of the type that it has."""
        for value, default in zip(row, kind._field_defaults.values(), strict=True):
            if not isinstance(value, (int, type(None)) if default is None else str):
                raise TypeError
        return kind._make(self._conceal(value) if isinstance(value, str) else value for value in row)

    def _ask(self, question: Callable[[Api], object], arrived: Callable[[Any], T]) -> T:
        """What `arrived` makes of what the question brings from behind the wall; asked again while that may help."""
        before = None
        for attempt in itertools.count(1):
            try:
                return arrived(self._answer(question))
            except Unreadable as trouble:
                if before and self.time_left < LEAST_SECONDS:
                    raise before from None  # it says more than that the time is over
                said, before = before and before.reason, trouble
                pause = http.backoff(attempt, LONGEST_WAIT_SECONDS, trouble.after)
                if not trouble.temporary or pause + LEAST_SECONDS > self.time_left:
                    raise
                if trouble.reason != said:
                    self._log(f"{trouble.reason}; asking again for up to {self.time_left:.0f} s.")
            except (TypeError, ValueError, LookupError):
                raise Unreadable(f"{UNREAD}: it makes no sense", CHECK_WHO_ANSWERS) from None
            time.sleep(pause)
        raise AssertionError("unreachable")

    def _answer(self, question: Callable[[Api], object]) -> Any:
        seconds = min(ATTEMPT_SECONDS, self.time_left)
        if seconds < LEAST_SECONDS:
            raise Unreadable("the time for reading Bitbucket's API is over", TRY_LATER)
        api = Api(self._base_url, self._auth, self._repository, seconds, self._conceal)
        began = time.monotonic()
        try:
            return wall.ask(lambda: question(api), seconds=seconds)
        except wall.Unread as error:
            if error.details:
                raise Unreadable(str(error), **error.details) from None
            if time.monotonic() - began >= seconds:
                raise Unreadable("Bitbucket's API: no whole answer in time", CHECK_NETWORK, temporary=True) from None
            raise Unreadable(f"{UNREAD}: {error}", CHECK_WHO_ANSWERS) from None


Connect = Callable[[float], Bitbucket]  # with a budget of so many seconds


def _segment(uuid: str) -> str:
    """Bitbucket wants the braces, and wants them percent-encoded [D]."""
    bare = uuid.strip().strip("{}")
    if not bare:  # without it, the path would be that of the list
        where = "Run the pipe in Bitbucket Pipelines; told of another pipeline, map BITBUCKET_TRIGGER_PIPELINE_UUID."
        raise Unreadable("the UUID of the pipeline or the step is not known", where)
    return quote(f"{{{bare}}}", safe="")
