"""The exported model: one SavedModel that takes tf.Examples or encoded images and answers with names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from graftline.artifacts.examples import EXAMPLES, EXTRA, IMAGE, IMAGE_BYTES, LABEL, write_label_names
from graftline.network import backbone
from graftline.network.known import Known, likeness


class ServingModule(tf.Module):
    """A classifier behind the Transform graph that it was trained with, so that serving sees the same pixels as training."""

    def __init__(
        self,
        model: keras.Model,
        transform: tft.TFTransformOutput,
        label_names: list[str],
        known: Known,
        temperature: float,
    ) -> None:
        super().__init__()
        self._images = tf.TensorSpec([None, *model.input.shape[1:]], tf.float32, IMAGE)
        # One function for all signatures, and only the variables of the model, so that the graph holds the network once
        self._network = _traced(lambda image: model(image, training=False), self._images)
        self._variables = [variable.value for variable in model.variables]
        self._kernel = backbone.kernel(model).value
        self._transform = transform.transform_features_layer()  # an attribute, so that its resources are saved too
        self._raw_spec = transform.raw_feature_spec()
        # Also only one, because tracing it takes a second
        raw = tf.TensorSpec([None, *self._raw_spec[IMAGE].shape], tf.string)
        self._pixels = _traced(lambda encoded: self._transform({IMAGE: encoded})[IMAGE], raw)
        self._label_names = label_names
        self._temperature = temperature
        self._reference, self._least = tf.Variable(known.reference, trainable=False), known.least

    def signatures(self) -> dict[str, Any]:
        """Returns the functions to export, by signature."""
        examples = tf.TensorSpec([None], tf.string, EXAMPLES)
        image_bytes = tf.TensorSpec([None], tf.string, IMAGE_BYTES)
        return {
            "serving_default": _traced(self.classify_examples, examples),
            "serving_bytes": _traced(self.classify_bytes, image_bytes),
            "serving_explain": _traced(self.explain_bytes, image_bytes),
            "serving_scores": _traced(self.score_examples, examples),
            "serving_pixels": _traced(self.classify_pixels, self._images),
            "transform_features": _traced(self.transform_examples, examples),
        }

    def classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies serialized tf.Examples [batch]; they need no label, because only the image is read."""
        return self._named(*self._outputs(self._parse(examples, IMAGE)[IMAGE]))

    def classify_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded images, strings [batch]."""
        return self._named(*self._outputs(self._raw(image_bytes)))

    def explain_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded images, strings [batch], and shows which parts of each spoke for its class."""
        features, activation, logits = self._outputs(self._raw(image_bytes))
        answer = self._named(features, activation, logits)
        return answer | {"heat_map": heat_map(activation, self._kernel, answer["label"])}

    def score_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns probabilities of serialized tf.Examples [batch], and whether they are known, without class names."""
        return self._scored(*self._outputs(self._parse(examples, IMAGE)[IMAGE]))

    def classify_pixels(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies upright images [batch, size, size, 3] from the Transform; one that is not finite gets NaN."""
        return self._scored(*self._network(image))

    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns labelled, serialized tf.Examples [batch] into what the classifier was trained on."""
        return self._transform(self._parse(examples, IMAGE, LABEL))

    def _parse(self, examples: tf.Tensor, *names: str) -> dict[str, tf.Tensor]:
        return tf.io.parse_example(examples, {name: self._raw_spec[name] for name in names})

    def _raw(self, image_bytes: tf.Tensor) -> tf.Tensor:
        return tf.reshape(image_bytes, [-1, *self._raw_spec[IMAGE].shape])

    def _outputs(self, raw: tf.Tensor) -> Any:
        return self._network(self._pixels(raw))

    def _scored(self, features: tf.Tensor, _: tf.Tensor, logits: tf.Tensor) -> dict[str, tf.Tensor]:
        is_known = likeness(features, self._reference) >= self._least
        return {"probabilities": probabilities(logits, self._temperature), "known": is_known}

    def _named(self, *outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = self._scored(*outputs)
        label = tf.argmax(answer["probabilities"], axis=-1)
        return answer | {"label": label, "label_name": tf.gather(tf.constant(self._label_names), label)}


def _traced(function: Callable[[tf.Tensor], Any], spec: tf.TensorSpec) -> tf.types.experimental.PolymorphicFunction:
    return tf.function(function, [spec], autograph=False)


def probabilities(logits: tf.Tensor, temperature: float = 1.0) -> tf.Tensor:
    """Turns logits into probabilities.

    Args:
      logits: float [batch, 1 or classes]; one logit stands for two classes.
      temperature: the divisor of the logits.

    Returns:
      float32 [batch, classes].
    """
    logits = tf.cast(logits, tf.float32) * (1 / temperature)  # TFLite cannot divide in int8
    if logits.shape[-1] == 1:
        return tf.concat([tf.sigmoid(-logits), tf.sigmoid(logits)], axis=-1)
    return tf.nn.softmax(logits)


def heat_map(activation: tf.Tensor, kernel: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """Returns which parts of an image spoke for its class: the class activation map, divided by its maximum.

    That map is relu(sum_k w_kc A_k) (Zhou et al. 2016). Up to a factor, which the division removes, Grad-CAM gives the same
    for a network that ends in average pooling and one dense layer (Selvaraju et al. 2017, section 3 and appendix A).

    Args:
      activation: A, float32 [batch, height, width, channels], before average pooling.
      kernel: w, float32 [channels, 1 or classes], of the dense layer.
      label: c, int64 [batch].

    Returns:
      float32 [batch, height, width] in [0, 1]; 0 everywhere if nothing spoke for the class.
    """
    if kernel.shape[-1] == 1:
        kernel = tf.concat([-kernel, kernel], axis=-1)  # one logit stands for two classes
    evidence = tf.nn.relu(tf.einsum("bhwk,kb->bhw", activation, tf.gather(kernel, label, axis=-1)))
    return tf.math.divide_no_nan(evidence, tf.reduce_max(evidence, axis=[1, 2], keepdims=True))


def export(
    model: keras.Model,
    transform: tft.TFTransformOutput,
    label_names: list[str],
    directory: str,
    known: Known,
    temperature: float = 1.0,
) -> None:
    """Saves a classifier with its Transform graph; loading it needs only TensorFlow.

    Every signature takes a batch of any size. `serving_default` (input `examples`, serialized tf.Examples) and
    `serving_bytes` (input `image_bytes`, encoded images) return `probabilities` float32 [batch, classes], `known` bool
    [batch], false if the image is not like any training image, `label` int64 [batch] and `label_name` string [batch].
    `serving_explain` (input `image_bytes`) also returns `heat_map`, see the function of that name. `transform_features`
    returns the transformed features of labelled examples. `serving_pixels` takes such an `image`, float32
    [batch, size, size, 3], turned upright by the caller, and returns only `probabilities` and `known`. So does
    `serving_scores` for `examples`; it is for TFX's BulkInferrer, which fails on outputs of one string per image. The graph
    turns encoded images as their EXIF orientation says. The class names are saved next to the graph.

    Args:
      model: the network, as `backbone.classifier` builds it.
      transform: output of the Transform that its training used.
      label_names: class names in the order of their labels.
      directory: where the SavedModel is written.
      known: what recognizes images that are like the training images.
      temperature: the divisor of the logits in every signature; 1 leaves them as they are.
    """
    module = ServingModule(model, transform, label_names, known, temperature)
    tf.saved_model.save(module, directory, signatures=module.signatures())
    extra = Path(directory, EXTRA)
    extra.mkdir(exist_ok=True)
    write_label_names(str(extra), label_names)
