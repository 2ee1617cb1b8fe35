"""Infers the schema of a dataset that has none: `graftline schema --data <name>`. Review and commit what it writes.

If `data_gate.infer_schema` is set, each run does this until a run has passed all checks.
"""

from collections.abc import Iterable

import tensorflow_data_validation as tfdv
from tfx.dsl.compiler.compiler import Compiler
from tfx.dsl.components.base.base_node import BaseNode

from graftline.artifacts.examples import TRAIN, read_label_names
from graftline.base import console
from graftline.base.errors import UserError
from graftline.data import schema
from graftline.runs import provisional, store, summary
from graftline.runs.dag import assemble
from graftline.runs.runner import LocalRunner
from graftline.settings.settings import Settings


def infer_schema(settings: Settings, reading: Iterable[BaseNode]) -> None:
    """Reads the dataset, computes its statistics and writes `settings.schema_path`; within a run, provisionally.

    Args:
      settings: those of the dataset.
      reading: the nodes that read it and compute the statistics.

    Raises:
      UserError: if that file already exists, because it may hold somebody's decisions.
    """
    if settings.schema_path.exists() and not provisional.is_provisional(settings.schema_path):
        raise UserError(f"{settings.schema_path} already exists: move it away to infer a new one.")
    # Not `run`, because TFX's command line counts its calls and looks at their DAG
    run_id = LocalRunner(settings, store.INFERENCE).run_with_ir(Compiler().compile(assemble(settings, list(reading))))
    nodes = summary.read(settings, run_id)
    examples, counted = store.made(nodes, store.EXAMPLES), store.made(nodes, store.STATISTICS)
    assert examples and counted  # else the run would have raised
    statistics = tfdv.load_stats_binary(f"{counted.uri}/Split-{TRAIN}/FeatureStats.pb")
    inferred = schema.infer(statistics, read_label_names(examples.uri))
    settings.schema_path.parent.mkdir(parents=True, exist_ok=True)
    aside = settings.schema_path.with_suffix(".new")
    tfdv.write_schema_text(inferred, str(aside))
    if settings.data_gate.infer_schema:
        provisional.put(aside, settings.schema_path)
        console.line(f"Inferred {settings.schema_path}, which is kept once the photos have passed all checks.")
    else:
        aside.replace(settings.schema_path)
        console.line(f"Wrote {settings.schema_path}: review it, commit it, then run `graftline run`.")
