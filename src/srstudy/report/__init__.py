"""All runs side by side, what they say of the paper's claims, and what a reader is told of a released model."""
