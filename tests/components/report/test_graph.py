"""The drawing of the lineage."""

import re

from components.report import graph
from components.report.content import Step
from tests.components.report import sample

STEPS = sample.report().facts.steps


def made(**inputs: list[str]) -> list[Step]:
    return [Step(name, 1.0, 1, cached=False, inputs=found) for name, found in inputs.items()]


def ends(line: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", line)]
    return tuple(numbers[:2]), tuple(numbers[-2:])


def test_each_step_stands_below_those_whose_outputs_it_read():
    boxes = {box.step.name: box for box in graph.layout(STEPS).boxes}
    assert set(boxes) == {step.name for step in STEPS}
    for step in STEPS:
        assert all(boxes[parent].y < boxes[step.name].y for parent in step.inputs)


def test_no_two_boxes_overlap_and_all_lie_within():
    drawing = graph.layout(STEPS)
    for one in drawing.boxes:
        assert graph.WIDTH / 2 <= one.x <= drawing.width - graph.WIDTH / 2
        assert graph.HEIGHT / 2 <= one.y <= drawing.height - graph.HEIGHT / 2
        for other in drawing.boxes:
            apart = abs(one.x - other.x) >= graph.WIDTH or abs(one.y - other.y) >= graph.HEIGHT
            assert one is other or apart


def test_a_line_that_others_imply_is_left_out():
    drawing = graph.layout(made(a=[], b=["a"], c=["a", "b"]))
    a, b, c = drawing.boxes
    below, above = graph.HEIGHT / 2, -graph.HEIGHT / 2
    assert [ends(line) for line in drawing.lines] == [
        ((a.x, a.y + below), (b.x, b.y + above)),
        ((b.x, b.y + below), (c.x, c.y + above)),
    ]


def test_a_long_line_passes_beside_the_boxes_of_the_rows_between():
    drawing = graph.layout(made(a=[], b=["a"], c=["b"], aside=["a"], end=["c", "aside"]))
    long = next(line for line in drawing.lines if "V" in line)
    passed = float(re.findall(r"([\d.]+) [\d.]+V", long)[0])
    row = [box for box in drawing.boxes if box.step.name == "c"]
    assert all(abs(box.x - passed) >= graph.WIDTH for box in row)


def test_inputs_that_are_not_among_the_steps_are_no_lines():
    assert graph.layout(made(a=["elsewhere"])).lines == []
    assert graph.layout([]).boxes == []
