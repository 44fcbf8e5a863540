"""Hooks of the documentation site: pages outside docs/, links to them, and the navigation."""

import os
import re
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Protocol

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs/"
OUTSIDE = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "benchmarks/RESULTS.md",
)
"""Pages of the repository that the site shows besides those in docs/."""

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s#]+)(#[^)]*)?\)")


Section = dict[str, "str | list[Section]"]


class _Config(Protocol):
    nav: list[Section]


class _Files(Protocol):
    def append(self, file: object) -> None: ...


class _File(Protocol):
    src_uri: str


class _Page(Protocol):
    file: _File


def on_config(config: _Config) -> _Config:
    """Make the navigation from the headings and links of docs/index.md."""
    config.nav = navigation((ROOT / DOCS / "index.md").read_text(encoding="utf-8"))
    return config


def on_files(files: _Files, config: _Config) -> _Files:
    """Add the pages that are not in docs/."""
    generated = import_module("mkdocs.structure.files").File.generated
    for page in OUTSIDE:
        files.append(generated(config, _on_site(page), abs_src_path=str(ROOT / page)))
    return files


def on_page_markdown(markdown: str, page: _Page, **_: object) -> str:
    """Turn links within the repository into links within the site."""
    return relinked(markdown, page.file.src_uri)


def navigation(index: str) -> list[Section]:
    """Return a section for each second-level heading, with a page for each link below it."""
    sections: list[Section] = [{"Overview": "index.md"}]
    for part in index.split("\n## ")[1:]:
        links: list[Section] = [
            {title: _on_site(_repository_path(target, "docs/index.md"))}
            for title, target, _ in _LINK.findall(part)
        ]
        sections.append({part.partition("\n")[0]: links})
    return sections


def relinked(markdown: str, page: str) -> str:
    """Return a page with its links as the site has them; a link to a file that is no page becomes text.

    Parameters
    ----------
    markdown : str
        The page as it is in the repository.
    page : str
        Its path on the site.
    """
    source = next((it for it in OUTSIDE if _on_site(it) == page), DOCS + page)

    def link(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        path = _repository_path(target, source)
        if re.match(r"\w+:", target) or not (ROOT / path).exists():
            return match[0]  # on the internet, or dead: then the build fails
        if path == "docs/decisions":
            path, anchor = "docs/index.md", "#decisions"
        if not (path in OUTSIDE or path.startswith(DOCS)):
            return text
        return f"[{text}]({os.path.relpath(_on_site(path), PurePosixPath(page).parent)}{anchor or ''})"

    return _LINK.sub(link, markdown)


def _repository_path(target: str, source: str) -> str:
    """Return the path, from the root of the repository, that a link on a page leads to."""
    return os.path.normpath(PurePosixPath(source).parent / target)


def _on_site(path: str) -> str:
    """Return where the site has a page; the site's own index is docs/index.md, so README.md makes way."""
    return {"README.md": "readme.md", "benchmarks/README.md": "benchmarks/overview.md"}.get(
        path, path.removeprefix(DOCS)
    )
