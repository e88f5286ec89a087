"""The training loop: curriculum by budget, exact resume, averaged weights, a log people can read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from plenodream.models.codecs.protocol import Codec
from plenodream.models.cosmos.transformer import CosmosCameraTransformer
from plenodream.models.pace import product_rate
from plenodream.training.batches.batch import Batch, BatchSource, step_generator
from plenodream.training.batches.procedural import ProceduralBatches
from plenodream.training.build import build_codec, build_model, compile_network, set_trainable, take_weights
from plenodream.training.captions import Captions
from plenodream.training.checkpoint.state import Progress, Trained, load_checkpoint, save_checkpoint
from plenodream.training.checkpoint.weights import load_weights
from plenodream.training.config import RunOptions, TrainConfig
from plenodream.training.curriculum import Stage
from plenodream.training.distillation import distillation_loss
from plenodream.training.export import batches_seen, quality, save_model
from plenodream.training.guards import ctrl_c_waits, memory_advice, nothing_done
from plenodream.training.log import TrainingLog
from plenodream.training.objective import draw_context, draw_size, draw_task, training_loss
from plenodream.training.optim.optimizer import Average, SpikeGuard, learning_rate, make_optimizer
from plenodream.training.parallel.ranks import Parallel, whole
from plenodream.training.teacher import Teacher
from plenodream.training.throughput import Meter, count_operations, synchronize

# Held-out scores of a network with averaged weights; may leave a sheet in the folder. The best is chosen by `quality`.
Validate = Callable[[CosmosCameraTransformer, Path, int], dict[str, float]]
# A run that is killed loses no more than this.
_SAVE_SECONDS = 300


class Trainer:
    """One run of a recipe, on one process or on many that torchrun started.

    Args:
        config: The recipe.
        options: Of this run.
        validate: Held-out scores.
        batches: What to train on; procedural scenes if None.
        codec: A pretrained codec, where the recipe needs one.
        parallel: This process among those that train together.
        captions: Encodes what samples show in words, where the recipe is told it.

    Raises:
        ValueError: Nothing or something else to resume from, weights of another network, a folder that holds a run.
    """

    def __init__(
        self,
        config: TrainConfig,
        options: RunOptions,
        validate: Validate | None = None,
        batches: BatchSource | None = None,
        codec: Codec | None = None,
        parallel: Parallel | None = None,
        captions: Captions | None = None,
    ) -> None:
        self.config, self.options, self.validate, self.captions = config, options, validate, captions
        self.parallel = parallel or Parallel(device=torch.device(options.device))
        self.folder, self.device = options.out / "checkpoint", self.parallel.device
        if self.folder.exists() and not options.resume:
            raise ValueError(f"{options.out}: holds a run already; --resume goes on with it, or choose another --out")
        self.codec: Any = (codec or build_codec(config)).to(self.device)  # type: ignore[arg-type]
        self.batches = batches or ProceduralBatches(config, self.device)
        bf16 = config.precision == "bf16" or (config.precision == "auto" and self.device.type == "cuda")
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.model = build_model(config)
        self.first_batch = 0
        if options.init_from is not None:
            self._take_weights(options.init_from)
        self.teacher: Teacher | None = None
        if config.distillation.teacher_steps:
            self.teacher = Teacher(config, options, self.codec.depth_channels, self.parallel, self.dtype, captions)
        set_trainable(self.model, config.trainable)
        self.model.train()
        if config.gradient_checkpointing:
            self.model.enable_gradient_checkpointing()
        self.parallel.prepare(self.model, self.dtype if bf16 else None)
        if config.compile:
            compile_network(self.model)
        self.optimizer = make_optimizer(self.model, config.optimizer, self.dtype)
        self.average = Average(self.model, config.optimizer.ema_decay)
        self.guard = SpikeGuard(config.optimizer.spike_factor)
        self.step, self.seconds, self.minutes, self.reserve = 0, 0.0, options.minutes, 0.0
        self.best, self.operations = float("-inf"), {}
        if options.resume:
            self._restore()

    def run(self) -> dict[str, float]:
        """Train to the end of the budget; returns the last held-out scores (on the main process).

        Raises:
            ValueError: Out of memory, disk full, diverged, no time for a single step; one line that says what to do.
            KeyboardInterrupt: Ctrl-C; a single process has finished its step and saved the checkpoint.
        """
        options, first, offset = self.options, self.step, self.seconds
        began = saved = time.monotonic()

        def clock() -> float:
            return offset + time.monotonic() - began

        meter = Meter(product_rate(self.dtype, self.device) * self.parallel.world_size)
        alone = self.parallel.mesh is None  # processes that train together are not stopped at the same step
        with (
            TrainingLog(options.out, first, self.parallel.is_main, options.quiet, options.tensorboard) as log,
            ctrl_c_waits() if alone else nullcontext(lambda: False) as stopped,
        ):
            log.note(f"full use is {meter.peak / 1e12:.3g} TFLOP/s: matrix products in {self.dtype} on {self.device}")
            scores, validated = {}, None
            if first == 0:
                ready = clock()
                scores, validated = self._validate(log), 0
                self.seconds, self.reserve = clock(), clock() - ready
            while (progress := self._progress()) < 1 and self.step - first != options.stop_after:
                entry = self._step(progress, meter)
                self.seconds = clock()
                log.step({"step": self.step, "progress": progress, "seconds": round(self.seconds, 3)} | entry)
                if stopped():
                    self.save()
                    raise KeyboardInterrupt
                if self.step % self.config.validate_every == 0:
                    scores, validated = self._validate(log), self.step
                    self.seconds = clock()
                if validated == self.step or self.parallel.from_main(time.monotonic() - saved) > _SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
            if self.step == first and self._progress() >= 1:
                log.note(nothing_done(self.step, self.config.steps, self.minutes))
            if validated != self.step:
                scores = self._validate(log)
            self.save()
            if self._progress() >= 1:
                log.finish(options.out / "model")
        return scores

    def averaged_model(self) -> CosmosCameraTransformer:
        """A copy of the network with the averaged weights; all processes call it."""
        weights = whole(self.model.state_dict() | self.average.weights)
        model: Any = CosmosCameraTransformer.from_config(self.model.config)
        model.load_state_dict(weights)
        torch.nn.Module.to(model, self.device, self.dtype)  # diffusers' own warns of a cast
        return model.eval()

    def save(self) -> None:
        """Write the checkpoint, every process its shards; all processes call it."""
        save_checkpoint(self.parallel, self.folder, self._trained(), self._counters(), self.config.to_json())

    def _restore(self) -> None:
        progress = load_checkpoint(self.parallel, self.folder, self._trained(), self.config.to_json())
        if progress.data != self._data():
            raise ValueError(f"{self.folder}: the run trained on other data; expected the same folder as then")
        self.average.updates = progress.updates
        self.guard.restore(progress.guard)
        self.step, self.seconds, self.reserve = progress.step, progress.seconds, progress.reserve
        self.first_batch = -(-progress.batches // self.parallel.data_size) - self.step
        self.best = float("-inf") if progress.best is None else progress.best
        # A step that is counted rounds differently: what is known must not be counted again.
        self.operations = {tuple(map(int, name.split())): flop for name, flop in progress.operations.items()}
        self.minutes = progress.minutes if self.options.minutes is None else self.options.minutes

    def _trained(self) -> Trained:
        return Trained(self.model, self.optimizer, self.average.weights)

    def _counters(self) -> Progress:
        """What a checkpoint holds besides tensors."""
        return Progress(
            step=self.step,
            updates=self.average.updates,
            batches=self._batches(),
            seconds=self.seconds,
            reserve=self.reserve,
            minutes=self.minutes,
            best=self.best if math.isfinite(self.best) else None,
            data=self._data(),
            guard=self.guard.state(),
            operations={f"{stage} {k}": flop for (stage, k), flop in self.operations.items()},
        )

    def _batches(self) -> int:
        """How many batches all processes have drawn since the weights were fresh."""
        return (self.first_batch + self.step) * self.parallel.data_size

    def _data(self) -> str:
        """What the run trains on, as far as the recipe does not say it."""
        return self.batches.fingerprint() if hasattr(self.batches, "fingerprint") else "procedural"

    def _take_weights(self, path: Path) -> None:
        take_weights(self.model, load_weights(path), path, self.config, self.codec.depth_channels)
        self.first_batch = -(-batches_seen(path) // self.parallel.data_size)

    def _progress(self) -> float:
        """Part of the budget that is used up, the same on all processes."""
        if self.minutes is None:
            return self.step / self.config.steps
        budget = 60 * self.minutes
        # The last scores are within the minutes, too.
        return self.parallel.from_main(self.seconds / (budget - min(self.reserve, budget / 2)))

    def _step(self, progress: float, meter: Meter) -> dict[str, float]:
        """One step: batch, loss, gradient, and, unless it is a spike, new weights. Returns its line for the log."""
        config = self.config
        number, stage = config.curriculum.at(progress)
        rate = learning_rate(config.optimizer, self.step, progress)
        generator = step_generator(config.seed, self._number(), "noise")
        k = draw_size(stage.min_context, stage.max_context, stage.context_shares, generator)
        began = time.perf_counter()
        with memory_advice(number, stage):
            with torch.no_grad():
                batch = self.batches(stage, self._number())
            synchronize(self.device)
            ready = time.perf_counter()
            # The first step of every stage and context size is counted; those after it cost the same.
            known = (number, k) in self.operations
            with nullcontext() if known else count_operations() as counter:
                loss = self._loss(batch, stage, k, generator)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
            if counter is not None:
                self.operations[number, k] = counter.get_total_flops()
            trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            norm = torch.nn.utils.clip_grad_norm_(trainable, config.optimizer.clip)
            norm = whole({"norm": norm})["norm"].item()
            value = self.parallel.mean(loss.item())
            self.step += 1
            if self.guard.accepts(value, norm):
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.optimizer.step()
                self.average.update(self.model)
            synchronize(self.device)
        frames = stage.batch * len(stage.target_views) * stage.frames * self.parallel.data_size
        operations = self.operations[number, k] * self.parallel.world_size
        meter.add(time.perf_counter() - began, ready - began, frames, operations)
        entry = {"loss": value, "rate": rate, "gradient_norm": norm, "k": k, "stage": number}
        return entry | meter.report() | {"left_out": self.guard.left_out}

    def _loss(self, batch: Batch, stage: Stage, k: int, generator: torch.Generator) -> torch.Tensor:
        """Loss of a batch, every target with k context views."""
        config, targets = self.config, stage.target_views
        views, depth = stage.views if stage.any_context else 1, self.codec.depth_channels
        context = draw_context(stage.batch, views, targets, k, generator, stage.source_context)
        with torch.no_grad():
            latents = self._encode(batch.signal) if batch.latents is None else batch.latents
            given = None if batch.context_signal is None else self._encode(batch.context_signal)
            rays = self.model.rays(self.codec, batch.cameras, torch.eye(4, device=self.device)).float()
            text = self.captions and self.captions.tell(batch.captions or ("",) * stage.batch, generator, self.device)
        slots, objective = self.model.context_slots, config.objective
        task = draw_task(latents, rays, context, targets, objective, generator, given, depth, text, slots)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            if self.teacher is None:
                return training_loss(self.model, task, objective, generator, depth)
            return distillation_loss(self.model, task, self.teacher.jumps(task, generator), objective, depth)

    def _encode(self, signal: torch.Tensor | None) -> torch.Tensor:
        assert signal is not None
        return self.codec.encode(signal.flatten(0, 1)).unflatten(0, signal.shape[:2])

    def _number(self) -> int:
        """Number of this process's next batch."""
        return self.parallel.data_step(self.first_batch + self.step)

    def _validate(self, log: TrainingLog) -> dict[str, float]:
        """Score the averaged weights, keep them as `model` if they are the best so far."""
        model = self.averaged_model()
        self.parallel.barrier()
        if not self.parallel.is_main:
            return {}
        self.options.out.mkdir(parents=True, exist_ok=True)
        scores = {} if self.validate is None else self.validate(model, self.options.out, self.step)
        if scores:
            log.scores({"step": self.step, "seconds": round(self.seconds, 3)} | scores)
        # The best, but the last where nothing is scored or the rate has not decayed yet: an instalment goes on from it.
        # And of a student, whose scores in dB fall as it learns its teacher's detail; and of videos from disk: what is
        # scored are rooms, none of those, and weights that know rooms would be handed back as they came.
        stages = self.config.curriculum
        last = self.validate is None or stages.end < 1 or self.teacher is not None or stages.stages[-1].family == "disk"
        score = self.step if last else quality(scores)
        if score > self.best and (self.step or self.options.init_from):  # random weights are no model
            self.best = score
            notes = {
                "batches": self._batches(),
                "steps": self.step,
                "minutes": round(self.seconds / 60, 2),
                "scores": scores,
            }
            words, out = self.captions and self.captions.settings, self.options.out / "model"
            save_model(out, self.config, model, self.codec, notes, self.options.shard_mb, words=words)
        return scores
