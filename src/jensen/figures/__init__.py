"""The figures of a run: measured (`evaluate_run`), and which there are (`jensen.figures.lines`)."""

from jensen.figures.measure import REFINED_ROWS, evaluate_run

__all__ = ["REFINED_ROWS", "evaluate_run"]
