"""The model card: what a network is, where it comes from, how good it is, how to load it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from bench.cost import bytes_of, cost_of
from bench.counting import Costs
from bench.graph import Run
from bench.recipe import Data, Table
from bench.record import Record
from bench.registry import SETS
from bench.report.formats.markdown import escape
from bench.report.model import ReportRow


@dataclass(frozen=True)
class Exported:
    """What a card is written from: a run, its record, its row in the report, and the name of the folder."""

    run: Run
    record: Record
    table: Table
    line: ReportRow
    costs: Costs
    folder: str


def model_card(exported: Exported) -> str:
    """The card, in Markdown with the head that model hubs read."""
    run, table, line = exported.run, exported.table, exported.line
    info, data = SETS[run.stage.data.set], run.stage.data
    facts = "\n".join(f"| {name} | {escape(value)} |" for name, value in _facts(exported))
    profile = {
        "paper": "as published",
        "short": "a tenth of the published schedule: not a result of the paper",
    }.get(run.profile, "a few steps that show that all works: not a result")
    recipe = json.dumps(exported.record.recipe, indent=1, ensure_ascii=False)
    taken = "".join(
        f"- {edge}: {escape(source.name)}, seed {source.seed}, record `{exported.record.taken[edge]['record']}`\n"
        for edge, source in run.sources.items()
    )
    return f"""---
library_name: kdbench
tags: [image-classification, knowledge-distillation]
---

# {escape(line.label)}, seed {run.seed}

The network that `{run.name}` trains in the table "{escape(table.title)}" ({escape(table.paper)}).
Profile {run.profile}: {profile}.

| | |
|---|---|
{facts}

## How to load it

```python
import bench

network = bench.load({exported.folder!r})
logits = network(network.preprocess(images)).logits
```

`images` are uint8, (N, {info.size}, {info.size}, {info.channels}). Preprocessing is (pixels / 255 − mean) / deviation,
with mean {_numbers(data.mean)} and deviation {_numbers(data.std)}, one number a channel{_reduced(data)}.
kdbench refuses a folder whose digests differ.{_autocast(exported.record)}

Classes, in the order of the logits: {escape(", ".join(info.shown_names))}.

## Recipe

```json
{recipe}
```
{taken and f"{chr(10)}It takes from:{chr(10)}{chr(10)}{taken}"}
## Licence

kdbench, which builds and loads this network, is under the MIT licence. Whoever trained these weights decides under
which licence they are given away: write it here. The images of {info.name} have terms of their own.
"""


def _facts(exported: Exported) -> Iterator[tuple[str, str]]:
    run, record, line = exported.run, exported.record, exported.line
    network, weights = run.stage.networks[0], run.stage.deployed_weights
    info, result, own = SETS[run.stage.data.set], record.results[0], run.name == f"{exported.table.name}/{line.name}"
    assert result.last_error is not None, "a run that is done has errors"
    yield "Test error, last epoch", f"{result.last_error:.2f} % (accuracy {100 - result.last_error:.2f} %)"
    yield "Test error, best epoch", f"{result.best_error:.2f} % (epoch {result.best_epoch}, chosen on the test set)"
    if own and line.published is not None:
        spread = "" if line.published.spread is None else f" ± {line.published.spread:.2f}"
        metric = exported.table.metric
        yield f"Published {metric.label}", f"{line.published.value:.2f}{spread} {metric.unit}"
    if own and run.profile == "paper" and line.verdict is not None:
        reason = line.verdict.reason and f" ({line.verdict.reason})"
        yield "Verdict on the row, over all its seeds", f"{line.verdict.text}{reason}"
    if len(record.results) > 1:
        yield "Network", f"the first of {len(record.results)} that were trained together"
    if cost := cost_of(network, info.name, exported.costs):
        yield "Parameters", f"{cost.params:,}"
        if weights and (size := bytes_of(network, weights, info.name, exported.costs)):
            yield "Weights", f"{weights.told}: {size:,} bytes as codes; float32 in the file here"
        yield "Multiply-adds an image", "not counted" if cost.macs is None else f"{cost.macs:,}"
    yield "FLOPs of its training, backward included", "not counted" if record.flops is None else f"{record.flops:.3g}"
    yield "Data", f"{info.name}, fingerprint {info.fingerprint}"
    yield "Device, precision", f"{record.device}, {record.precision}"
    yield "Record", f"{record.stem}, of {record.finished[:10]}"
    yield (
        "Made by",
        f"kdbench {record.libraries.get('kdbench', 'of an earlier version')}, commit {record.commit or 'unknown'}",
    )


def _reduced(data: Data) -> str:
    """What happens to images after that, where they lose detail."""
    side = data.resolution
    return f",\nthen means of squares to {side} by {side} pixels and bilinear interpolation back" if side else ""


def _autocast(record: Record) -> str:
    """How to come to the record's own numbers, where the network alone gives others."""
    if record.precision != "bfloat16":
        return ""
    return (
        " Its errors were measured under bfloat16 autocast,\n`torch.autocast(device, dtype=torch.bfloat16)`; without it"
        " the logits are a little more exact."
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
