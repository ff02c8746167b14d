"""Bitbucket's glob patterns: `*` stops at `/`, `**` does not, `{a,b}` alternates.

Source: "Use glob patterns on the Pipelines yaml file" in Bitbucket Cloud's documentation.
"""

from __future__ import annotations

import re
from functools import lru_cache

# A `**` that shares its path segment with other characters (`release-**`): Bitbucket lets it cross slashes too,
# the library only does where it stands alone.
_GLUED = re.compile(r"(?<=[^/])\*\*|\*\*(?=[^/])")


@lru_cache
def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether any pattern matches the whole name, case-sensitively.

    A pattern that cannot be read (`{1..100000}`) matches everything: it must not keep a page back, nor hide another
    step that pages under the same key.
    """
    if name in patterns:
        return True
    if not any(set("*?[{\\") & set(pattern) for pattern in patterns):
        return False

    from wcmatch import glob  # 10 ms of import that most runs do without

    flags = glob.GLOBSTAR | glob.BRACE | glob.DOTGLOB | glob.CASE | glob.FORCEUNIX
    try:
        return glob.globmatch(name, [_GLUED.sub("{*,*/**/*}", pattern) for pattern in patterns], flags=flags)
    except Exception:  # the library does not export the error it raises past 1 000 alternatives
        return True
