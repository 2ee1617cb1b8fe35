"""Fits and evaluates a network over several workers."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from graftline.training.workers import Workers


class Loop:
    """Fits and evaluates a network over all workers, as Keras's `fit` and `evaluate` do in one process.

    Those of Keras 3.15 fail with several workers: they call `strategy.reduce` with a whole batch, a tuple, before the first
    step, and with a scalar and `axis=0` after each one. Besides, if a batch did not split evenly, each worker's mean would
    still weigh the same.

    Args:
      model: the compiled network.
      loss: a mean over the examples.
      accuracy: the metric, a mean over the examples.
      workers: all of them.
    """

    def __init__(
        self, model: keras.Model, loss: keras.losses.Loss, accuracy: keras.metrics.Metric, workers: Workers
    ) -> None:
        self._model = model
        self._loss = loss
        self._accuracy = accuracy
        self._strategy = workers.strategy
        self._train = self._everywhere(self._train_part)
        self._evaluate = self._everywhere(self._evaluate_part)

    def fit(
        self,
        dataset: tf.data.Dataset,
        validation_data: tf.data.Dataset,
        initial_epoch: int,
        epochs: int,
        callbacks: list[keras.callbacks.Callback],
        **_: Any,
    ) -> None:
        """Trains one epoch and validates; takes Keras's arguments, and ignores those about shuffling and printing."""
        steps = int(dataset.cardinality())
        called = keras.callbacks.CallbackList(callbacks, model=self._model, epochs=epochs, steps=steps)
        called.on_train_begin()
        called.on_epoch_begin(initial_epoch)
        logs: dict[str, float] = {}
        for step, logs in enumerate(self._means(self._train, dataset)):
            called.on_train_batch_end(step, logs)
        found = self.evaluate(validation_data)
        called.on_epoch_end(initial_epoch, logs | {f"val_{name}": found[name] for name in found})
        called.on_train_end()

    def evaluate(self, dataset: tf.data.Dataset, **_: Any) -> dict[str, float]:
        """Returns loss and accuracy; takes Keras's arguments."""
        return list(self._means(self._evaluate, dataset))[-1]

    def _means(self, step: Callable[..., tf.Tensor], dataset: tf.data.Dataset) -> Iterator[dict[str, float]]:
        """Runs a step on every batch, and after each yields the means over the examples so far."""
        totals = np.zeros(3)
        for part in self._strategy.experimental_distribute_dataset(self._split(dataset)):
            loss, hits, examples = step(*part).numpy()
            totals += (loss * examples, hits, examples)
            yield {"loss": totals[0] / totals[2], self._accuracy.name: totals[1] / totals[2]}

    def _split(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """Makes batches (features, labels, weights) that split evenly; examples repeated for that have weight 0."""
        replicas = self._strategy.num_replicas_in_sync

        def fill(features: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            examples = tf.shape(labels)[0]
            rows = tf.range(-(-examples // replicas) * replicas)
            # Keras takes the mean over all rows; with this weight it equals the mean over the examples
            weight = tf.cast(tf.size(rows) / examples, tf.float32)
            weights = tf.where(rows < examples, weight, 0.0)
            return tf.gather(features, rows % examples), tf.gather(labels, rows % examples), weights

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        return dataset.map(fill).with_options(options)

    def _everywhere(self, part: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        """Returns a function of a distributed batch that sums what each replica computes from its part."""

        @tf.function(reduce_retracing=True)
        def whole(*batch: Any) -> tf.Tensor:
            return self._strategy.reduce("SUM", self._strategy.run(part, batch), axis=None)

        return whole

    def _train_part(self, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        optimizer, variables = self._model.optimizer, self._model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._model(features, training=True)
            loss = self._loss(labels, logits, sample_weight=weights)
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            gradients = _finite_for_all(gradients)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._totals(loss, labels, logits, weights)

    def _evaluate_part(self, features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        logits = self._model(features, training=False)
        return self._totals(self._loss(labels, logits, sample_weight=weights), labels, logits, weights)

    def _totals(self, loss: tf.Tensor, labels: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Returns float32 [3]: a replica's part of the mean loss, its number of correct answers and of examples."""
        counted = tf.cast(weights > 0, tf.float32)
        none = [tf.zeros([]) for _ in self._accuracy.variables]
        return tf.stack([loss, *self._accuracy.stateless_update_state(none, labels, logits, sample_weight=counted)])


def _finite_for_all(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns gradients that are NaN if those of any replica overflowed.

    Keras 3.15's LossScaleOptimizer checks a replica's own gradients before they are summed: it would skip a step that the
    other workers take, and those would wait for it forever.
    """
    own = tf.add_n([tf.reduce_sum(gradient * 0) for gradient in gradients])
    nothing = tf.distribute.get_replica_context().all_reduce("SUM", own)  # 0, or NaN
    return [gradient + nothing for gradient in gradients]
