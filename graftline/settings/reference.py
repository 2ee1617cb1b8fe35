"""Writes `docs/reference/settings.md`, the reference of every setting, from `graftline/settings/`: `make docs`."""

import json
from typing import Any

from graftline.base.paths import HOME, HOME_VARIABLE, PREFIX, PROJECT
from graftline.settings.settings import Settings

PAGE = PROJECT / "docs/reference/settings.md"
INTRODUCTION = f"""# Settings

Every setting has a type, a range and a default. A file in `configs/` gives it under its section:

```yaml
training:
  batch_size: 64
  phase_2: {{epochs: 3}}
```

An environment variable overrides the file. Its name is `{PREFIX}`, the section, two underscores and the key, in capitals.

```
{PREFIX}TRAINING__BATCH_SIZE=64 {PREFIX}TRAINING__PHASE_2__EPOCHS=3 graftline run
```

In the environment, write lists and tables as JSON: `{PREFIX}RUN__BEAM_ARGS='["--direct_num_workers=2"]'`. If the file is
not in `configs/`, give its path: `graftline run /home/me/flowers.yaml`. A folder of photos needs no file:
`graftline run ~/photos` uses `configs/photos.yaml`. An unknown key or a value out of range stops a command before it does
anything; all errors are reported together, with fixes.

Relative paths, such as `output/`, are relative to the folder in `{HOME_VARIABLE}`. The default is the checkout or, if
Graftline was installed from a wheel, the folder in which you call the command.

`make docs` writes this page from `graftline/settings/`.
"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "object": "table"}


def reference() -> str:
    """Returns the page, in Markdown."""
    schema = Settings.model_json_schema()
    return "\n".join([INTRODUCTION, *_section("", schema, {}, schema["$defs"])])


def _section(key: str, section: dict[str, Any], defaults: dict[str, Any], sections: dict[str, Any]) -> list[str]:
    """Returns the lines of a section: its name, its description, a table of its keys, and then the sections in it.

    Args:
      key: such as `training.phase_1`; empty for the settings themselves.
      section: its JSON schema.
      defaults: those for this place, which override its own.
      sections: the JSON schemas of all sections by name.
    """
    lines = [f"## `{key}`", "", section["description"], ""] if key else []
    lines += ["| key | value | default | |", "|---|---|---|---|"]
    within = []
    for name, field in section["properties"].items():
        default = defaults.get(name, field.get("default"))
        inner = sections.get(section_of(field), {})
        about = field.get("description") or inner["description"].partition("\n")[0]
        shown = "required" if name in section.get("required", ()) else "" if inner and default else _value(default)
        lines.append(f"| `{name}` | {_kind(field)} | {shown} | {about} |")
        if inner:
            given = default if isinstance(default, dict) else {}
            within += _section(f"{key}.{name}".lstrip("."), inner, given, sections)
    return [*lines, "", *within]


def section_of(field: dict[str, Any]) -> str:
    """Returns the name of the section that a field holds, once or in a list; empty if it holds a plain value."""
    choices = [field, field.get("items", {}), *field.get("anyOf", ())]
    found = (choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice)
    return next(found, "")


def _kind(field: dict[str, Any]) -> str:
    """Returns what a value may be: a type with its range, or the choices."""
    schema = next((choice for choice in field.get("anyOf", ()) if choice.get("type") != "null"), field)
    if "$ref" in schema:
        return "section"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {_kind(schema['prefixItems'][0])}"
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'])}"
    kind = {"path": "path", "password": "password"}.get(schema.get("format", ""), KINDS[schema["type"]])
    bounds = [f"{sign} {schema[name]:g}" for name, sign in BOUNDS.items() if name in schema]
    return ", ".join([kind, *bounds])


def _value(value: Any) -> str:
    if value in (None, "", [], {}):
        return "unset"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text.removeprefix(f'{HOME}/')}`"


def main() -> None:
    """Writes the page."""
    aside = PAGE.with_suffix(".new")
    aside.write_text(reference())
    aside.replace(PAGE)
    print(f"Wrote {PAGE}")


if __name__ == "__main__":
    main()
