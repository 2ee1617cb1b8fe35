"""The stages of the DAG, which are the pods of a cluster: what comes before training, training, and what comes after it."""

from graftline.runs import store

PREPARE, TRAIN, RELEASE = STAGES = ("prepare", "train", "release")
TRAINER = store.MODEL.node


def stages(nodes: list[str]) -> dict[str, list[str]]:
    """Returns the nodes of each stage.

    Args:
      nodes: the ids of all of them, in topological order.
    """
    at = nodes.index(TRAINER)
    return {PREPARE: nodes[:at], TRAIN: nodes[at : at + 1], RELEASE: nodes[at + 1 :]}
