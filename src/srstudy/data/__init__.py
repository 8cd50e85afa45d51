"""From sources on disk or on Kaggle to tiles that a run trains on: found, scanned, split, chosen, cut."""
