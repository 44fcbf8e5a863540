"""Write the pages docs/reference-*.md from the code they describe: ``python -m tools.reference``."""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from federation.cli.command import click_command, grouped, help_records
from federation.cli.options import described_default
from federation.config.schema import Client, Party, Settings
from federation.learning.option import Setting
from federation.learning.settings import settings_of_training

DOCS, CONFIG = (Path(__file__).parents[1] / folder for folder in ("docs", "config"))

COMMANDS: Mapping[str, str] = {
    "local": "federation.local:main",
    "rehearse": "federation.rehearse.__main__:main",
    "data_prep": "federation.data_prep:main",
    "data_prep cms": "federation.cli.cms:cms",
    "data_prep cms-sample": "federation.cli.cms:cms_sample",
    "contract": "federation.contract:main",
    "publish": "federation.publish:main",
    "preflight": "federation.preflight:main",
    "server": "federation.server:main",
    "status": "federation.status:main",
    "stop": "federation.stop:main",
    "audit": "federation.audit:main",
    "predict": "federation.predict:main",
    "empty": "federation.empty:main",
}
"""Every command, in the order of its use, and the function that it runs."""

HEAD = """# Commands

Written by `make reference` from the commands themselves; a test fails when this page is stale.
Each command also explains itself with `--help`. All of them end with 0 on success, and with
[a code of its own](reference-errors.md) for each error.

| Command | Purpose |
|---|---|
"""

NAMES = """
## Names of the training's settings

`federation.local`, `federation.server` and `federation.rehearse` take these options. From Python they
are the fields of `federation.learning.settings.TrainingSettings`, and in
[the app for stock Flower](how-to-stock-flower.md) the keys of its run configuration. All check them alike.

| Option | Python | Stock Flower | Default, range |
|---|---|---|---|
"""


CONFIGURATION = """# Configuration

Written by `make reference` from `federation/config/schema.py` and the comments of
[`config/example.toml`](../config/example.toml); a test fails when this page is stale. A configuration is
one TOML file, the same for every party. An invalid one is an error that names the key and the party.
"""


def commands_page() -> str:
    """Return docs/reference-commands.md."""
    functions = {name: _function(place) for name, place in COMMANDS.items()}
    contents = "".join(
        f"| [`federation.{name}`](#{_anchor(name)}) | {_paragraphs(function)[0]} |\n"
        for name, function in functions.items()
    )
    sections = "".join(_section(name, function) for name, function in functions.items())
    names = "".join(_names(setting) for setting in settings_of_training())
    return f"{HEAD}{contents}{sections}{NAMES}{names}"


def _function(place: str) -> Callable[..., None]:
    module, _, name = place.partition(":")
    function: Callable[..., None] = getattr(import_module(module), name)
    return function


def _anchor(name: str) -> str:
    """Return what GitHub makes of the heading ``federation.<name>``."""
    return f"federation{name}".replace(" ", "-")


def _paragraphs(function: Callable[..., None]) -> list[str]:
    text = inspect.getdoc(function) or ""
    return [" ".join(part.split()) for part in text.partition("\b")[0].split("\n\n") if part.strip()]


def _section(name: str, function: Callable[..., None]) -> str:
    """Return a command's heading, text, examples and tables of options."""
    examples = (inspect.getdoc(function) or "").partition("\b\n")[2].partition("\n")[2]
    block = f"\n```\n{inspect.cleandoc(examples)}\n```\n" if examples else ""
    text = "".join(f"\n{paragraph}\n" for paragraph in _paragraphs(function))
    return f"\n## federation.{name}\n{text}{block}{''.join(_tables(click_command(function)))}"


def _tables(command: click.Command) -> Iterator[str]:
    with click.Context(command) as context:
        for heading, params in grouped(command.get_params(context)).items():
            rows = [_row(*record) for record in help_records(context, params) if record[0] != "--help"]
            yield f"\n| {heading} | Meaning | Default, range |\n|---|---|---|\n" + "".join(rows)


