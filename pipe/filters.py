"""Which runs the variables keep out: pull requests, branches and tags that are to send nothing."""

from __future__ import annotations

from pipe.build import Build
from pipe.globs import matches
from pipe.variables import Settings


def kept_out(settings: Settings, build: Build) -> str:
    """Why this run sends nothing, whatever its result; an empty string where it may."""
    if build.pull_request and not settings.pull_requests:
        return "Nothing is sent: this is a pull-request run, and PULL_REQUESTS is false."
    branch = build.destination if build.pull_request else build.branch
    if branch and settings.branches and not matches(branch, settings.branches):
        return f"Nothing is sent: branch {branch} is not among BRANCHES ({' '.join(settings.branches)})."
    if build.tag and settings.tags and not matches(build.tag, settings.tags):
        return f"Nothing is sent: tag {build.tag} is not among TAGS ({' '.join(settings.tags)})."
    return ""
