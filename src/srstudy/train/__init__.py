"""Training a generator by a recipe, what it leaves behind, and what it costs."""