def _row(option: str, text: str) -> str:
    """Return a line of a table; what stands in brackets at the end of a help text has a column of its own."""
    meaning, bracket = re.fullmatch(r"(.*?)\s*(?:\[([^\[\]]*)\])?", text, flags=re.DOTALL).groups("")  # type: ignore[union-attr]
    code = f"`{option}`"
    return f"| {_cell(code)} | {_cell(meaning)} | {_cell(bracket.replace('default: ', ''))} |\n"


def _names(setting: Setting) -> str:
    option = setting.flag.replace("_", "-")
    default = described_default(setting).strip(" []").replace("default: ", "")
    return f"| `--{option}` | `{setting.name}` | `{setting.key}` | {default} |\n"


def _cell(text: str) -> str:
    """Return a text as a table of Markdown takes it; what is code already stays."""
    return re.sub(r"(`+[^`]*`+)|<", lambda it: it[1] or "&lt;", text.replace("|", "\\|"))


def configuration_page() -> str:
    """Return docs/reference-configuration.md."""
    comments = _comments((CONFIG / "example.toml").read_text(encoding="utf-8"))
    own = [name for name in Client.model_fields if name not in Party.model_fields]
    tables = (
        ("[federation]", Settings, list(Settings.model_fields), comments["federation"]),
        ("[server], and each of [[clients]]", Party, list(Party.model_fields), comments["server"]),
        ("[[clients]], only", Client, own, comments["clients"]),
    )
    return CONFIGURATION + "".join(_keys(*table) for table in tables)


def _comments(text: str) -> dict[str, dict[str, str]]:
    """Return what the comments of a configuration say of its keys, by table."""
    tables = dict[str, dict[str, str]]()
    for line in text.splitlines():
        if table := re.match(r"\[+(\w+)\]", line):
            keys = tables.setdefault(table[1], {})
        elif key := re.match(r'(?:# )?(\w+) = (?:"[^"]*"|[^#])*(?:# *(.*))?$', line):
            keys[key[1]] = key[2] or ""
    return tables


def _keys(heading: str, model: type[BaseModel], names: list[str], comments: Mapping[str, str]) -> str:
    schema, meaning = model.model_json_schema(), _documented(model)
    rows = [
        f"| `{name}` | {_cell(meaning[name])} | {_values(schema['properties'][name])} | "
        f"{_cell(_default(model.model_fields[name].get_default(), comments.get(name, '')))} |\n"
        for name in names
    ]
    return f"\n## {heading}\n\n| Key | Meaning | Values | Default |\n|---|---|---|---|\n{''.join(rows)}"


def _documented(model: type) -> dict[str, str]:
    """Return what a class's docstring says of its parameters."""
    parameters = (inspect.getdoc(model) or "").partition("Parameters\n----------\n")[2]
    found = dict[str, str]()
    for names, text in re.findall(r"^([\w, ]+) : .*\n((?:    .*\n?)+)", parameters, flags=re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return found


def _values(schema: Mapping[str, Any]) -> str:
    """Return what JSON Schema allows, for people."""
    one = next(kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null")
    if "items" in one:
        return f"list of {_values(one['items'])}"
    if "enum" in one:
        return ", ".join(f"`{json.dumps(value)}`" for value in one["enum"])
    if "minimum" in one:
        return f"{one['minimum']:,} to {one['maximum']:,}"
    kinds = {"string": "text", "boolean": "`true`, `false`", "ipv4network": "IPv4 network"}
    return f"`{_cell(one['pattern'])}`" if "pattern" in one else kinds[one.get("format", one["type"])]


def _default(value: object, comment: str) -> str:
    """Return a key's default; one that is worked out is in the comment."""
    if worked_out := re.search(r"by default ([^;]+)", comment):
        return worked_out[1]
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else f"`{json.dumps(value)}`"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference-commands.md": commands_page,
    "reference-configuration.md": configuration_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
