"""Training: the loop and what it needs. It knows bounds and traces, and no concrete model."""
