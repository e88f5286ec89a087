"""The commands by name, each with its arguments and what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plenodream.cli.app import App, app
from plenodream.cli.batch import Batch, batch
from plenodream.cli.benchmark import Benchmark, Reproduce, benchmark, reproduce
from plenodream.cli.cameras import Cameras, cameras
from plenodream.cli.contexts import Contexts, contexts
from plenodream.cli.convert import Convert, Models, convert, models
from plenodream.cli.demo import Demo, demo
from plenodream.cli.depth import Depth, depth
from plenodream.cli.doctor import Doctor, doctor
from plenodream.cli.evaluate import Eval, evaluate
from plenodream.cli.export import Export, export
from plenodream.cli.page import Page, page
from plenodream.cli.plan import Plan, plan
from plenodream.cli.render import Render, render
from plenodream.cli.score import EvalRun, EvalTable, eval_run, eval_table
from plenodream.cli.shards import Latents, Shards, latents, shards
from plenodream.cli.synth import Synth, synth
from plenodream.cli.train import Train, train
from plenodream.cli.trajectories import Trajectories, trajectories
from plenodream.cli.view import View, view


def commands() -> dict[str, tuple[type, Callable[[Any], int]]]:
    """What `plenodream NAME` is, in the order of the help."""
    return {
        "render": (Render, render),
        "batch": (Batch, batch),
        "trajectories": (Trajectories, trajectories),
        "view": (View, view),
        "app": (App, app),
        "page": (Page, page),
        "demo": (Demo, demo),
        "cameras": (Cameras, cameras),
        "depth": (Depth, depth),
        "plan": (Plan, plan),
        "synth": (Synth, synth),
        "shards": (Shards, shards),
        "latents": (Latents, latents),
        "train": (Train, train),
        "contexts": (Contexts, contexts),
        "eval": (Eval, evaluate),
        "eval-run": (EvalRun, eval_run),
        "eval-table": (EvalTable, eval_table),
        "benchmark": (Benchmark, benchmark),
        "reproduce": (Reproduce, reproduce),
        "export": (Export, export),
        "convert": (Convert, convert),
        "models": (Models, models),
        "doctor": (Doctor, doctor),
    }
