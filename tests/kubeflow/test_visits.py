"""What users do on the volume, through an imitation of kubectl whose pods are processes on this machine."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import kubernetes_validate
import pytest

from graftline.artifacts.report_files import CARDS, PAGE
from graftline.base.paths import PROJECT
from graftline.runs import store
from graftline.serving import versions
from graftline.settings.load import CONFIG_VARIABLE, load
from graftline.sources.folder import Folder
from graftline.sources.source import Wanted
from kubeflow import client as kubeflow_client
from kubeflow.visits import receive, visitor
from tests import past
from tests.kubeflow.asking import settings_of
from tests.kubeflow.conftest import IMAGE
from tests.kubeflow.kubectl import FLAGS
from tests.past import Made

REAL = shutil.which("kubectl")


pytestmark = pytest.mark.usefixtures("cluster", "volume")


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "pets"
    for number, label in enumerate(("cats", "dogs")):
        (folder / label).mkdir(parents=True)
        for index in range(3):
            (folder / label / f"{index} é.jpg").write_bytes(os.urandom(20_000 + number))
    (folder / "cats" / ".hidden.jpg").write_text("x")
    (folder / "cats" / "notes.txt").write_text("x")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_photos_are_copied_whole_under_the_name_that_a_configuration_gives_them(
    called, photos, volume, cluster, monkeypatch
):
    status, shown, error = called("upload", str(photos))
    assert (status, error) == (0, "")
    there = volume / "photos" / "pets"
    wanted = {name: data for name, data in contents(photos).items() if name.endswith("é.jpg")}
    assert contents(there) == wanted
    assert f"Copied 6 photos (0.00 GB) to {there}." in shown
    assert 'data: {dataset: "folder:photos/pets"}' in shown
    assert cluster.pods() == {}
    monkeypatch.setenv("GRAFTLINE_DATA__DATASET", "folder:photos/pets")
    assert load(data_is_here=False).data.source.on_volume(volume) == f"folder:{there}"


def test_what_links_lead_to_is_copied_and_other_kinds_are_not(called, photos, volume, tmp_path):
    (photos / "dogs").rename(tmp_path / "elsewhere")
    (photos / "dogs").symlink_to(tmp_path / "elsewhere")
    (photos / "dogs/gone.jpg").symlink_to(tmp_path / "gone.jpg")
    (photos / "dogs/round").symlink_to(photos)
    (photos / "dogs/film.mov").write_text("x")
    assert called("upload", str(photos))[0] == 0
    there = contents(volume / "photos" / "pets")
    assert sorted(there) == [f"{label}/{index} é.jpg" for label in ("cats", "dogs") for index in range(3)]


def test_a_table_of_classes_is_copied_beside_the_photos_it_knows(called, photos, volume, tmp_path):
    flat = tmp_path / "flat"
    (flat / "2024").mkdir(parents=True)
    for path in photos.rglob("*é.jpg"):
        shutil.copy(path, flat / "2024" / f"{path.parent.name} {path.name}")
    names = sorted(path.stem for path in (flat / "2024").iterdir())
    (tmp_path / "classes.csv").write_text("image;species\n" + "".join(f"{name};{name[:3]}\n" for name in names[:-1]))
    status, shown, error = called("upload", str(flat), "--labels", str(tmp_path / "classes.csv"))
    assert (status, error) == (0, "")
    there = volume / "photos/flat"
    assert f'data: {{dataset: "folder:photos/flat", labels: "{there}/labels.csv"}}' in shown
    assert f"Copied {len(names) - 1} photos" in shown
    held = Folder(str(there), Wanted(labels=there / "labels.csv")).held()
    assert {file.path: held.classes[file.label] for file in held.files} == {
        f"2024/{name}.jpg": name[:3] for name in names[:-1]
    }


def test_a_table_for_a_folder_with_spans_is_refused(called, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "grown/span-1")
    (tmp_path / "classes.csv").write_text("a.jpg,cat\n")
    status, _, error = called("upload", str(tmp_path / "grown"), "--labels", str(tmp_path / "classes.csv"))
    assert status == 1 and "has spans, each with one folder per class: leave out --labels.\n" in error


def test_splits_are_copied_as_they_are(called, photos, volume, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(photos, tmp_path / "given" / split)
    assert called("upload", str(tmp_path / "given"))[0] == 0
    assert {name.split("/")[0] for name in contents(volume / "photos" / "given")} == {"train", "test"}


def test_a_new_span_is_put_beside_the_others_and_none_is_replaced(called, photos, volume):
    for name in ("pets/span-1", "pets/span-2"):
        assert called("upload", str(photos), "--to", name)[0] == 0
    before = contents(volume)
    status, _, error = called("upload", str(photos), "--to", "pets/span-2")
    assert status == 1
    assert error == f"{volume}/photos/pets/span-2 already exists on the volume: give another name with --to.\n"
    assert contents(volume) == before


def test_all_spans_of_a_folder_are_copied(called, photos, volume, tmp_path):
    for number in (1, 2):
        shutil.copytree(photos, tmp_path / "growing" / f"span-{number}")
    assert called("upload", str(tmp_path / "growing"))[0] == 0
    assert {path.parent.parent.name for path in (volume / "photos" / "growing").rglob("*.jpg")} == {"span-1", "span-2"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["{}"], "FOLDER '{}': {} must contain at least two folders, one per class, but has none"),
        (["{}/none"], "FOLDER '{}/none': there is no folder {}/none"),
        ([""], "FOLDER is empty: give a folder of photos"),
    ],
)
def test_what_is_no_folder_of_photos_is_refused_before_a_pod_is_made(given, message, called, cluster, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    status, _, error = called("upload", *(one.format(empty) for one in given))
    assert status == 1 and error.startswith(message.format(empty, empty)) and error.count("\n") == 1
    assert cluster.calls() == []


@pytest.mark.parametrize("name", ["../pets", "pets/../../x", ".pets", "/pets", "pets/"])
def test_a_name_that_leads_elsewhere_is_refused(name, called, cluster, photos):
    status, _, error = called("upload", str(photos), "--to", name)
    assert status == 1 and error.startswith(f"--to {name!r} is not a valid name on the volume")
    assert cluster.calls() == []


@pytest.mark.parametrize("after", [0, 512, 30_000, 2 * (20_000 + 480 + 512), 110_000])
def test_of_a_copy_that_breaks_off_nothing_is_there(after, called, photos, volume, cluster):
    cluster.write(cluster.read() | {"cut": after})
    status, _, error = called("upload", str(photos))
    assert status == 1
    assert "unexpected EOF" in error and error.count("\n") == 1
    assert contents(volume) == {} and not (volume / "photos" / "pets").exists()
    assert cluster.pods() == {}


def test_a_tar_that_ends_between_two_photos_is_no_whole_copy(volume):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for number in range(2):
            header = tarfile.TarInfo(f"cats/{number}.jpg")
            header.size = 512
            archive.addfile(header, io.BytesIO(b"x" * 512))
    cut = io.BytesIO(stream.getvalue()[: 2 * 512])
    with pytest.raises(receive.UserError, match=r"broke off after 1 of 2 photos, and none of it was kept: copy again"):
        receive.receive(cut, volume, "pets", 2, 1024)
    assert contents(volume) == {}


def test_a_photo_that_vanishes_ends_the_copy(called, photos, volume, cluster, monkeypatch):
    def lost(*arguments, **named):
        (photos / "dogs" / "2 é.jpg").unlink()
        return visitor.visiting(*arguments, **named)

    monkeypatch.setattr("kubeflow.visits.put.visiting", lost)
    status, _, error = called("upload", str(photos))
    assert (status, error) == (
        1,
        f"{photos}/dogs/2 é.jpg cannot be read (No such file or directory), so nothing was copied: fix that, and "
        "copy again.\n",
    )
    assert contents(volume) == {} and cluster.pods() == {}


def test_a_volume_that_is_not_writable_is_said_to_be(called, photos, volume):
    (volume / "photos").write_text("a file")
    status, _, error = called("upload", str(photos))
    assert status == 1 and error.startswith(f"{volume}/photos on the volume cannot be written to (")


def test_what_killed_pods_left_is_removed_in_time(called, photos, volume):
    for name, age in (("old", 2), ("new", 0)):
        folder = volume / "photos" / receive.ASIDE / name
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age * 24 * 3600,) * 2)
    assert called("upload", str(photos))[0] == 0
    assert [path.name for path in (volume / "photos" / receive.ASIDE).iterdir()] == ["new"]


@pytest.mark.parametrize("where", ["before the pod runs", "in the middle of the copy"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_deletes_the_pod(where, number, photos, volume, cluster):
    early = where == "before the pod runs"
    cluster.write(cluster.read() | ({"claims": []} if early else {"cut": 30_000, "hangs": True}))
    program = [sys.executable, "-m", "graftline.cli", "kubeflow", "upload", str(photos)]
    with subprocess.Popen(program, cwd=PROJECT, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        end = time.monotonic() + 30
        while not (cluster.pods() if early else list(volume.rglob("*.jpg"))):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.terminate()
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and error.endswith("Stopped. Nothing was copied.\n")
    assert cluster.pods() == {} and not (volume / "photos" / "pets").exists()


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"images": []}, f"does not start (ImagePullBackOff: Back-off pulling image \"{IMAGE}\"): check that the image"),
        ({"claims": []}, "(Unschedulable: 0/1 nodes are available: persistentvolumeclaim \"graftline\" not found): check"),
        ({"accounts": []}, 'serviceaccount "graftline" not found): check its context'),
        ({"namespace": "other"}, 'kubectl cannot create a pod in the namespace graftline (Error from server (Forbidden): '),
        (
            {"fails": {"apply": "E1125 21:46:50.584924   15690 memcache.go:265] \"Unhandled Error\"\nThe connection to the "
                       "server localhost:8080 was refused - did you specify the right host or port?"}},
            "kubectl cannot create a pod in the namespace graftline "
            "(The connection to the server localhost:8080 was refused",
        ),
        ({"fails": {"wait": 'Error from server (Forbidden): pods "x" is forbidden'}}, "kubectl cannot wait for the pod"),
    ],
)  # fmt: skip
def test_a_pod_that_does_not_come_is_told_with_its_reason(known, message, called, photos, cluster, monkeypatch):
    monkeypatch.setattr(visitor, "START_SECONDS", 0)
    cluster.write(cluster.read() | known)
    status, _, error = called("upload", str(photos))
    assert status == 1 and message in error and error.count("\n") == 1
    assert cluster.pods() == {}


def test_a_secret_that_is_missing_is_named_and_photos_need_none(called, photos, cluster):
    cluster.write(cluster.read() | {"secrets": {}})
    status, _, error = called("report")
    assert status == 1 and 'does not start (CreateContainerConfigError: secret "graftline-mysql" not found)' in error
    assert called("upload", str(photos))[0] == 0


def test_a_pod_that_cannot_be_deleted_is_named(called, photos, cluster):
    cluster.write(cluster.read() | {"fails": {"delete": 'Error from server (Forbidden): pods "x" is forbidden'}})
    status, _, error = called("upload", str(photos))
    (name,) = cluster.pods()
    assert status == 0
    assert error == (
        f'The pod {name} was not deleted (Error from server (Forbidden): pods "x" is forbidden): it ends on its own within '
        f"4 hours; to end it now, run `kubectl -n graftline delete pod {name}`.\n"
    )


@pytest.mark.parametrize("asked", [["report"], ["rollback", "--data", "digits", "--reason", "bad"], ["logs"]])
def test_without_kubectl_it_is_asked_for(asked, called, monkeypatch, server, client, package, tmp_path):
    kubeflow_client.run(client, settings_of(server.url, "digits"), package, {})
    monkeypatch.setenv("GRAFTLINE_CLUSTER__ENDPOINT", server.url)
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, error = called(*asked)
    assert (status, error) == (1, "kubectl is not in PATH: install version 1.31 or newer, which this command needs.\n")


def test_a_report_is_fetched_with_its_card(called, volume, tmp_path):
    settings = past.settings_of(volume)
    folder = volume / "reports" / "7"
    folder.mkdir(parents=True)
    for name in (PAGE, *CARDS):
        (folder / name).write_text(f"of a: {name}")
    made = [Made("CardGen", {"card": {}}, uri=str(folder)), Made("ReportGen", {"report": {}}, uri=str(folder))]
    past.write(settings, "a", *made)
    past.write(settings, "b", Made("Trainer", {}, state=store.FAILED))
    kept = tmp_path / "output" / "kubeflow" / "reports"
    for _ in range(2):  # the second replaces the first
        assert called("report", "a") == (0, f"Report: {kept}/a/{PAGE}\n", "")
        assert contents(kept) == {f"a/{name}": f"of a: {name}".encode() for name in (PAGE, *CARDS)}

    status, shown, error = called("report")
    assert (status, shown) == (1, "")
    hint = "fetch the latest one with `graftline kubeflow report a`"
    assert error == f"Run b has no report (failed at Trainer): {hint}.\n"
    status, _, error = called("report", "c")
    assert (status, error) == (1, "There is no run 'c' of digits: `graftline kubeflow status` lists the runs.\n")
    assert [path.name for path in kept.iterdir()] == ["a"]


def test_a_cluster_that_nothing_ran_on_has_no_report(called):
    status, _, error = called("report")
    assert (status, error) == (
        1,
        "There is no run of digits in the metadata store: `graftline kubeflow run` starts one.\n",
    )


def pushed(volume: Path, *contents: str) -> list[int]:
    """Pushes models that no metadata store knows, as after `graftline clean`; returns their versions."""
    settings = past.settings_of(volume)
    made = []
    for text in contents:
        model = volume / f"model {text}"
        model.mkdir()
        (model / versions.SAVED_MODEL).write_text(text)
        made.append(versions.publish(model, settings.push_dir).version)
    return made


def test_the_model_in_production_is_taken_back_by_whom_and_why(called, volume, monkeypatch):
    monkeypatch.setenv("LOGNAME", "someone")
    _, bad = pushed(volume, "good", "bad")
    status, shown, _ = called("rollback", "--data", "digits", "--reason", "calls dogs 'cats'")
    last = versions.production(past.settings_of(volume).push_dir)
    assert (
        status == 0 and f"Withdrew version {bad}; {volume}/serving/digits/{last.version} is in production now." in shown
    )
    assert (last.who, last.why, last.withdrawn) == ("someone", "calls dogs 'cats'", bad)


def test_a_rollback_that_is_refused_says_why_and_how(called, volume, cluster):
    pushed(volume)
    status, _, error = called("rollback", "--data", "digits", "--reason", "bad")
    assert (status, error) == (1, f"Nothing is served from {volume}/serving/digits: push a model first.\n")
    assert cluster.pods() == {}


def test_no_pod_is_made_for_a_rollback_without_a_reason(called, cluster):
    status, _, error = called("rollback", "--data", "digits", "--reason", " ")
    assert status == 1 and error.startswith("--reason is empty: ")
    assert cluster.calls() == []


def test_the_status_of_a_program_in_the_pod_is_passed_on(monkeypatch, called):
    monkeypatch.setattr("kubeflow.visits.rollback.program", lambda settings, pod, *_: visitor.program(
        settings, pod, "sh", "-c", "echo told >&2; exit 7"))  # fmt: skip
    assert called("rollback", "--data", "digits", "--reason", "bad") == (7, "", "told\n")


def test_the_pod_is_one_that_kubernetes_takes_with_the_least_rights(monkeypatch, volume):
    monkeypatch.setenv("GRAFTLINE_CLUSTER__WEBHOOK", "https://hooks.example/hidden")
    pod = visitor.manifest(load())
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    assert spec["automountServiceAccountToken"] is False and spec["activeDeadlineSeconds"] > 0
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert set(container["resources"]["requests"]) == {"cpu", "memory"} and "memory" in container["resources"]["limits"]
    assert pod["metadata"]["labels"]["pipelines.kubeflow.org/v2_component"] == "true"
    assert "hidden" not in json.dumps(pod)
    variables = {one["name"]: one.get("valueFrom", {}).get("secretKeyRef") for one in container["env"]}
    assert variables == {
        CONFIG_VARIABLE: None,
        "GRAFTLINE_METADATA__PASSWORD": {"name": "graftline-mysql", "key": "password"},
        "GRAFTLINE_CLUSTER__WEBHOOK": {"name": "graftline-settings", "key": "webhook"},
    }
    assert visitor.manifest(load(), with_settings=False)["spec"]["containers"][0]["env"] == []


@pytest.mark.skipif(REAL is None, reason="needs kubectl, which is not installed")
def test_the_imitation_takes_flags_that_kubectl_has():
    assert REAL
    for verb, flags in FLAGS.items():
        listed = subprocess.run([REAL, verb, "--help"], capture_output=True, text=True, check=True).stdout
        for flag in flags:
            assert f"--{flag.rstrip('=')}=" in listed, (verb, flag)


@pytest.mark.skipif(REAL is None, reason="needs kubectl, which is not installed")
def test_kubectl_reads_the_pod_as_it_is_meant():
    assert REAL
    pod = visitor.manifest(load())
    asked = [REAL, "label", "--local", "--filename=-", "--output=json", "read=true"]
    done = subprocess.run(asked, input=json.dumps(pod), capture_output=True, text=True, check=True)
    read = json.loads(done.stdout)
    assert {key: read["spec"][key] for key in pod["spec"]} == pod["spec"]
