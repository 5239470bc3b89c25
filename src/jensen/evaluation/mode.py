"""What `jensen.mode` offers to every figure of this room."""

from jensen.mode import in_blocks, measuring

__all__ = ["in_blocks", "measuring"]
