"""Each page's Python snippets run, one after the other, as a reader would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.examples.common import ROOT

# A snippet that needs what the tests lack says so in the page, in the line before it.
NOT_RUN = re.compile(r"<!-- not run in the tests: .+ -->")
# A package may warn of itself.
WARNINGS = [
    "error",
    "ignore:OptunaSearchCV is experimental",
    "ignore:`optuna.terminator` module has been deprecated",
]
SLOW = {"README.md", "how-to-refit-rules.md"}


def program(page: str) -> str:
    """The page's snippets as one program, each in the lines that it has in the page."""
    lines: list[str] = []
    inside = runs = False
    before = ""
    for line in page.splitlines():
        if inside and line == "```":
            inside = False
        elif inside:
            lines.append(line if runs else "")
            continue
        elif line == "```python":
            inside, runs = True, NOT_RUN.fullmatch(before) is None
        before = line
        lines.append("")
    return "\n".join(lines)


def pages() -> list[Path]:
    return [
        page
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        if program(page.read_text(encoding="utf-8")).strip()
    ]


def run_page(page: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = folder / f"{page.stem.replace('-', '_')}.py"
    script.write_text(program(page.read_text(encoding="utf-8")), encoding="utf-8")
    return subprocess.run(
        [sys.executable, *(f"-W{warning}" for warning in WARNINGS), script],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "MPLBACKEND": "agg",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])
        for page in pages()
    ],
)
def test_the_snippets_of_a_page_run(page, tmp_path):
    run = run_page(page, tmp_path)
    assert run.returncode == 0, run.stderr
    if page.name == "README.md":
        assert re.search(r"^total +7,400 -> 7[34]\d ", run.stdout, re.M)
        accuracies = [float(a) for a in re.findall(r"^0\.\d+$", run.stdout, re.M)]
        assert len(accuracies) == 2
        assert min(accuracies) > 0.9


def test_snippets_keep_their_lines_and_what_is_not_run_is_left_out():
    page = "\n".join(
        [
            "Text.",
            "```python",
            "a = 1",
            "```",
            "<!-- not run in the tests: needs a cluster -->",
            "```python",
            "b = 2",
            "```",
            "```shell",
            "ls",
            "```",
            "```python",
            "c = 3",
            "```",
        ]
    )
    lines = program(page).splitlines()
    assert {number: line for number, line in enumerate(lines, start=1) if line} == {
        3: "a = 1",
        13: "c = 3",
    }
