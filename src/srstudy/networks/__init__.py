"""Generators, discriminator, the networks that losses and distances look through, and how a generator is applied."""
