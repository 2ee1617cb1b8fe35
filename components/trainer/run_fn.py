"""The Trainer: phase 1 fits a new head on the frozen backbone, phase 2 fine-tunes the backbone's top layers too.

The two phases are those of TensorFlow's transfer-learning tutorial. The default differs in that BatchNorm keeps its moving
statistics, because on small datasets they never catch up and the accuracy collapses.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from graftline.artifacts.examples import TRAIN, read_label_names, uri_of
from graftline.artifacts.history import HISTORY_FILE
from graftline.base.code import identity
from graftline.features.build import cached_splits
from graftline.features.cache import CachedSplit
from graftline.network import backbone, weights
from graftline.serving.export import export
from graftline.settings.training import Model, Training
from graftline.training import fitted, workers
from graftline.training.checkpoints import Checkpoints
from graftline.training.phases import Network, Run
from graftline.training.precision import choose_arithmetic, precision, with_values


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports the serving model, and writes `history.json` next to the TensorBoard logs.

    Args:
      fn_args: TFX's arguments. `custom_config` holds `model`, `prefix` and `training`, sections of the settings as
        dictionaries, and `work_dir`, where features are cached. `hyperparameters`, if the Tuner found any, override
        those.

    If TF_CONFIG is set, see graftline/training/workers.py, every worker calls this, and the first one writes.

    Raises:
      UserError: if the pretrained weights are not available or do not fit, or if workers cannot train together.
    """
    tuned = (fn_args.hyperparameters or {}).get("values", {})
    config = with_values(fn_args.custom_config, tuned)
    model, training = Model(**config["model"]), Training(**config["training"])
    team = workers.join(training.batch_size)
    examples_uri = uri_of(fn_args.train_files[0])
    label_names = read_label_names(examples_uri)
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)
    if pretrained:
        print(f"Initial weights: {pretrained.source}, sha256 {pretrained.sha256[:8]}.", flush=True)

    # Seed, precision and strategy in this order, because each acts on what is built after it
    keras.utils.set_random_seed(training.seed)
    arithmetic = choose_arithmetic(training.mixed_precision)
    with precision(arithmetic):
        with team.strategy.scope():
            network, at = _network(model, len(label_names), pretrained.path if pretrained else None, arithmetic)
        with team.chief_first():  # outside the strategy's scope, in which all workers must make the same variables
            splits = cached_splits(network.base, at, config, examples_uri, transform, team.is_chief)
        saved = _checkpoints(config, splits)
        with team.strategy.scope():
            phases = Run(
                network=network,
                splits=splits,
                model=model,
                training=training,
                num_classes=len(label_names),
                saved=saved,
                log_dir=fn_args.model_run_dir,
                workers=team,
            ).run()

    with team.chief_first():
        if team.is_chief:
            plain = _plain(network, model, len(label_names))
            # For what is exported, which computes in float32 whatever it was trained in
            found = fitted.fit(plain.fine_tuned, splits, training)
            given = {"weights": _describe(pretrained), "tuned": tuned, "label_names": label_names}
            history = {"phases": phases} | given | _about(plain, splits, training, found)
            _write_json(history, f"{fn_args.model_run_dir}/{HISTORY_FILE}")
            classifier = backbone.classifier(plain.base, plain.head, model, at)
            export(classifier, transform, label_names, fn_args.serving_model_dir, found.known, found.temperature or 1.0)
            saved.remove()


def _network(
    model: Model, num_classes: int, weights_path: Path | None, arithmetic: str = "float32"
) -> tuple[Network, str]:
    """Returns the network with a fresh head, and the layer where its base is cut."""
    base = backbone.build(model, weights_path)
    on_top = backbone.head(base, model, num_classes)
    at = backbone.cut(base, model.fine_tune_at)
    return Network(base, on_top, backbone.fine_tuned(base, on_top, model, at, arithmetic)), at


def _checkpoints(config: dict[str, Any], splits: dict[str, CachedSplit]) -> Checkpoints:
    """Returns the checkpoints of exactly this training: of the same features, settings and code."""
    views = [view.name for view in splits[TRAIN].views]
    parts = {
        "features": splits[TRAIN].views[0].parent.name,
        "views": views,
        "config": config,
        "code": identity(__name__),
    }
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return Checkpoints(Path(config["work_dir"], "checkpoints", key), used=[splits[TRAIN].views[0].parent])


def _about(
    network: Network, splits: dict[str, CachedSplit], training: Training, found: fitted.Fitted
) -> dict[str, Any]:
    """Returns what the history says about the model besides its phases and what it was given."""
    return {
        "balanced": training.class_weights == "balanced",
        "temperature": found.temperature,
        "known": {"images": len(found.known.reference), "least": found.known.least},
        "parameters": network.base.count_params() + network.head.count_params(),
        "features": {split: [str(view) for view in cached.views] for split, cached in splits.items()},
    }


def _describe(pretrained: weights.Weights | None) -> dict[str, str]:
    return (
        {"source": pretrained.source, "sha256": pretrained.sha256} if pretrained else {"source": "none", "sha256": ""}
    )


def _write_json(values: dict[str, Any], path: str) -> None:
    tf.io.gfile.makedirs(path.rsplit("/", 1)[0])
    with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
        file.write(json.dumps(values, indent=1))
    tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)


def _plain(network: Network, model: Model, num_classes: int) -> Network:
    """Returns a float32 network with the same weights, but without optimizer and strategy."""
    plain, _ = _network(model, num_classes, None)
    plain.base.set_weights(network.base.get_weights())
    plain.head.set_weights(network.head.get_weights())
    return plain
