"""Writes the layers of a backbone into `schemas/backbones.json`: `python -m graftline.network.layers NAME`.

This is a separate program because the names of layers must be those of a fresh process.
"""

import argparse
import json

from graftline.network.backbone import network
from graftline.settings.backbones import BACKBONES, LAYERS, LAYERS_FILE


def write(name: str) -> None:
    """Writes the layers of one backbone, replacing any that are in the file already."""
    layers = LAYERS | {name: [layer.name for layer in network(name, BACKBONES[name].image_size, None).layers]}
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in layers.items())
    aside = LAYERS_FILE.with_suffix(".new")
    aside.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    aside.replace(LAYERS_FILE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the layer names of a backbone to schemas/backbones.json.")
    parser.add_argument(
        "name", choices=list(BACKBONES), help="the name of its entry in graftline/settings/backbones.py"
    )
    write(parser.parse_args().name)
