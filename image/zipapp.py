"""Make the single file: the pipe and its libraries in one archive that any Python from 3.11 on runs, on any system.

    python image/zipapp.py pagerduty-events.pyz

The libraries are those of requirements/image.txt, by hash, as pip installs them here; what is compiled for one platform
is left out, and so is what the image leaves out. Beside each source lies bytecode, for the Python that makes the file:
any other one compiles the sources at every start. The same sources give the same file.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lay_out import compiled, leave_out

ROOT = Path(__file__).parent.parent
KEPT = (".py", ".pyc", ".pem")
SHEBANG = b"#!/usr/bin/env python3\n"
NO_TIME = (1980, 1, 1, 0, 0, 0)


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        install(tree, Path(folder, "requirements.txt"))
        shutil.copytree(ROOT / "pipe", tree / "pipe", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "image/single_file/__main__.py", tree)
        shutil.copy(ROOT / "image/single_file/certifi.py", tree / "certifi/__init__.py")
        shutil.copy(ROOT / "LICENSE", tree)
        for source in tree.rglob("*.py"):
            compiled(source, source.with_suffix(".pyc"), f"/opt/pipe/{source.relative_to(tree)}")
        with target.open("wb") as file:
            file.write(SHEBANG)
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
                for path in sorted(filter(Path.is_file, tree.rglob("*"))):
                    relative = path.relative_to(tree)
                    if (
                        path.suffix in KEPT
                        or "licenses" in relative.parts
                        or path.name.startswith(("LICENSE", "METADATA"))
                    ):
                        member = zipfile.ZipInfo(str(relative), NO_TIME)
                        member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                        archive.writestr(member, path.read_bytes())
    target.chmod(0o755)


def install(tree: Path, requirements: Path) -> None:
    """All of the lock, also what only another Python needs."""
    requirements.write_text(re.sub(r" ;[^\\\n]*", " ", (ROOT / "requirements/image.txt").read_text()))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action",
        "ignore",
    ]
    subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "--no-compile", "--target", tree, "-r", requirements], check=True
    )
    leave_out(tree)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
