"""Which runs the variables keep out: pull requests, branches and tags that are to send nothing."""

from __future__ import annotations

from pipe.build import Build
from pipe.lib.globs import Glob
from pipe.settings import Settings


def kept_out(settings: Settings, build: Build) -> str:
    """Why this run sends nothing, whatever its result; an empty string where it may. What is not known keeps nothing
    back."""
    if build.is_pull_request and not settings.pull_requests:
        return "this is a pull-request run, and PULL_REQUESTS is false"
    branch = build.destination if build.is_pull_request else build.branch
    if branch and settings.branches and not _any_matches(settings.branches, branch):
        return f"branch {branch} is not among BRANCHES ({' '.join(settings.branches)})"
    if build.tag and settings.tags and not _any_matches(settings.tags, build.tag):
        return f"tag {build.tag} is not among TAGS ({' '.join(settings.tags)})"
    return ""


def _any_matches(patterns: tuple[str, ...], name: str) -> bool:
    return any(Glob(pattern).matches(name) for pattern in patterns)
