"""Checks the manifests: valid by Kubernetes' own schemas, least rights, and the same names as the settings."""

import copy
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from graftline.base.paths import PROJECT
from graftline.settings.cluster import Cluster
from graftline.settings.load import CONFIG_VARIABLE, load
from graftline.settings.settings import Settings
from kubeflow.compile import on_cluster
from tests.flink import cluster as flink
from tests.kubeflow import kserve

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, which is not installed")

MANIFESTS = PROJECT / "kubeflow/manifests"
BUILDS = ["base", "overlays/dev", "overlays/prod", "flink"]
CLUSTER = Cluster()
WITH_KSERVE = "overlays/prod, the model server by KServe"
PIPELINE_PODS = {"matchLabels": {"pipelines.kubeflow.org/v2_component": "true"}}


@functools.cache
def build(folder: Path | str) -> list[dict]:
    """Returns what kubectl would apply."""
    command = ["kubectl", "kustomize", str(MANIFESTS / folder)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def build_own(folder: Path, resource: str, *components: str, more: str = "") -> list[dict]:
    """Returns what kubectl would apply for a user's own overlay."""
    there = os.path.relpath(MANIFESTS, folder.resolve())
    named = ", ".join(f"{there}/components/{component}" for component in components)
    (folder / "kustomization.yaml").write_text(f"resources: [{there}/{resource}]\ncomponents: [{named}]\n{more}")
    return build(folder)


def build_with_kserve(
    folder: Path, resource: str, *components: str, model: str = "pets", service: str = ""
) -> list[dict]:
    names = f"[MODEL_NAME={model}, INFERENCE_SERVICE={service or model}]"
    more = f"configMapGenerator: [{{name: model-server, behavior: merge, literals: {names}}}]\n"
    return build_own(folder, resource, "kserve", *components, more=more)


def inference_service(documents: list[dict]) -> dict:
    (service,) = [one for one in documents if one["kind"] == "InferenceService"]
    return service


def find(documents: list[dict], kind: str, name: str) -> dict:
    (found,) = [one for one in documents if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod_specs(documents: list[dict]) -> Iterator[dict]:
    return (one["spec"]["template"]["spec"] for one in documents if one["kind"] in ("Deployment", "StatefulSet"))


def environment(container: dict) -> dict[str, dict]:
    return {variable["name"]: variable for variable in container["env"]}


@pytest.fixture
def digits(monkeypatch) -> Settings:
    """The settings of a run's pods, with the defaults of `cluster`."""
    monkeypatch.setenv(CONFIG_VARIABLE, "digits")
    return on_cluster(load())


@pytest.mark.parametrize("folder", BUILDS)
def test_no_pod_gets_a_sidecar_that_would_wait_for_istio_behind_a_closed_way_out(folder):
    templates = [one["spec"]["template"] for one in build(folder) if one["kind"] in ("Deployment", "StatefulSet")]
    assert templates
    # The label decides before annotations and the namespace: injectRequired in pkg/kube/inject/inject.go, Istio at 00af2c5
    assert {template["metadata"]["labels"].get("sidecar.istio.io/inject") for template in templates} == {"false"}


def test_the_model_server_by_kserve_gets_none_either(tmp_path):
    deployment, _ = kserve.made_of(inference_service(build_with_kserve(tmp_path, "overlays/prod")))
    assert deployment["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


@pytest.fixture(params=[*BUILDS, WITH_KSERVE])
def documents(request, tmp_path) -> list[dict]:
    """What kubectl would apply, but instead of an InferenceService, what KServe makes of it."""
    if request.param != WITH_KSERVE:
        return build(request.param)
    applied = build_with_kserve(tmp_path, "overlays/prod")
    service = inference_service(applied)
    return [*(one for one in applied if one is not service), *kserve.made_of(service)]


def test_kubernetes_takes_every_document(documents):
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_every_container_has_the_least_rights_and_a_share_of_the_node(documents):
    for pod in pod_specs(documents):
        context = pod["securityContext"]
        assert context["runAsNonRoot"]
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_every_container_is_watched_and_of_one_build(documents):
    for container in (container for pod in pod_specs(documents) for container in pod["containers"]):
        assert "livenessProbe" in container
        assert "readinessProbe" in container or "startupProbe" in container
        _, _, tag = container["image"].rpartition("/")[2].partition(":")
        assert tag not in ("", "latest")


def test_no_secret_is_in_git(documents):
    assert all(one["kind"] != "Secret" for one in documents)
    variables = [one for pod in pod_specs(documents) for inner in pod["containers"] for one in inner.get("env", [])]
    given = [one["name"] for one in variables if "value" in one]
    assert not [name for name in given if name.endswith("PASSWORD") and name != "MARIADB_RANDOM_ROOT_PASSWORD"]


def test_all_is_in_the_namespace_of_the_settings(documents):
    for document in documents:
        namespace = "name" if document["kind"] == "Namespace" else "namespace"
        assert document["metadata"][namespace] == CLUSTER.namespace


def test_what_the_infra_validator_needs_is_in_the_namespace_of_the_runs(tmp_path):
    documents = build_own(tmp_path, "overlays/prod", "infra-validator")
    added = [one for one in documents if one["kind"] != "Namespace"]
    assert {one["metadata"].get("namespace") for one in added} == {CLUSTER.namespace}
    (subject,) = find(documents, "RoleBinding", "graftline-infra-validator")["subjects"]
    assert subject["namespace"] == CLUSTER.namespace


def test_the_volume_and_the_account_are_those_of_the_settings():
    base = build("base")
    assert find(base, "PersistentVolumeClaim", CLUSTER.volume)["spec"]["accessModes"] == ["ReadWriteMany"]
    find(base, "ServiceAccount", CLUSTER.service_account)
    binding = find(base, "RoleBinding", CLUSTER.service_account)
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": CLUSTER.service_account, "namespace": CLUSTER.namespace}
    ]


def test_the_metadata_store_is_that_of_the_settings():
    mysql = CLUSTER.mysql
    service = find(build("base"), "Service", mysql.host)
    assert [port["port"] for port in service["spec"]["ports"]] == [mysql.port]
    server = find(build("base"), "StatefulSet", mysql.host)["spec"]
    assert server["serviceName"] == mysql.host
    assert service["spec"]["selector"].items() <= server["template"]["metadata"]["labels"].items()
    variables = environment(server["template"]["spec"]["containers"][0])
    assert variables["MARIADB_DATABASE"]["value"] == mysql.database
    assert variables["MARIADB_USER"]["value"] == mysql.user
    secret = {"name": CLUSTER.mysql_secret, "key": "password"}
    assert variables["MARIADB_PASSWORD"]["valueFrom"] == {"secretKeyRef": secret}


def served(documents: list[dict]) -> tuple[str, str, str]:
    """Returns the watched folder, the name of the served model, and the path of the readiness probe."""
    container = find(documents, "Deployment", "model-server")["spec"]["template"]["spec"]["containers"][0]
    source = environment(container)["MODEL_NAME"]["valueFrom"]["configMapKeyRef"]
    name = find(documents, "ConfigMap", source["name"])["data"][source["key"]]
    arguments = dict(argument.replace("$(MODEL_NAME)", name).split("=") for argument in container["args"])
    path = container["readinessProbe"]["httpGet"]["path"]
    return arguments["--model_base_path"], arguments["--model_name"], path


def test_the_model_server_serves_what_the_pipeline_pushes(digits):
    assert served(build("base")) == (str(digits.push_dir), digits.name, f"/v1/models/{digits.name}")
    pod = find(build("base"), "Deployment", "model-server")["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "graftline"]
    assert volume["persistentVolumeClaim"] == {"claimName": CLUSTER.volume, "readOnly": True}
    assert {"name": "graftline", "mountPath": str(CLUSTER.mount), "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]


def test_one_line_of_an_overlay_serves_another_model(digits, tmp_path):
    more = "configMapGenerator: [{name: model-server, behavior: merge, literals: [MODEL_NAME=pets]}]\n"
    folder, name, path = served(build_own(tmp_path, "overlays/prod", "model-name", more=more))
    assert (folder, name, path) == (str(digits.push_dir.with_name("pets")), "pets", "/v1/models/pets")


def test_the_model_server_is_of_the_tensorflow_that_trains():
    container = find(build("base"), "Deployment", "model-server")["spec"]["template"]["spec"]["containers"][0]
    trained_by = importlib.metadata.version("tensorflow").split(".")[:2]
    assert container["image"].partition(":")[2].split(".")[:2] == trained_by


def test_a_run_may_do_no_more_than_kubeflow_needs():
    rights = {
        (resource, *rule.get("resourceNames", [])): set(rule["verbs"])
        for rule in find(build("base"), "Role", CLUSTER.service_account)["rules"]
        for resource in rule["resources"]
    }
    assert rights == {
        ("workflowtaskresults",): {"create", "patch"},
        ("workflowtasksets",): {"get", "list", "watch"},
        ("workflowtasksets/status",): {"patch"},
        ("configmaps", "kfp-launcher"): {"get"},
        ("secrets", "mlpipeline-minio-artifact"): {"get"},
    }


def test_the_database_is_reached_from_the_pods_of_a_run_alone():
    base = build("base")
    assert find(base, "NetworkPolicy", "default-deny-ingress")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
    }
    policy = find(base, "NetworkPolicy", "mysql")["spec"]
    assert policy["ingress"] == [
        {"from": [{"podSelector": PIPELINE_PODS}], "ports": [{"protocol": "TCP", "port": CLUSTER.mysql.port}]}
    ]
    assert "egress" not in policy
    assert find(base, "NetworkPolicy", "pipeline-pods")["spec"]["podSelector"] == PIPELINE_PODS


def test_every_policy_selects_pods_that_there_are(documents):
    templates = [one["spec"]["template"] for one in documents if one["kind"] in ("Deployment", "StatefulSet")]
    labels = [template["metadata"]["labels"] for template in templates]
    labels += [PIPELINE_PODS["matchLabels"], {"app": "ml-pipeline-ui-artifact"}]  # of pods that Kubeflow makes
    for policy in (one["spec"] for one in documents if one["kind"] == "NetworkPolicy"):
        peers = [peer for rule in policy.get("ingress", []) for peer in rule.get("from", [])]
        peers += [peer for rule in policy.get("egress", []) for peer in rule.get("to", [])]
        selectors = [policy["podSelector"], *(peer["podSelector"] for peer in peers if "podSelector" in peer)]
        for selector in selectors:
            wanted = selector.get("matchLabels", {}).items()
            assert any(wanted <= given.items() for given in labels), selector


def test_every_patch_of_an_overlay_has_something_to_patch():
    """Kustomize silently ignores a target that does not exist."""
    for overlay in ("dev", "prod"):
        path = PROJECT / f"kubeflow/manifests/overlays/{overlay}/kustomization.yaml"
        for patch in yaml.safe_load(path.read_text())["patches"]:
            if "target" in patch:
                assert find(build("base"), patch["target"]["kind"], patch["target"]["name"])
    claims = find(build("overlays/prod"), "StatefulSet", "graftline-mysql")["spec"]["volumeClaimTemplates"]
    assert [claim["spec"]["resources"]["requests"]["storage"] for claim in claims] == ["50Gi"]


def test_one_model_server_in_dev_several_in_prod_and_one_of_them_may_go():
    scaled = {
        name: find(build(f"overlays/{name}"), "HorizontalPodAutoscaler", "model-server") for name in ("dev", "prod")
    }
    assert scaled["dev"]["spec"]["maxReplicas"] == 1
    assert scaled["prod"]["spec"]["minReplicas"] > 1
    budget = find(build("overlays/prod"), "PodDisruptionBudget", "model-server")["spec"]
    deployment = find(build("overlays/prod"), "Deployment", "model-server")["spec"]
    assert budget == {"maxUnavailable": 1, "selector": deployment["selector"]}


def test_without_profiles_all_is_in_kubeflows_namespace_and_nothing_of_its_own_is_touched(tmp_path):
    documents = build_own(tmp_path, "overlays/dev", "infra-validator", "standalone")
    assert {one["metadata"]["namespace"] for one in documents} == {"kubeflow"}
    names = {(one["kind"], one["metadata"]["name"]) for one in documents}
    assert not names & {("Service", "mysql"), ("Deployment", "mysql"), ("PersistentVolumeClaim", "mysql-pv-claim")}
    assert find(documents, "StatefulSet", "graftline-mysql")["spec"]["serviceName"] == "graftline-mysql"
    find(documents, "Service", "graftline-mysql")
    closed = [one["spec"]["podSelector"] for one in documents if one["kind"] == "NetworkPolicy"]
    assert {} not in closed
    assert PIPELINE_PODS not in closed


def test_flink_is_the_one_that_the_pipeline_was_run_on():
    documents = build("flink")
    images = {one["image"] for pod in pod_specs(documents) for one in pod["containers"]}
    assert {image.partition(":")[2].partition("-")[0] for image in images if image.startswith("flink:")} == {
        flink.FLINK
    }
    server = find(documents, "Deployment", "flink-job-server")["spec"]["template"]["spec"]["containers"][0]
    assert Path(server["command"][-1]).name == flink.JOB_SERVER.name
    assert Path(server["command"][-1]).parents[1] == CLUSTER.mount


def test_beams_workers_see_the_files_of_the_run():
    pod = find(build("flink"), "Deployment", "flink-task-manager")["spec"]["template"]["spec"]
    (workers,) = [one for one in pod["containers"] if one["name"] == "workers"]
    assert {"name": "graftline", "mountPath": str(CLUSTER.mount)} in workers["volumeMounts"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "graftline"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLUSTER.volume


def test_kserve_takes_the_inference_service_and_serves_what_the_pipeline_pushes(digits, tmp_path):
    documents = build_with_kserve(tmp_path, "overlays/prod", model="cats_vs_dogs", service="cats-vs-dogs")
    service = inference_service(documents)
    assert list(kserve.faults(service)) == []
    assert service["metadata"]["name"] == "cats-vs-dogs"
    deployment, _ = kserve.made_of(service)
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if "persistentVolumeClaim" in one]
    assert volume["persistentVolumeClaim"] == {"claimName": CLUSTER.volume}
    (container,) = pod["containers"]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == volume["name"]]
    assert CLUSTER.mount / mount["subPath"] == digits.push_dir.with_name("cats_vs_dogs")
    assert mount["readOnly"]
    arguments = dict(argument.split("=") for argument in container["args"])  # the last one of a name counts
    assert arguments["--model_name"] == "cats_vs_dogs"
    assert arguments["--model_base_path"] == mount["mountPath"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/models/cats_vs_dogs"


def test_what_overlays_say_of_the_deployment_holds_for_kserves(tmp_path):
    replaced = build("overlays/prod")
    documents = build_with_kserve(tmp_path, "overlays/prod")
    predictor = inference_service(documents)["spec"]["predictor"]
    scaled = find(replaced, "HorizontalPodAutoscaler", "model-server")["spec"]
    assert predictor["minReplicas"] == scaled["minReplicas"]
    assert predictor["maxReplicas"] == scaled["maxReplicas"]
    assert predictor["scaleTarget"] == scaled["metrics"][0]["resource"]["target"]["averageUtilization"]
    deployment = find(replaced, "Deployment", "model-server")["spec"]["template"]
    (ours,) = deployment["spec"]["containers"]
    made, _ = kserve.made_of(inference_service(documents))
    (theirs,) = made["spec"]["template"]["spec"]["containers"]
    assert theirs["image"] == ours["image"]
    assert theirs["resources"]["requests"] == ours["resources"]["requests"]
    assert theirs["resources"]["limits"]["memory"] == ours["resources"]["limits"]["memory"]
    for same in ("startupProbe", "livenessProbe", "securityContext"):
        assert theirs[same] == ours[same]
    for same in ("securityContext", "topologySpreadConstraints", "automountServiceAccountToken"):
        assert made["spec"]["template"]["spec"][same] == deployment["spec"][same]
    budget = find(documents, "PodDisruptionBudget", "model-server")["spec"]["selector"]["matchLabels"]
    assert budget.items() <= made["spec"]["template"]["metadata"]["labels"].items()


def test_kserve_replaces_the_model_server_and_nothing_else(tmp_path):
    def names(documents: list[dict]) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in documents if one["kind"] != "ConfigMap"}

    replaced = {(kind, "model-server") for kind in ("Deployment", "Service", "HorizontalPodAutoscaler")}
    documents = build_with_kserve(tmp_path, "overlays/prod")
    assert names(documents) == names(build("overlays/prod")) - replaced | {("InferenceService", "pets")}


def test_an_inference_service_without_a_name_of_its_own_is_not_built(tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        build_own(tmp_path, "base", "kserve")
    assert "INFERENCE_SERVICE" in failed.value.stderr


@pytest.mark.parametrize(("resource", "components"), [("base", []), ("overlays/dev", ["standalone"])])
def test_kserves_pods_are_reached_on_the_ports_they_listen_on_alone(tmp_path, resource, components):
    documents = build_with_kserve(tmp_path, resource, *components)
    deployment, service = kserve.made_of(inference_service(documents))
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    policies = [one["spec"] for one in documents if one["kind"] == "NetworkPolicy"]
    ours = [
        policy
        for policy in policies
        if policy["podSelector"].get("matchLabels", {}).items() <= template["metadata"]["labels"].items()
    ]
    assert all("Ingress" in policy["policyTypes"] for policy in ours)
    assert any("Egress" in policy["policyTypes"] for policy in ours)
    (opened,) = [rule for policy in ours for rule in policy.get("ingress", [])]
    assert "from" not in opened
    listening = {flag.split("=")[1] for flag in container["args"] if re.match("--(rest_api_)?port=", flag)}
    assert {str(port["port"]) for port in opened["ports"]} == listening
    assert {str(port["targetPort"]) for port in service["spec"]["ports"]} == listening
    assert not [rule for policy in ours for rule in policy.get("egress", [])]


BROKEN: dict[str, tuple[Callable[[dict], object], str]] = {
    "an underscore in the name": (lambda one: one["metadata"].update(name="cats_vs_dogs"), "name cats_vs_dogs is not"),
    "a capital": (lambda one: one["metadata"].update(name="Pets"), "name Pets is not"),
    "a digit first": (lambda one: one["metadata"].update(name="101pets"), "name 101pets is not"),
    "a long name": (lambda one: one["metadata"].update(name="a" * 49), "is too long"),
    "no name": (lambda one: one["metadata"].pop("name"), "'name' is a required property"),
    "a mode there is not": (lambda one: annotate(one, "Serverles"), "deploymentMode Serverles is not one of"),
    "a mode in capitals": (lambda one: annotate(one, "STANDARD"), "deploymentMode STANDARD is not one of"),
    "no mode": (lambda one: one["metadata"].pop("annotations"), "deploymentMode None is not one of"),
    "a scheme there is not": (
        lambda one: model(one).update(storageUri="nfs://graftline/serving/pets"),
        "storageUri nfs://graftline/serving/pets has none of the schemes",
    ),
    "a misspelt field": (lambda one: model(one).update(storageURI=model(one).pop("storageUri")), "'storageURI' was un"),
    "a field in the wrong place": (
        lambda one: one["spec"]["predictor"].update(storageUri=model(one).pop("storageUri")),
        "'storageUri' was unexpected",
    ),
    "a misspelt field of metadata": (lambda one: one["metadata"].update(label={}), "'label' was unexpected"),
    "a misspelt field in a list": (lambda one: model(one)["ports"][0].update(port=8080), "'port' was unexpected"),
    "words for a number": (lambda one: one["spec"]["predictor"].update(minReplicas="two"), "'two' is not of type"),
    "a number for words": (lambda one: model(one).update(runtimeVersion=2.21), "2.21 is not of type 'string'"),
    "words for a structure": (lambda one: model(one).update(modelFormat="tensorflow"), "is not of type 'object'"),
    "a format without name": (lambda one: model(one)["modelFormat"].clear(), "'name' is a required property"),
    "a measure there is not": (lambda one: one["spec"]["predictor"].update(scaleMetric="gpu"), "'gpu' is not one of"),
    "memory without number": (
        lambda one: model(one)["resources"]["requests"].update(memory="much"),
        "'much' does not match",
    ),
    "no predictor": (lambda one: one["spec"].clear(), "'predictor' is a required property"),
}


def model(service: dict) -> dict:
    return service["spec"]["predictor"]["model"]


def annotate(service: dict, mode: str) -> None:
    service["metadata"]["annotations"][kserve.MODE] = mode


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict:
    return inference_service(build_with_kserve(tmp_path_factory.mktemp("overlay"), "base"))


@pytest.mark.parametrize("name", BROKEN)
def test_what_kserve_would_not_take_is_seen(sound, name):
    do_break, fault = BROKEN[name]
    broken = copy.deepcopy(sound)
    do_break(broken)
    assert not list(kserve.faults(sound))
    assert any(fault in one for one in kserve.faults(broken)), list(kserve.faults(broken))


def documented(page: str, starts: str, ends: str) -> list[str]:
    """Returns the parts of a documentation page between two lines."""
    text = (PROJECT / "docs/how-to" / page).read_text()
    return re.findall(rf"(?ms)^{starts}\n(.*?)^{ends}$", text)


def test_the_documented_overlay_can_be_built(tmp_path):
    blocks = documented("kubeflow-cluster.md", "```yaml", "```")
    (overlay,) = [text for text in blocks if "overlays/here" not in text and "../prod" in text]
    there = os.path.relpath(MANIFESTS, tmp_path.resolve())
    whole = overlay.replace("  # - ", "  - ").replace("../../", f"{there}/").replace("[../", f"[{there}/overlays/")
    named = re.sub(r"(components/\S+) .*", r"\1", whole)
    (tmp_path / "kustomization.yaml").write_text(named)
    documents = build(tmp_path)
    assert served(documents)[1] == "cats_vs_dogs"
    find(documents, "StatefulSet", "graftline-mysql")
    find(documents, "Role", "graftline-infra-validator")
    claim = find(documents, "PersistentVolumeClaim", CLUSTER.volume)
    assert claim["spec"]["storageClassName"] == "your-shared-class"
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_documented_inference_service_can_be_built(tmp_path):
    (part,) = [text for text in documented("serve.md", "```yaml", "```") if "components/kserve" in text]
    there = os.path.relpath(MANIFESTS, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{there}/overlays/prod]\n" + part.replace("../../", f"{there}/")
    )
    service = inference_service(build(tmp_path))
    assert list(kserve.faults(service)) == []
    assert model(service)["storageUri"] == f"pvc://{CLUSTER.volume}/serving/cats_vs_dogs"


def test_the_documented_pod_is_one_that_kubernetes_takes():
    commands = documented("kubeflow-cluster.md", "kubectl .*<<END", "END")
    (pod,) = [yaml.safe_load(text) for text in commands if "kind: Pod" in text]
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == CLUSTER.volume


def test_every_setting_of_a_cluster_is_documented():
    text = (PROJECT / "docs/how-to/kubeflow-cluster.md").read_text()
    assert not [name for name in Cluster.model_fields if not re.search(rf"`(cluster\.)?{name}[`.]", text)]
