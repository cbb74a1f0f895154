"""Write docs/reference/settings.md from post_office/conf.py: each key, its default, its comment."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "post_office" / "conf.py"
PAGE = ROOT / "docs" / "reference" / "settings.md"

HEAD = """# Settings

Keys of the dict `POST_OFFICE` in your settings. All are optional, and read when they are needed, so a
changed setting is a changed behaviour at once. This page is made from `post_office/conf.py` by
`python docs/make_settings.py`.

```python
POST_OFFICE = {
    "BACKENDS": {"default": "smtp"},
    "MAX_RETRIES": 5,
}
```

Outside this dict: `POST_OFFICE_CACHE = False` or `POST_OFFICE_TEMPLATE_CACHE = False` turn the cache of
templates off, and a cache named `post_office` in `CACHES` is used for it where there is one.
"""


def page() -> str:
    """Return the page as it should be."""
    source = SOURCE.read_text()
    lines = source.splitlines()
    tree = ast.parse(source)
    settings = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    sections = [
        _section(node, lines) for node in settings.body if isinstance(node, ast.AnnAssign) and node.value
    ]
    return "\n".join([HEAD, *sections])


def _section(node: ast.AnnAssign, lines: list[str]) -> str:
    assert isinstance(node.target, ast.Name)
    assert node.value is not None
    comment: list[str] = []
    number = node.lineno - 2
    while lines[number].strip().startswith("#"):
        comment.insert(0, lines[number].strip().removeprefix("#").strip())
        number -= 1
    default = ast.unparse(node.value)
    return f"## {node.target.id}\n\nDefault: `{default}`\n\n" + "\n".join(comment) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
