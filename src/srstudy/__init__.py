"""Shared code of the study *Resolution Enhancement of Low-Quality Images*: SRGAN x4 and its rivals.

A room for each notebook, in the order in which a photograph goes through them; a room imports from those before it
alone:

    degrade, networks            the ground floor, with the modules beside this file
    photos    01_data            files -> what is known of each -> which split
    sets      02_prepare         photographs -> HR tiles and their LR
    train     03_train           tiles -> a generator
    judge     04_evaluate, 07    a generator -> SR images -> scores
    enhance   08_enhance         a photograph or a clip -> four times as large, with a record; without TensorFlow
    report    05_report          scores -> tables, and a verdict on each claim of the paper
    figures                      what notebooks show; no other room imports it
"""

__version__ = "0.1.0"


class StudyError(Exception):
    """Bad input or a missing part: one sentence that names the file or key and the way out."""
