"""Decodes mutated photos, as ExampleGen does: `make fuzz`, or `python -m tests.fuzz --images N --seed S`.

No image may crash the process, hang it, or make it take much memory; an image that cannot be decoded must get a reason.
"""

import argparse
import io
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn import datasets

from benchmarks.common import peak_gb
from graftline.data import decoding
from graftline.data.decoding import Size
from graftline.settings.data import Data

SIZE = (160, 107)
KINDS: list[tuple[str, dict[str, bool]]] = [
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("BMP", {}), ("GIF", {"save_all": True})
]  # fmt: skip


def originals() -> list[bytes]:
    """Returns real photos in every supported format, and the JPEGs as the camera wrote them."""
    found = []
    for photo in datasets.load_sample_images().images:
        image = Image.fromarray(photo).resize(SIZE)
        for kind, options in KINDS:
            stream = io.BytesIO()
            image.save(stream, kind, **options, **({"append_images": [image.rotate(90)]} if kind == "GIF" else {}))
            found.append(stream.getvalue())
    folder = Path(datasets.__file__).parent / "images"
    return found + [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]


def mutate(image: bytes, random: np.random.Generator) -> bytes:
    """Returns an image with one to four faults: flipped bytes, extreme numbers, cuts, repeats, or another's middle."""
    found = bytearray(image)
    for _ in range(random.integers(1, 5)):
        # Half of them in the header, where they do most damage
        place = int(random.integers(0, min(64, len(found)) if random.random() < 0.5 else len(found)))
        kind = random.integers(0, 5)
        if kind == 0:
            found[place] ^= 1 << random.integers(0, 8)
        elif kind == 1:
            found[place : place + 4] = bytes(random.choice([0, 255, 127], 4).astype(np.uint8))
        elif kind == 2:
            del found[place : place + int(random.integers(1, 100))]
        elif kind == 3:
            found[place:place] = found[place : place + int(random.integers(1, 100))]
        elif len(found) > 200:
            del found[max(place, 100) :]
        if not found:
            break
    return bytes(found)


def main() -> None:
    """Decodes mutated photos and prints outcomes, the slowest decoding and the memory that it took, as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    photos, max_pixels = originals(), Data.model_fields["max_pixels"].default
    for photo in photos:
        assert isinstance(decoding.examine(photo, max_pixels), Size)
    before, slowest, outcomes = peak_gb(), 0.0, Counter[str]()
    for number in range(arguments.images):
        random = np.random.default_rng([arguments.seed, number])
        image = mutate(photos[number % len(photos)], random)
        start = time.monotonic()
        (found,) = decoding.examine_all([image], max_pixels)
        slowest = max(slowest, time.monotonic() - start)
        assert found == decoding.examine(image, max_pixels), "an image's use must not depend on others in its batch"
        outcomes["decoded" if isinstance(found, Size) else found] += 1
    print(
        json.dumps(
            {"outcomes": outcomes, "slowest_s": round(slowest, 2), "grown_mb": round(1000 * (peak_gb() - before))}
        )
    )


if __name__ == "__main__":
    main()
