"""Where `python3 pagerduty-events.pyz` begins: the archive and the standard library are on the path, nothing else."""

import os
import runpy
import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("✖ Python 3.11 or newer is needed, this is %d.%d. Nothing was sent." % sys.version_info[:2])  # noqa: UP031

# What the job has installed, or lies in its PYTHONPATH, is somebody else's code.
others = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
sys.path[1:] = [
    path
    for path in sys.path[1:]
    if os.path.abspath(path) not in others and os.path.basename(path) not in ("site-packages", "dist-packages")
]
runpy.run_module("pipe", run_name="__main__", alter_sys=True)
