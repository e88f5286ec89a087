"""The training loop: curriculum by budget, exact resume, averaged weights, a log people can read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from plenodream.data.synthetic import world_generator
from plenodream.models.camera_encoder import camera_tokens
from plenodream.models.codec import SpaceToDepthCodec
from plenodream.models.cosmos import CosmosCameraTransformer
from plenodream.training.batches import synthetic_batch
from plenodream.training.build import build_model
from plenodream.training.checkpoint import load_checkpoint, load_weights, save_checkpoint
from plenodream.training.config import Stage, TrainConfig
from plenodream.training.objective import draw_context, training_loss
from plenodream.training.optimizer import Average, SpikeGuard, learning_rate, make_optimizer

Validate = Callable[[CosmosCameraTransformer, Path, int], dict[str, float]]


@dataclass(frozen=True)
class RunOptions:
    """How one run of a recipe is carried out; none of it changes what is learned from a step.

    Attributes:
        out: Folder of the run: checkpoint, log, sheets.
        minutes: Budget in minutes instead of the recipe's steps.
        resume: Go on from the checkpoint in `out`.
        init_from: Start from these weights (not the optimiser's state).
        device: Where to train.
        stop_after: Stop after this many steps of this run, as an interruption would.
        quiet: No progress bar.
    """

    out: Path
    minutes: float | None = None
    resume: bool = False
    init_from: Path | None = None
    device: str = "cpu"
    stop_after: int | None = None
    quiet: bool = False


class Trainer:
    """One run of a recipe on one device."""

    def __init__(self, config: TrainConfig, options: RunOptions, validate: Validate | None = None) -> None:
        self.config, self.options, self.validate = config, options, validate
        self.model = build_model(config)
        if options.init_from is not None:
            missing, unexpected = self.model.load_state_dict(load_weights(options.init_from), strict=False)
            if missing or unexpected:
                raise ValueError(
                    f"{options.init_from}: weights of another network ({len(missing)} missing, {len(unexpected)} "
                    f"unexpected, e.g. {(missing + unexpected)[0]}); expected those of recipe {config.name}"
                )
        self.model.to(options.device).train()
        self.codec = SpaceToDepthCodec(config.patch)
        self.optimizer = make_optimizer(self.model, config.optimizer)
        self.average = Average(self.model, config.optimizer.ema_decay)
        self.guard = SpikeGuard(config.optimizer.spike_factor)
        self.step, self.seconds = 0, 0.0
        if options.resume:
            self._restore(load_checkpoint(options.out / "checkpoint", config.to_json()))

    def run(self) -> dict[str, float]:
        """Train to the end of the budget; returns the last held-out scores."""
        config, options = self.config, self.options
        options.out.mkdir(parents=True, exist_ok=True)
        first, began, offset = self.step, time.monotonic(), self.seconds
        scores: dict[str, float] = {}
        bar = tqdm(
            total=100, disable=options.quiet, unit="%", bar_format="{l_bar}{bar}| {elapsed}<{remaining} {postfix}"
        )
        with open(options.out / "log.jsonl", "a") as log:
            while (progress := self._progress()) < 1:
                if options.stop_after is not None and self.step - first >= options.stop_after:
                    break
                loss = self._step(
                    config.stage_at(progress), learning_rate(config.optimizer, self.step - first, progress)
                )
                self.seconds = offset + time.monotonic() - began
                bar.set_postfix_str(f"step {self.step} loss {loss:.4f}", refresh=False)
                bar.update(100 * progress - bar.n)
                line = {"step": self.step, "progress": progress, "seconds": round(self.seconds, 2), "loss": loss}
                if self.step % config.validate_every == 0:
                    scores = self._validate()
                    self.save()
                    line |= scores
                    tqdm.write(json.dumps(line)) if not options.quiet else None
                print(json.dumps(line), file=log, flush=self.step % 50 == 0)
            scores = self._validate()
            print(json.dumps({"step": self.step, "seconds": round(self.seconds, 2), **scores}), file=log)
        bar.close()
        self.save()
        return scores

    def averaged_model(self) -> CosmosCameraTransformer:
        """A copy of the network with the averaged weights."""
        model = CosmosCameraTransformer.from_config(self.model.config)
        model.load_state_dict(self.average.weights)
        return model.to(self.options.device).eval()

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.weights,
            "average_updates": self.average.updates,
            "loss_mean": self.guard.mean,
            "left_out": self.guard.left_out,
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.options.out / "checkpoint", state, self.average.weights, self.config.to_json())

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.weights = {name: tensor.to(self.options.device) for name, tensor in state["average"].items()}
        self.average.updates = state["average_updates"]
        self.guard.mean, self.guard.left_out = state["loss_mean"], state["left_out"]
        self.step, self.seconds = state["step"], state["seconds"]

    def _progress(self) -> float:
        if self.options.minutes is not None:
            return self.seconds / (60 * self.options.minutes)
        return self.step / self.config.steps

    def _step(self, stage: Stage, rate: float) -> float:
        config, device = self.config, self.options.device
        batch = synthetic_batch(stage, config.height, config.width, config.seed, self.step, device)
        generator = world_generator("train", 2 * (config.seed * 1_000_003 + self.step) + 1)
        k = int(torch.randint(stage.min_context, stage.max_context + 1, (), generator=generator))
        targets = range(1, stage.views)
        shared = stage.views if stage.any_context else 1
        context = draw_context(stage.batch, max(shared, k), targets, k, generator)
        latents = self.codec.encode(batch.signal.flatten(0, 1)).unflatten(0, batch.signal.shape[:2])
        anchor = torch.eye(4, device=device).expand(stage.batch, stage.views, 4, 4)
        rays = camera_tokens(batch.cameras, anchor, config.patch)
        loss = training_loss(self.model, latents, rays, context, targets, config.objective, generator)
        self.optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        self.step += 1
        if self.guard.accepts(value):
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.optimizer.clip)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self.average.update(self.model)
        return value

    def _validate(self) -> dict[str, float]:
        if self.validate is None:
            return {}
        return self.validate(self.averaged_model(), self.options.out, self.step)
