"""Shared code of the study *Resolution Enhancement of Low-Quality Images*: SRGAN x4 and its rivals.

The modules stand in the order in which data flows through them:
config -> sources -> manifest -> degrade -> dataset -> networks -> losses -> training -> metrics -> report.
"""
