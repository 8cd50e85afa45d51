"""Shared code of the study *Resolution Enhancement of Low-Quality Images*: SRGAN x4 and its rivals.

A package imports from those before it alone: `degrade` -> `data` -> `networks` -> `judge` -> `figures` -> `train` ->
`report`. The modules beside this file are for all of them.
"""
