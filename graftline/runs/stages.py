"""The stages of the DAG, each of them one pod on a cluster: before training, training, and after training."""

from graftline.runs import store

PREPARE, TRAIN, RELEASE = STAGES = ("prepare", "train", "release")
TRAINER = store.MODEL.node


def stages(nodes: list[str]) -> dict[str, list[str]]:
    """Returns the nodes of each stage.

    Args:
      nodes: the ids of all nodes, in topological order.
    """
    at = nodes.index(TRAINER)
    return {PREPARE: nodes[:at], TRAIN: nodes[at : at + 1], RELEASE: nodes[at + 1 :]}
