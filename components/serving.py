"""The exported model: one SavedModel that takes tf.Examples or encoded pictures and answers with names."""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft

from components.features import IMAGE, LABEL

EXAMPLES, IMAGE_BYTES = "examples", "image_bytes"


class ServingModule(tf.Module):
    """A classifier behind the Transform graph that it was trained with, so that serving cannot see other pixels."""

    def __init__(self, model: keras.Model, transform: tft.TFTransformOutput, label_names: list[str]) -> None:
        super().__init__()
        self._model = model
        self._transform = transform.transform_features_layer()  # an attribute: its resources are saved with the module
        self._raw_spec = transform.raw_feature_spec()
        self._label_names = label_names

    def signatures(self) -> dict[str, Any]:
        """Returns the functions to export, by signature."""
        examples = tf.TensorSpec([None], tf.string, EXAMPLES)
        image_bytes = tf.TensorSpec([None], tf.string, IMAGE_BYTES)
        return {
            "serving_default": tf.function(self.classify_examples, [examples]),
            "serving_bytes": tf.function(self.classify_bytes, [image_bytes]),
            "transform_features": tf.function(self.transform_examples, [examples]),
        }

    def classify_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies serialized tf.Examples [batch]; of their features only the picture is read, so none has a label."""
        return self._classify(self._parse(examples, IMAGE))

    def classify_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies encoded pictures, strings [batch]."""
        return self._classify({IMAGE: tf.reshape(image_bytes, [-1, *self._raw_spec[IMAGE].shape])})

    def transform_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns labelled, serialized tf.Examples [batch] into what the classifier was trained on."""
        return self._transform(self._parse(examples, IMAGE, LABEL))

    def _parse(self, examples: tf.Tensor, *names: str) -> dict[str, tf.Tensor]:
        return tf.io.parse_example(examples, {name: self._raw_spec[name] for name in names})

    def _classify(self, raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        logits = self._model(self._transform(raw)[IMAGE], training=False)
        class_probabilities = probabilities(logits)
        label = tf.argmax(class_probabilities, axis=-1)
        label_name = tf.gather(tf.constant(self._label_names), label)
        return {"probabilities": class_probabilities, "label": label, "label_name": label_name}


def probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Turns logits [batch, 1 or classes] into float32 probabilities [batch, classes]; one logit stands for two classes."""
    logits = tf.cast(logits, tf.float32)
    if logits.shape[-1] == 1:
        return tf.concat([tf.sigmoid(-logits), tf.sigmoid(logits)], axis=-1)
    return tf.nn.softmax(logits)


def export(model: keras.Model, transform: tft.TFTransformOutput, label_names: list[str], directory: str) -> None:
    """Saves a classifier with its Transform graph, loadable by TensorFlow alone.

    Every signature takes a batch of any size. `serving_default` (input `examples`, serialized tf.Examples) and
    `serving_bytes` (input `image_bytes`, encoded pictures) give `probabilities` float32 [batch, classes], `label` int64
    [batch] and `label_name` string [batch]; `transform_features` gives the transformed features of labelled examples.

    Args:
      model: from pictures [batch, size, size, 3] to logits [batch, 1 or classes].
      transform: output of the Transform that fed its training.
      label_names: class names in the order of their labels.
      directory: where the SavedModel is written.
    """
    module = ServingModule(model, transform, label_names)
    tf.saved_model.save(module, directory, signatures=module.signatures())
