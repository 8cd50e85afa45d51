"""How LR images are made of HR ones: the paper's bicubic reduction, and what a street camera does."""
