"""Tells what a run of the pipe came to, in a line or two."""

from __future__ import annotations

from collections.abc import Iterator

from tests.histories.sighting import Sighting

INDENT = "      "


def tell_outcome(sighting: Sighting) -> Iterator[str]:
    yield f"    {sighting.label}: {' '.join(sighting.said.log)}"
    for alert in sighting.opened:
        yield f'{INDENT}-> new alert {alert.key[1]}, resolves: "{alert.resolves}"'
    for alert in sighting.merged_into:
        yield f"{INDENT}-> swallowed by {alert.key[1]}"
    for alert in sighting.closed:
        yield f"{INDENT}-> resolved {alert.key[1]}"
