"""Lay out what the image adds to its base: the pipe and its libraries as bytecode, and bytecode for the base's modules.

    python lay_out.py INSTALLED BASE OUT

INSTALLED is pip's target directory, BASE a copy of the runtime's standard library (it comes without bytecode, which
would be made anew at every start), OUT becomes the image's file system. Nothing here runs in the image.
"""

from __future__ import annotations

import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

LIBRARY = Path("opt/pipe")
STANDARD = Path(f"usr/lib/python3.{sys.version_info.minor}")
ROOTS = "/etc/ssl/certs/ca-certificates.crt"  # the base's own certificates, in place of a second copy

# What the pipe never imports: test suites, other transports, other platforms, compiled variants of pure modules, and
# charset_normalizer, without which requests does not guess the encoding of answers; nobody here asks it to.
LEFT_OUT = (
    "*/tests",
    "_yaml",
    "bin",
    "bitbucket_pipes_toolkit/test.py",
    "cerberus/benchmarks",
    "charset_normalizer*",
    "idna/cli.py",
    "urllib3/contrib/emscripten",
    "urllib3/contrib/pyopenssl.py",
    "urllib3/contrib/socks.py",
)
# Reading one commit takes these of dulwich; all of it would be 8 MB more.
KEPT_OF_DULWICH = (
    "__init__", "_typing", "errors", "file", "lru_cache", "midx", "object_format", "object_store", "objects", "pack",
    "protocol", "refs",
)  # fmt: skip
# cerberus reads its rules' schemas from docstrings, and a dataclass without one has it made at every start, which takes
# longer than all else in the pipe's own modules; everything else does without docstrings and asserts.
NEEDS_DOCSTRINGS = ("cerberus", "pipe")

# Prints the standard library's modules that any run of the pipe may import.
PROBE = """
import sys
import pipe.__main__, pipe.evidence.commit, pipe.evidence.reports, dulwich.object_store, yaml
import encodings.cp1252, encodings.idna, encodings.iso8859_15, encodings.utf_8_sig, netrc, xml.parsers.expat
for name, module in sorted(sys.modules.items()):
    if getattr(module, "__file__", None) and module.__spec__ and module.__spec__.origin != "frozen":
        print(name)
"""


def main(installed: Path, base: Path, out: Path) -> None:
    leave_out(installed)
    probe = subprocess.run(
        [sys.executable, "-S", "-c", PROBE],
        env={"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    )
    for source in sorted(installed.rglob("*.py")):
        relative = source.relative_to(installed)
        compiled(source, out / LIBRARY / relative.with_suffix(".pyc"), f"/{LIBRARY}/{relative}")
    for kept in ("*.dist-info/licenses/**/*", "*.dist-info/LICENSE*", "*.dist-info/METADATA"):
        for path in filter(Path.is_file, installed.glob(kept)):
            target = out / LIBRARY / path.relative_to(installed)
            target.parent.mkdir(parents=True, exist_ok=True)
            # of the metadata its headers, which scanners read, without the whole README behind them
            text = path.read_text()
            target.write_text(text.split("\n\n")[0] + "\n" if path.name == "METADATA" else text)
    (out / LIBRARY / "certifi").mkdir(exist_ok=True)
    (out / LIBRARY / "certifi/cacert.pem").symlink_to(ROOTS)
    for name in probe.stdout.split():
        module = base.joinpath(*name.split("."))
        source = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
        if source.exists():
            relative = source.relative_to(base)
            cache = (
                out / STANDARD / relative.parent / "__pycache__" / f"{relative.stem}.{sys.implementation.cache_tag}.pyc"
            )
            compiled(source, cache, f"/{STANDARD}/{relative}")


def leave_out(installed: Path) -> None:
    """Remove from pip's target directory what the pipe never imports."""
    for pattern in LEFT_OUT:
        for path in installed.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (installed / "dulwich").iterdir():
        if path.stem not in KEPT_OF_DULWICH:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def compiled(source: Path, target: Path, shown: str) -> None:
    """Bytecode that Python takes as it is: the image's sources cannot change under it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    py_compile.compile(
        str(source), str(target), shown, doraise=True,
        optimize=0 if shown.split("/")[3] in NEEDS_DOCSTRINGS else 2,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )  # fmt: skip


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
