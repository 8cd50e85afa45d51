"""The trainings of the study on Kaggle's two T4, from a laptop: see docs/kaggle.md.

`plan` says what is left, `pack` makes notebook and data sets, `service` speaks to Kaggle, `ledger` remembers what was
pushed, `pull` brings the results home, `command` puts these together.
"""

PREFIX = "srstudy-"  # of all that the study makes on an account
MANIFEST = "session.json"  # what a session leaves: its runs, and the SHA-256 of each of its files
TAIL = 20  # lines that are shown of a log
