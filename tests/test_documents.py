"""What the pages say of the code is there: paths, names, excerpts."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SUFFIXES = ("cfg", "ini", "ipynb", "md", "npz", "png", "py", "toml", "txt", "typed", "yaml", "yml")
PATH = re.compile(rf"(?:[\w.*-]+/)*[\w.*-]+\.(?:{'|'.join(SUFFIXES)})|(?:[\w.*-]+/)+")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
EXCERPT = re.compile(r"<!-- [^\n]*an excerpt of (\S+) -->\n```python\n(.*?)\n```", re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def in_backticks(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def paths_of(page: Path) -> list[str]:
    return [word for word in in_backticks(page) if PATH.fullmatch(word)]


def exists(path: str, page: Path) -> bool:
    """Whether there is such a file or folder, at a place that the page may take for granted."""
    package = ROOT / "skprune"
    folders = [ROOT, package, package / "network", page.parent, ROOT / "examples"]
    folders += [path for path in package.glob("strategies/*/") if path.is_dir()]
    folders.append(package / "structures")
    return any(any(folder.glob(path.rstrip("/"))) for folder in folders)


@cache
def words_of_the_code() -> set[str]:
    files = [path for folder in ("skprune", "tests") for path in (ROOT / folder).rglob("*.py")]
    return {word for path in files for word in re.findall(r"\w+", path.read_text("utf-8"))}


def test_the_pages_are_found_and_mention_paths() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "CONTRIBUTING.md", "architecture.md"}
    paths = paths_of(ROOT / "docs" / "architecture.md")
    assert {"strategies/named.py", "tests/test_laws.py", "training/"} <= set(paths)
    assert not exists("strategies/pruning.py", PAGES[0])
    assert not exists("deployed/", PAGES[0])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_paths_that_a_page_mentions_exist(page: Path) -> None:
    assert [path for path in paths_of(page) if not exists(path, page)] == []


def test_the_names_that_the_architecture_mentions_are_in_the_code() -> None:
    page = ROOT / "docs" / "architecture.md"
    paths = paths_of(page)
    names = [word for word in in_backticks(page) if NAME.fullmatch(word) and word not in paths]
    assert len(names) > 50
    missing = {n for n in names if not set(n.split(".")) <= words_of_the_code()}
    assert missing == set()


def test_the_architecture_lists_every_part_of_the_package() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = "".join(line for line in page.splitlines() if line.startswith("| `"))
    for path in (ROOT / "skprune").iterdir():
        if path.is_dir() and (path / "__init__.py").exists():
            assert f"`{path.name}/`" in rows
        elif path.suffix == ".py" and path.name != "__init__.py":
            assert f"`{path.name}`" in rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_excerpts_are_what_the_file_says(page: Path) -> None:
    text = page.read_text("utf-8")
    found = EXCERPT.findall(text)
    assert len(found) == text.count("an excerpt of ")
    for path, excerpt in found:
        assert f"\n{excerpt}\n" in (ROOT / path).read_text("utf-8"), path


def test_the_architecture_has_excerpts() -> None:
    assert len(EXCERPT.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))) >= 5
