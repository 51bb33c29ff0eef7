"""Hooks of mkdocs: documents outside of docs/ become pages, and links are those of the repository."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath

from mkdocs.structure.files import File

REPOSITORY = Path(__file__).resolve().parents[2]
# Documents outside of docs/, and their pages.
OUTSIDE = {
    "analytics/README.md": "analytics.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def on_files(files, config):
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(REPOSITORY / path).read_text()))
    return files


def nested(group):
    """The pages of a part of the menu."""
    [entry] = group.values()
    return [group] if isinstance(entry, str) else entry


def on_page_markdown(markdown, page, config, files):
    source = next((path for path, name in OUTSIDE.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")

    # Menu titles instead of file names.
    titles = {file: title for group in config.nav for entry in nested(group) for title, file in entry.items()}

    def link(found):
        text, target, anchor = found[1], found[2], found[3] or ""
        if text == target:
            text = titles.get(OUTSIDE.get(target, target), text)
        if not target or "://" in target or target.startswith("mailto:"):
            return found[0]
        path = normpath(PurePosixPath(source).parent / target)
        if path in OUTSIDE:
            return f"[{text}]({OUTSIDE[path]}{anchor})"
        if path == "README.md":
            return f"[{text}](index.md)"
        if path.startswith("docs/"):
            return f"[{text}]({path.removeprefix('docs/')}{anchor})"
        if not (REPOSITORY / path).exists():
            raise ValueError(f"{source}: {target} does not exist")
        # A file of the repository that the site does not have.
        repository = config.extra["repository"]
        return f"[{text}]({repository}/blob/main/{path}{anchor})" if repository else text

    # Airbyte's own site understands this tag; a page inside a summary needs the attribute.
    markdown = re.sub(r"</?HideInUI>", "", markdown).replace("<details>", "<details markdown>")
    return LINK.sub(link, markdown)
