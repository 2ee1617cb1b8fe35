"""The image's recipe: what it starts from, what goes into it, and as which user its programs run."""

import fnmatch
import importlib.metadata
import re
import runpy
import subprocess
from pathlib import Path, PurePosixPath

import pytest
import setuptools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from graftline.base.paths import PROJECT

CONTAINERFILE = PROJECT / "kubeflow/image/Containerfile"
GPU_LOCK = PROJECT / "kubeflow/image/gpu.lock"
PODS_LOCK = PROJECT / "kubeflow/image/requirements.lock"


def stages() -> list[list[tuple[str, str]]]:
    """Returns the instructions before the first stage, then those of each stage."""
    text = re.sub(r"(?m)^\s*#.*\n", "", CONTAINERFILE.read_text()).replace("\\\n", "")
    found: list[list[tuple[str, str]]] = [[]]
    for line in filter(None, text.splitlines()):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            found.append([])
        found[-1].append((keyword, rest.strip()))
    return found


def values(stage: list[tuple[str, str]], keyword: str) -> list[str]:
    return [rest for found, rest in stage if found == keyword]


def variables() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in values(stages()[-1], "ENV") for pair in rest.split())


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([\w-]+)==(\S+)", lock.read_text()))


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


@pytest.fixture
def asked(monkeypatch) -> dict:
    """The arguments that setup.py gives to `setup`."""
    said: dict = {}
    monkeypatch.setattr(setuptools, "setup", lambda **given: said.update(given))
    runpy.run_path(str(PROJECT / "setup.py"))
    return said


def is_sent(path: str) -> bool:
    """Returns whether a file is in the build context; as in every ignore file, the last pattern decides."""
    sent = True
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!").removeprefix("**/")
            parents = [str(parent) for parent in [PurePosixPath(path), *PurePosixPath(path).parents][:-1]]
            names = [*parents, *PurePosixPath(path).parts] if "**/" in line else parents
            # A star does not match inside folders, but a named folder includes everything in it
            if any(fnmatch.fnmatch(name, pattern) and name.count("/") == pattern.count("/") for name in names):
                sent = line.startswith("!")
    return sent


def tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_its_base_is_one_build_of_debian_13():
    before, *_ = stages()
    (base,) = values(before, "ARG")
    assert re.fullmatch(r"BASE=debian:trixie-20\d{6}-slim", base)
    sources = [rest.split()[0] for stage in stages() for rest in values(stage, "FROM")]
    assert sources == ["${BASE}", "python", "environment", "python"]


def test_its_programs_run_without_rights_and_write_to_tmp_alone():
    last = stages()[-1]
    assert values(last, "USER") == ["1000:1000"]
    assert last.index(("USER", "1000:1000")) > max(index for index, (keyword, _) in enumerate(last) if keyword == "RUN")
    assert values(last, "VOLUME") == ["/tmp"]
    assert variables()["HOME"] == variables()["TMPDIR"] == "/tmp"
    assert variables()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_it_says_which_revision_it_is():
    last = stages()[-1]
    assert 'org.opencontainers.image.revision="${REVISION}"' in " ".join(values(last, "LABEL"))
    assert "REVISION=unknown" in values(last, "ARG")


def test_build_tools_and_caches_stay_out_of_it_and_code_comes_last():
    assert values(stages()[-1], "COPY") == [
        "--from=environment /app/.venv .venv",
        "--from=environment /app/requirements.lock ./",
        "--from=weights /app/output/weights output/weights",
        ". .",
    ]


def test_a_change_of_code_leaves_the_layer_of_the_environment_as_it_was():
    _, _, environment, _, last = stages()
    assert values(environment, "COPY") == [
        "bootstrap.py kubeflow/image/requirements.lock ./",
        "kubeflow/image/gpu.lock ./",
    ]
    (compiling,) = values(last[last.index(("COPY", ". .")) :], "RUN")
    assert "-x '/\\.venv/'" in compiling  # files that it wrote there would be copied into its layer


def test_it_has_the_packages_that_runs_need_in_the_versions_that_are_tested(asked):
    pods, tested = pins(PODS_LOCK), pins(PROJECT / "requirements.lock")
    assert pods.items() <= tested.items()
    assert names(asked["install_requires"]) <= set(pods)


def test_what_only_a_developers_machine_needs_stays_out_of_it(asked):
    elsewhere = names([one for extra in asked["extras_require"].values() for one in extra])
    assert {"ruff", "mypy", "pytest", "playwright", "kfp"} <= elsewhere
    assert elsewhere & set(pins(PODS_LOCK)) == {"httpx", "kubernetes"}  # TFX needs these as well


@pytest.mark.parametrize(("variant", "status"), [("cpu", 0), ("tpu", 1)])
def test_it_has_two_variants(variant, status):
    (choice,) = [rest for rest in values(stages()[2], "RUN") if rest.startswith("case")]
    done = subprocess.run(["sh", "-c", choice], env={"VARIANT": variant}, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr == ("" if status == 0 else "VARIANT=tpu: give cpu or gpu.\n")


def test_nvidias_libraries_are_those_that_tensorflow_asks_for():
    pinned = pins(GPU_LOCK)
    wanted = [Requirement(text) for text in importlib.metadata.requires("tensorflow") or []]
    wanted = [one for one in wanted if one.marker and one.marker.evaluate({"extra": "and-cuda"})]
    wanted = [one for one in wanted if not one.marker.evaluate({"extra": ""})]
    assert set(pinned) == {one.name for one in wanted}
    for one in wanted:
        assert one.specifier.contains(pinned[one.name]), one
    assert GPU_LOCK.read_text().count("--hash=sha256:") >= len(pinned)


def test_all_that_the_code_needs_goes_into_it():
    needed = [
        path for path in tracked() if re.match(r"[^/]+\.py$|(components|configs|graftline|kubeflow|schemas)/", path)
    ]
    needed = [path for path in needed if not path.startswith("kubeflow/manifests/")]
    assert {"pipeline.py", "schemas/backbones.json", "kubeflow/image/requirements.lock"} <= set(needed)
    assert not [path for path in needed if not is_sent(path)]


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".setup/tools/bin/uv",
        ".venv/bin/python",
        ".venv/six.py",
        "graftline/data/__pycache__/digits.pyc",
        "docs/how-to/kubeflow-cluster.md",
        "kubeflow/manifests/base/mysql.yaml",
        "output/data/digits/1.tfrecord",
        "photos/roses/1.jpg",
        "requirements.lock",
        "tests/test_dag.py",
    ],
)
def test_nothing_else_does(path):
    assert not is_sent(path)
