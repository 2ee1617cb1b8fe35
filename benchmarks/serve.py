"""`graftline serve` under load: `python -m benchmarks.serve [--photos FOLDER] [--large N] [--against CHECKOUT]`.

Asks the model in production of the configuration in GRAFTLINE_CONFIG, each time about one image, as so many clients that
each send the next request when they have an answer. They run on the same cores as the server. Milliseconds are those of a
client, from its first byte to the answer's last. `--large` enlarges some of the images to 12 megapixels, as a phone takes
them. `--against` asks the server of another revision the same, in turn, and gives the ratio of the rates. Each server has
the model that its own checkout has in production, because what a revision exports is part of how fast it serves.
"""

import argparse
import base64
import contextlib
import http.client
import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import common
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.base.photos import image_files

WARM_UP = 50  # requests that are not measured
SIGNATURES = ("serving_bytes", "serving_explain")
LARGE = (4000, 3000)  # pixels
PATIENCE = 5  # seconds in which a server that closed a connection has ended
ROUNDS = 3  # of each server in turn, of which the median counts


def main() -> None:
    """Starts the servers, asks them, and gives rates and latencies by signature."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--photos", type=Path, help="a folder of images; drawn digits otherwise")
    parser.add_argument("--large", type=int, default=0, help="how many of the images are enlarged to 12 megapixels")
    parser.add_argument(
        "--against", type=Path, help="a checkout of another revision, which has run the same configuration"
    )
    arguments = parser.parse_args()
    images = [path.read_bytes() for path in image_files(arguments.photos)] if arguments.photos else _digits()
    images[: arguments.large] = map(_enlarged, images[: arguments.large])
    checkouts = {"ours": PROJECT} | ({"theirs": arguments.against} if arguments.against else {})
    rounds = [
        {side: _asked(checkout, images, arguments) for side, checkout in checkouts.items()} for _ in range(ROUNDS)
    ]
    found = {side: {name: _median([one[side][name] for one in rounds]) for name in SIGNATURES} for side in checkouts}
    ratio = {
        name: round(found["ours"][name]["per_s"] / found["theirs"][name]["per_s"], 2)
        for name in SIGNATURES
        if arguments.against
    }
    common.tell(
        "serve",
        requests=arguments.requests,
        concurrency=arguments.concurrency,
        images=len(images),
        large=arguments.large,
        image_bytes=round(float(np.mean([len(image) for image in images]))),
        ratio=ratio,
        **found,
    )


def _asked(checkout: Path, images: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns how the server of a checkout answered, by signature."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "GRAFTLINE_HOME": str(checkout)}
    command = [sys.executable, "-m", "graftline.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            printed = server.stdout.readline() if server.stdout else ""
            if not printed:
                raise SystemExit(f"The server of {checkout} did not start; its reason is above.")
            address = printed.split("/")[2]
            return {name: _load(address, name, images, arguments) for name in SIGNATURES}
        except (OSError, http.client.HTTPException) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(PATIENCE)
            ended = "still runs" if server.returncode is None else f"ended with status {server.returncode}"
            raise RuntimeError(f"The server of {checkout} {ended}.") from error
        finally:
            server.terminate()


def _median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    return sorted(rounds, key=lambda one: one["per_s"])[len(rounds) // 2]


def _enlarged(image: bytes) -> bytes:
    """Returns an image as a JPEG of LARGE."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(image)).convert("RGB").resize(LARGE, Image.Resampling.BICUBIC).save(
        stream, "JPEG", quality=90
    )
    return stream.getvalue()


def _digits() -> list[bytes]:
    """Returns 200 drawn digits as PNG files."""
    from sklearn.datasets import load_digits

    found = []
    for pixels in load_digits().images[:200]:
        stream = io.BytesIO()
        Image.fromarray((pixels * 15).astype(np.uint8)).save(stream, "PNG")
        found.append(stream.getvalue())
    return found


def _load(address: str, signature: str, images: list[bytes], arguments: argparse.Namespace) -> dict[str, Any]:
    """Sends all requests and returns how long they took; raises if one did not succeed."""
    with contextlib.closing(http.client.HTTPConnection(address)) as connection:
        connection.request("GET", "/classes")
        path = f"/v1/models/{json.loads(connection.getresponse().read())['name']}:predict"
    bodies = [
        json.dumps({"signature_name": signature, "instances": [{"b64": base64.b64encode(image).decode()}]})
        for image in images
    ]

    def client(numbers: range) -> list[float]:
        connection, taken = http.client.HTTPConnection(address), []
        for number in numbers:
            start = time.monotonic()
            connection.request("POST", path, bodies[number % len(bodies)])
            response = connection.getresponse()
            answer = response.read()
            taken.append(1000 * (time.monotonic() - start))
            if response.status != 200:
                raise UserError(f"Request {number} got status {response.status}: {answer.decode()}")
        return taken

    client(range(WARM_UP))
    clients = [range(first, arguments.requests, arguments.concurrency) for first in range(arguments.concurrency)]
    start = time.monotonic()
    with ThreadPoolExecutor(arguments.concurrency) as pool:
        taken = [latency for latencies in pool.map(client, clients) for latency in latencies]
    seconds = time.monotonic() - start
    median, p99 = np.percentile(taken, [50, 99])
    return {"per_s": round(len(taken) / seconds), "median_ms": round(median, 1), "p99_ms": round(p99, 1), "errors": 0}


if __name__ == "__main__":
    main()
