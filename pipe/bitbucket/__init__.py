"""What Bitbucket's REST API says of a pipeline, read only: its steps, newer builds of the same ref, a step's log.

Nothing is judged here; `outcome.py` does that.
Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pipelines/ [D]
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from requests.auth import AuthBase

from pipe.bitbucket.http import Api, credentials
from pipe.bitbucket.runs import PipelineRun, StepRun, bare, pipeline_run
from pipe.bitbucket.unreadable import Unreadable, strange
from pipe.build import Build
from pipe.variables import Settings

__all__ = ["BUDGET", "Bitbucket", "NewerBuild", "PipelineRun", "StepRun", "Unreadable", "connect", "credentials"]

BUDGET = 15.0  # seconds for reading a pipeline's result, retries and waits included
SITE = "https://bitbucket.org"
PAUSE = 1.0  # seconds before the second look at unfinished steps; each further pause is that much longer
RESERVE = 2.0  # seconds of the budget that waiting leaves for what is asked after it
STEP_PAGES = 5  # of 100; a pipeline has at most 100 steps [D], earlier runs may come on top [?]
BUILD_PAGES = 3  # of 50; newest first, so that the first one nearly always suffices
TAIL = 64 * 1024  # bytes of a log


@dataclass(frozen=True)
class NewerBuild:
    """A finished build of the same ref and selector that is newer than this one."""

    number: int
    result: str  # as in PipelineRun
    url: str  # the page that a person looks at


class Bitbucket:
    """One reading of the API with one budget. Every method may raise Unreadable, and nothing else."""

    def __init__(
        self, base_url: str, auth: AuthBase | None, workspace_repo: str, *, deadline: float, log: Callable[[str], None]
    ) -> None:
        """`deadline` is a moment of `time.monotonic()`; nothing here outlasts it, retries and waits included."""
        self._api = Api(base_url, auth, deadline=deadline, log=log)
        self._repository = workspace_repo
        self._log = log
        self._wait_until = deadline - min(RESERVE, 0.15 * max(0.0, deadline - time.monotonic()))

    def pipeline_run(
        self, pipeline_uuid: str, own_step_uuid: str, *, wait: bool | Callable[[PipelineRun], bool] = True
    ) -> PipelineRun:
        """The pipeline once its other steps have finished, or as it stands when the time to wait is over.

        `wait` may be a question instead, asked of each look that shows unfinished steps: can waiting change anything?
        """
        path = self._path(f"pipelines/{_segment(pipeline_uuid, 'BITBUCKET_PIPELINE_UUID')}")
        pause, run = 0.0, None
        while True:
            try:
                found = self._api.object(path)
                pages = self._api.pages(f"{path}/steps", {"pagelen": "100"}, STEP_PAGES)
                run = pipeline_run(found, [item for page in pages for item in page], own_step_uuid)
            except Unreadable as trouble:
                if not run:
                    raise
                self._log(f"{trouble.reason}; going by what Bitbucket said before")
                return run
            if not (run.waiting and (wait(run) if callable(wait) else wait)):
                return run
            pause = min(pause + PAUSE, self._wait_until - time.monotonic())
            if pause < PAUSE / 4:
                return run
            count = sum(step.unfinished for step in run.steps)
            self._log(f"{count} other step{'s' * (count > 1)} not finished yet, looking again in {pause:.1f} s")
            time.sleep(pause)

    def newer_finished_build(self, run: PipelineRun) -> NewerBuild | None:
        """The newest finished build of the same ref and selector that is newer than `run`; None where there is none.

        One that a person stopped is passed over: it speaks neither for nor against what came before it.
        """
        if not run.ref_name:
            return None
        if run.number is None:
            raise strange("a pipeline without a build number")
        query = {"sort": "-created_on", "pagelen": "50"}
        if run.ref_type == "branch":
            query["target.branch"] = run.ref_name  # [D]; what comes back is compared all the same
        for page in self._api.pages(self._path("pipelines"), query, BUILD_PAGES):
            builds = [pipeline_run(item, []) for item in page]
            newer = [build for build in builds if build.number is not None and build.number > run.number]
            finished = [build for build in newer if build.check == run.check and build.result and not build.stopped_by]
            if finished:
                newest = max(finished, key=lambda build: build.number or 0)
                url = f"{SITE}/{quote(self._repository)}/pipelines/results/{newest.number}"
                return NewerBuild(newest.number or 0, newest.result, url)
            if len(newer) < len(builds):
                return None
        return None

    def log_tail(self, pipeline_uuid: str, step_uuid: str, size: int = TAIL) -> tuple[bytes, bool]:
        """The last `size` bytes of a step's log, and whether something stands before them.

        Fetched by range [D]. While the step runs, the API itself serves the log; later it redirects to storage (307)
        [D], which must not see the token. An `Accept: application/json` would be answered with 406 here [R].
        """
        pipeline = _segment(pipeline_uuid, "BITBUCKET_PIPELINE_UUID")
        path = self._path(f"pipelines/{pipeline}/steps/{_segment(step_uuid, 'the uuid of the step')}/log")
        size = max(1, size)
        answer = self._api.raw(path, {"Range": f"bytes=-{size}"}, {200, 206, 416})
        if answer.status == 416:  # the last bytes of nothing
            return b"", False
        if answer.status == 206:
            span = re.fullmatch(r"\s*bytes\s+(\d+)-(\d+)/(\d+)\s*", answer.headers.get("Content-Range", ""))
            if not span or int(span[2]) + 1 != int(span[3]):
                raise strange("another part of the log than its end")
            if int(span[1]) > 0:
                return answer.body[-size:], True
        return answer.body[-size:], len(answer.body) > size  # the whole log: it is short, or ranges are not known there

    def _path(self, path: str) -> str:
        workspace, _, slug = self._repository.partition("/")
        if not workspace.strip(" .") or not slug.strip(" .") or "/" in slug:
            raise Unreadable("the repository is not known", "Set BITBUCKET_REPO_FULL_NAME to workspace/repository")
        return f"repositories/{quote(workspace, safe='')}/{quote(slug, safe='')}/{path}"


def connect(settings: Settings, build: Build, deadline: float, log: Callable[[str], None]) -> Bitbucket:
    """A session with the credentials of the settings, for the build's repository."""
    auth = credentials(settings.bitbucket_access_token, settings.atlassian_account_email, settings.atlassian_api_token)
    return Bitbucket(settings.bitbucket_api_url, auth, build.repository, deadline=deadline, log=log)


def _segment(uuid: str, what: str) -> str:
    """Bitbucket wants the braces, and wants them percent-encoded [D]."""
    if not bare(uuid):
        raise Unreadable(f"{what} is not known", "Run the pipe in Bitbucket Pipelines, or without a token")
    return quote(f"{{{bare(uuid)}}}", safe="")
