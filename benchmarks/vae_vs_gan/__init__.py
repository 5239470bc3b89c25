"""A small GAN beside a VAE, and a vanilla autoencoder beside both: `python -m benchmarks.vae_vs_gan`."""
