"""Checks of what a configuration needs, and of what its runs left behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from graftline.base.states import State
from graftline.doctor import BAD, GOOD, WARNING, Finding
from graftline.doctor.probe import Probe
from graftline.settings.settings import Settings

SPARE = 1e9  # bytes of disk that a run may need besides images and features
NETWORK_SECONDS = 3
RECENT = 20  # runs to check
LEFT_OVER = re.compile(r"\.tmp$|\.aside$|^\.aside-|\.incomplete")  # names of what is still being written


def check_weights(settings: Settings) -> Iterator[Finding]:
    """Checks that the pretrained weights are on this machine."""
    from graftline.network import weights

    model = settings.model
    if model.weights == "none":
        yield Finding(
            WARNING, "weights", "none: the whole network starts from random weights", "set model.weights to imagenet"
        )
        return
    path = (
        weights.kept(model.backbone, model.image_size, weights.FOLDER)
        if model.weights == "imagenet"
        else Path(model.weights)
    )
    cure = "" if path.is_file() else "run `graftline weights` to fetch them; otherwise the next run does"
    yield Finding(WARNING if cure else GOOD, "weights", f"{path} {'does not exist yet' if cure else ''}".strip(), cure)


def check_lock(settings: Settings) -> Iterator[Finding]:
    """Checks that no run holds the lock. A lock ends with its process, but a stopped process keeps it forever."""
    from graftline.runs import lock

    holder = lock.holder(settings)
    if holder is None:
        yield Finding(GOOD, "lock", f"no run of {settings.name} is active in {settings.run.root}")
        return
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(holder.create_time()))
    value = f"process {holder.pid} ({' '.join(holder.cmdline())[-60:]}) has held {settings.run.root} since {since}"
    if holder.status() == "stopped":
        yield Finding(
            BAD,
            "lock",
            f"{value}, and is stopped",
            f"`kill -CONT {holder.pid}` resumes it, `kill -9 {holder.pid}` ends it",
        )
    else:
        yield Finding(WARNING, "lock", value, "wait for it to end, or use `graftline run --wait <minutes>`")


def check_store(settings: Settings) -> Iterator[Finding]:
    """Checks that the metadata store opens and is intact, and that no node in it was killed."""
    server, path = settings.metadata, settings.metadata_path
    if server:
        try:
            socket.create_connection((server.host, server.port), NETWORK_SECONDS).close()
        except OSError as error:
            cure = "start it, or correct the section `metadata` of the settings"
            yield Finding(BAD, "metadata store", f"{server.host}:{server.port} cannot be reached ({error})", cure)
            return
    elif not path.is_file():
        yield Finding(GOOD, "metadata store", "none yet: the first run creates it")
        return
    else:
        from graftline.runs import store

        if reason := store.damage(path):
            yield Finding(BAD, "metadata store", f"{path} is damaged ({reason})", store.CURE)
            return
    yield from _check_runs(settings)


def _check_runs(settings: Settings) -> Iterator[Finding]:
    from graftline.runs import lock, store

    with store.opened(settings) as opened:
        runs = store.runs(opened, settings.name, RECENT)
    going_on = bool(settings.metadata) or lock.holder(settings) is not None
    stopped = [
        f"{node.name} of run {run.number}"
        for run in runs
        for node in run.nodes
        if node.state is State.RUNNING and not (going_on and run is runs[-1])
    ]
    value = f"runs of {settings.name}: {runs[-1].number if runs else 0}"
    if stopped:
        cure = "nothing to do: they were killed, and the next run does their work"
        yield Finding(WARNING, "metadata store", f"{value}; still marked as running: {', '.join(stopped[-3:])}", cure)
    else:
        yield Finding(GOOD, "metadata store", value)


def check_left_overs(settings: Settings) -> Iterator[Finding]:
    """Checks for half-written files that killed processes left, which nothing reads."""
    from graftline.runs import lock

    if lock.holder(settings):
        return  # half-written files may be those of this run
    folders = {settings.run.root, settings.run.serving_dir, settings.data.data_dir}
    paths = sorted({path for folder in folders for path in _left_overs(folder)})
    if not paths:
        yield Finding(GOOD, "leftovers", "none")
        return
    size = sum(_size(path) for path in paths)
    shown = " ".join(str(path) for path in paths[:3]) + (" …" if len(paths) > 3 else "")
    yield Finding(
        WARNING,
        "leftovers",
        f"{len(paths)}, {size / 1e6:,.1f} MB: {shown}",
        "delete them with `rm -r`; nothing reads them",
    )


def check_places(settings: Settings) -> Iterator[Finding]:
    """Reports which folders take how much disk, and which of them the next run removes."""
    from graftline.runs import pruning

    if settings.metadata is None and not settings.metadata_path.is_file():
        return
    for line in pruning.told(settings):
        yield Finding(GOOD, "disk", line)


def _left_overs(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        half = [name for name in [*folders, *files] if LEFT_OVER.search(name)]
        yield from (Path(place, name) for name in half)
        folders[:] = [name for name in folders if name not in half]


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def check_dataset(settings: Settings, probe: Probe) -> Iterator[Finding]:
    """Checks that the dataset is on this machine or can be downloaded."""
    try:
        found = probe.answer("dataset")
    except RuntimeError as error:  # its message says what to do
        yield Finding(BAD, "dataset", str(error))
        return
    if found["images"]:
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in found["left_out"].items())
        told = f"{settings.data.dataset}, {found['images']:,} images"
        yield Finding(GOOD, "dataset", f"{told}; left out: {left_out}" if left_out else told)
        return
    if not found["urls"]:
        yield Finding(
            GOOD, "dataset", f"{settings.data.dataset} does not exist yet; the next run makes it without a download"
        )
        return
    name, url = settings.data.dataset, found["urls"][0]
    host, reason = urllib.parse.urlsplit(url).netloc, _unreachable(url)
    if reason:
        cure = (
            "prepare it from a local copy with `graftline data <zip>`, fix the network connection, or set HTTPS_PROXY"
        )
        yield Finding(
            BAD, "dataset", f"{name} does not exist yet and cannot be downloaded from {host} ({reason})", cure
        )
    else:
        yield Finding(GOOD, "dataset", f"{name} does not exist yet, but can be downloaded from {host}")


def _unreachable(url: str) -> str | None:
    """Returns why a file cannot be downloaded, from a request for its headers; None if it can be."""
    import requests

    try:
        status = requests.head(url, timeout=NETWORK_SECONDS, allow_redirects=True).status_code
    except requests.RequestException as error:
        return type(error).__name__
    return f"status {status}" if status >= 400 else None


def check_disk(settings: Settings, probe: Probe) -> Iterator[Finding]:
    """Checks that there is room for what a run writes: a copy of the images, and their features."""
    try:
        needed = probe.answer("writes") + SPARE
    except RuntimeError:  # another check reports it
        needed = SPARE
    for key, folder, room in (
        ("run.root", settings.run.root, needed),
        ("run.serving_dir", settings.run.serving_dir, SPARE),
        ("data.data_dir", settings.data.data_dir, 0),
    ):
        there = _there(folder)
        free = shutil.disk_usage(there).free
        value = f"{free / 1e9:,.1f} GB free in {folder}"
        if not os.access(there, os.W_OK):
            yield Finding(BAD, "disk", f"{folder} is not writable", f"change its owner, or set {key}")
        elif free < room:
            cure = f"free some space, or set {key} to another disk: a run writes up to {room / 1e9:,.1f} GB"
            yield Finding(BAD, "disk", value, cure)
        else:
            yield Finding(GOOD, "disk", value)


def _there(folder: Path) -> Path:
    """Returns a folder if it exists, else the nearest one above it that does."""
    return folder if folder.is_dir() else _there(folder.parent)
