"""What KServe accepts as an InferenceService, and what it makes of one.

Based on the source of KServe v0.20.0; each rule names its place there. Paths are those of its repository; those of the
webhook and the reconcilers are below `pkg/controller/v1beta1/inferenceservice`. `kserve.yaml` has the part of its CRD that
the manifests use.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import yaml

# The name of an InferenceService, and the label that selects its pods: Kubernetes' limit for the label, which KServe does
# not check, is the stricter one (pkg/constants/constants.go:755 and :799)
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")  # pkg/apis/serving/v1beta1/inference_service_validation.go:46 and :470
APP = "isvc.{}-predictor"
LONGEST_LABEL = 63
# utils/utils.go:48 and :437; without a scheme, it is a path in the image
SCHEMES = ("gs", "s3", "pvc", "file", "https", "http", "hdfs", "webhdfs", "oci", "oci+native", "hf")
MODE = "serving.kserve.io/deploymentMode"
# pkg/constants/constants.go:561-568; KServe does not refuse other modes, but uses its own default (utils/utils.go:224-247)
MODES = ("Standard", "Knative", "ModelMesh")
# config/runtimes/kserve-tensorflow-serving.yaml:23-47, its image after config/runtimes/kustomization.yaml:22-24
RUNTIME = "kserve-tensorflow-serving"
IMAGE = "tensorflow/serving"
MODELS = "/mnt/models"  # DefaultModelLocalMountPath
ARGUMENTS = ["--port=9000", "--rest_api_port=8080", f"--model_base_path={MODELS}", "--rest_api_timeout_in_ms=60000"]
LIMITS = {"cpu": "1", "memory": "2Gi"}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {"name": {"type": "string"}, "namespace": {"type": "string"}, "labels": LABELS, "annotations": LABELS}


def _strict(schema: dict) -> dict:
    """Returns a schema that refuses unknown fields, as the API server does with strict validation."""
    strict = dict(schema)
    if "properties" in schema:
        strict["properties"] = {name: _strict(inner) for name, inner in schema["properties"].items()}
        strict["additionalProperties"] = False
    if "items" in schema:
        strict["items"] = _strict(schema["items"])
    return strict


def _schema() -> dict:
    schema = yaml.safe_load(Path(__file__).with_name("kserve.yaml").read_text())
    schema["properties"]["metadata"] = {"type": "object", "properties": METADATA, "required": ["name"]}
    return _strict(schema)


def faults(service: dict) -> Iterator[str]:
    """Yields why KServe would refuse an InferenceService, or make something else of it."""
    for error in jsonschema.Draft202012Validator(_schema()).iter_errors(service):
        yield f"{error.json_path}: {error.message}"
    name = service["metadata"].get("name", "")
    if not NAME.fullmatch(name):
        yield f"name {name} is not {NAME.pattern}"
    if len(APP.format(name)) > LONGEST_LABEL:
        yield f"name {name} is too long for the label {APP.format(name)}"
    mode = service["metadata"].get("annotations", {}).get(MODE)
    if mode not in MODES:
        yield f"deploymentMode {mode} is not one of {MODES}"
    address = service["spec"].get("predictor", {}).get("model", {}).get("storageUri", "")
    scheme, separator, _ = address.partition("://")
    if separator and scheme not in SCHEMES:
        yield f"storageUri {address} has none of the schemes {SCHEMES}"


def made_of(service: dict) -> list[dict]:
    """Returns the Deployment and the Service that KServe makes of an InferenceService in the mode `Standard`."""
    predictor = dict(service["spec"]["predictor"])
    model = dict(predictor.pop("model"))
    assert service["metadata"]["annotations"][MODE] == "Standard"
    assert model.pop("runtime") == RUNTIME
    assert model.pop("modelFormat") == {"name": "tensorflow"}
    version = model.pop("runtimeVersion")
    for scaling in ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"):
        predictor.pop(scaling)
    name = service["metadata"]["name"]
    # components/predictor.go:498-513
    labels = predictor.pop("labels", {}) | {
        "serving.kserve.io/inferenceservice": name,
        "component": "predictor",
        "app": APP.format(name),  # reconcilers/deployment/deployment_reconciler.go:146
    }
    # A claim is mounted as it is: pkg/webhook/admission/pod/storage_initializer_injector.go:509-558 and :256,
    # pkg/utils/storage.go:59-73 and :107-160
    claim, _, path = model.pop("storageUri").removeprefix("pvc://").partition("/")
    mount = {"name": "kserve-pvc-source", "mountPath": MODELS, "subPath": path, "readOnly": True}
    volume = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
    container = {
        **model,
        "name": "kserve-container",
        "image": f"{IMAGE}:{version}",  # utils/utils.go:339-354
        "command": ["/usr/bin/tensorflow_model_server"],
        # The runtime's, then the model's: utils/utils.go:250-263
        "args": [f"--model_name={name}", *ARGUMENTS, *model.get("args", [])],
        "resources": model["resources"] | {"limits": LIMITS | model["resources"].get("limits", {})},
        "volumeMounts": [*model.get("volumeMounts", []), mount],
    }
    pod = {**predictor, "containers": [container], "volumes": [*predictor.get("volumes", []), volume]}
    metadata = {"name": f"{name}-predictor", "namespace": service["metadata"]["namespace"]}
    selector = {"app": APP.format(name)}
    # The first port becomes 80, the others stay: reconcilers/service/service_reconciler.go:109-147
    first, *others = container.get("ports", [{"containerPort": 8080}])
    ports = [
        {"name": port.get("name", metadata["name"]), "port": outside, "targetPort": port["containerPort"]}
        for port, outside in [(first, 80), *((other, other["containerPort"]) for other in others)]
    ]
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": selector}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, "ports": ports}},
    ]
