"""`make mutants`: changes the rules in small ways, one at a time, and lists the changes that no test notices.

mutmut (https://mutmut.readthedocs.io) makes the mutants, in a copy of the tree. Which modules and tests take part is in
`pyproject.toml`; which mutants may live, and why, in `docs/mutants.md`. Arguments are names of mutants to run alone, as
`make mutants ONLY='pipe.subject.*'` gives them: then nothing is judged.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXPLANATIONS = ROOT / "docs" / "mutants.md"
LEAST_SCORE = 95.0  # percent, of all modules together
WITHOUT_SURVIVORS = ("decision", "ownership", "placement", "subject")  # but for those that are explained
NOTICED = ("killed", "timeout")

# - `function`: `the line` → `what the mutant makes of it`. Why nothing tells them apart.
_EXPLANATION = re.compile(r"- `(?P<function>[^`]+)`: (`+) ?(?P<line>.+?) ?\2 → (`+) ?(?P<mutant>.+?) ?\4\. (?P<why>.+)")


@dataclass(frozen=True)
class Mutant:
    module: str
    function: str
    line: str  # the lines that are changed, joined
    mutant: str  # what they become
    status: str  # mutmut's word

    def __str__(self) -> str:
        status = "" if self.status == "survived" else f" ({self.status})"
        return f"pipe/{self.module}.py, {self.function}{status}\n  - {self.line}\n  + {self.mutant or '(nothing)'}"


@dataclass(frozen=True)
class Explanation:
    """Why a mutant may live. A `…` in `mutant` stands for anything."""

    module: str
    function: str
    line: str
    mutant: str
    why: str

    def fits(self, one: Mutant) -> bool:
        same_place = (self.module, self.function, self.line) == (one.module, one.function, one.line)
        return (
            same_place
            and re.fullmatch(re.escape(self.mutant).replace("…", ".*"), one.mutant or "(nothing)") is not None
        )


def main(only: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        _copy(tree)
        _run(tree, only)
        mutants = list(_results(tree))
    explanations = list(_explanations(EXPLANATIONS.read_text()))
    if only:
        mutants = [one for one in mutants if one.status != "not checked"]
    lived = [one for one in mutants if one.status not in NOTICED]
    unexplained = [one for one in lived if not any(explanation.fits(one) for explanation in explanations)]
    _print_table(mutants, lived, unexplained)
    for one in unexplained:
        print(one)
    if only:
        return 0
    for stale in (one for one in explanations if not any(map(one.fits, lived))):
        print(f"docs/mutants.md explains what does not live: {stale.module}, {stale.function}: {stale.mutant}")
    held = [one for one in unexplained if one.module in WITHOUT_SURVIVORS]
    return 1 if held or _score(mutants, lived) < LEAST_SCORE else 0


def _copy(tree: Path) -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    for name in ("pyproject.toml", *config["source_paths"], *config["also_copy"]):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    for name in config["only_mutate"]:
        (tree / name).write_text(_with_plain_properties((tree / name).read_text()))


def _with_plain_properties(source: str) -> str:
    """The same module with `name = property(name)` behind each property: mutmut passes over what is decorated, and half
    of the key's rules are properties."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and [ast.unparse(one) for one in node.decorator_list] == ["property"]:
            indent = " " * node.col_offset
            lines[node.decorator_list[0].lineno - 1] = ""
            lines[(node.end_lineno or 0) - 1] += f"\n\n{indent}{node.name} = property({node.name})"
    return "\n".join(lines) + "\n"


def _run(tree: Path, only: list[str]) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(os.cpu_count() or 1), *only]
    shown = None if sys.stdout.isatty() else subprocess.PIPE
    done = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "CI": "true"},
        stdout=shown,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{(done.stdout or '')[-5000:]}\nmutmut ended with {done.returncode}.")


def _results(tree: Path) -> Iterator[Mutant]:
    os.chdir(tree)  # where mutmut reads its configuration, when it is imported
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.stats import status_by_exit_code

    for path in sorted(Path("mutants/pipe").rglob("*.py.meta")):
        source = path.relative_to("mutants").with_suffix("")
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            status, line, mutant = status_by_exit_code[code], "", ""
            if status not in NOTICED:
                diff = get_diff_for_mutant(name, path=source).split("\n")[2:]
                line, mutant = (_joined(diff, sign) for sign in "-+")
            yield Mutant(source.stem, _function(name), line, mutant, status)
    os.chdir(ROOT)


def _joined(diff: list[str], sign: str) -> str:
    return " ".join(" ".join(line[1:] for line in diff if line.startswith(sign)).split())


def _function(name: str) -> str:
    """`pipe.subject.xǁSubjectǁkey__mutmut_1` → `Subject.key`; `pipe.subject.x__fitted__mutmut_1` → `_fitted`."""
    mangled = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    return mangled.removeprefix("xǁ").replace("ǁ", ".") if mangled.startswith("xǁ") else mangled.removeprefix("x_")


def _explanations(text: str) -> Iterator[Explanation]:
    module = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            module = line.removeprefix("## ").strip()
        elif line.startswith("- `"):
            found = _EXPLANATION.fullmatch(line)
            if not found:
                sys.exit(f"docs/mutants.md:{number}: not in the form - `function`: `line` → `mutant`. Why.")
            yield Explanation(module, found["function"], found["line"], found["mutant"], found["why"])


def _score(mutants: list[Mutant], lived: list[Mutant]) -> float:
    return 100 * (len(mutants) - len(lived)) / len(mutants) if mutants else 0.0


def _print_table(mutants: list[Mutant], lived: list[Mutant], unexplained: list[Mutant]) -> None:
    print(f"{'module':<16}{'mutants':>8}{'killed':>8}{'timeout':>8}{'explained':>10}{'alive':>7}{'score':>9}")
    for module in [*sorted({one.module for one in mutants}), "all"]:
        made, living, left = (
            [one for one in some if module in (one.module, "all")] for some in (mutants, lived, unexplained)
        )
        timeouts = sum(one.status == "timeout" for one in made)
        killed, explained = len(made) - len(living) - timeouts, len(living) - len(left)
        score = f"{_score(made, living):.1f} %"
        print(f"{module:<16}{len(made):>8}{killed:>8}{timeouts:>8}{explained:>10}{len(left):>7}{score:>9}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
