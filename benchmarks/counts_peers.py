"""scvi-tools' SCVI on the cells that counts.py has written; run by it, with the peers' interpreter.

    .venv-peers/bin/python benchmarks/counts_peers.py TASK.npz SCORES.npz

Negative binomial with the observed library size, the latents and the seconds of one core of the task, and
otherwise its defaults; but no KL warm-up, whose 400 epochs would not end in the time.
"""

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import scvi
import torch
from lightning.pytorch.callbacks import Callback
from scipy.sparse import csr_matrix

WITHIN = ("data", "indices", "indptr")


class Limit(Callback):  # type: ignore[misc]
    """Ends training with the epoch that uses up the seconds of one core."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began, self.used, self.epochs = seconds, time.process_time(), 0.0, 0

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self.epochs += 1
        self.used = time.process_time() - self.began
        trainer.should_stop = self.used >= self.seconds


def main(task: Any, out: Path) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    scvi.settings.seed = int(task["seed"])
    x = csr_matrix(tuple(task[name] for name in WITHIN), shape=tuple(task["shape"])).astype(np.float32)
    cells = anndata.AnnData(x)
    scvi.model.SCVI.setup_anndata(cells)
    model = scvi.model.SCVI(cells, n_latent=int(task["latent_dim"]), gene_likelihood="nb")
    limit = Limit(float(task["seconds"]))
    splits = [task["train"], task["validation"], task["test"]]
    model.train(
        max_epochs=1000,
        accelerator="cpu",
        datasplitter_kwargs={"external_indexing": splits},
        plan_kwargs={"n_epochs_kl_warmup": None},
        callbacks=[limit],
        enable_progress_bar=False,
        logger=False,
    )
    print(f"SCVI: {limit.epochs} epochs in {limit.used:.0f} s of one core", flush=True)
    log_px = model.get_marginal_ll(
        indices=task["test"],
        n_mc_samples=int(task["num_samples"]),
        n_mc_samples_per_pass=5,
        batch_size=32,
        return_mean=False,
    )
    few = task["test"][:4]
    with torch.no_grad():  # to compare the two formulas at the same parameters
        tensors = next(iter(model._make_data_loader(adata=cells, indices=few, batch_size=4)))
        _, generated, loss = model.module.forward(tensors)
    px = generated["px"]
    np.savez(
        out,
        latents=model.get_latent_representation(cells),
        log_px=np.asarray(log_px),
        seconds=limit.used,
        epochs=limit.epochs,
        parameters=sum(p.numel() for p in model.module.parameters()),
        check_mean=px.mu.numpy(),
        check_r=px.theta.expand(px.mu.shape).numpy(),
        check_log_px=-np.asarray(loss.dict_sum(loss.reconstruction_loss)),
        check_rows=few,
    )


if __name__ == "__main__":
    main(np.load(sys.argv[1]), Path(sys.argv[2]))
