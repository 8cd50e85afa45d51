"""The one exception that a user of the study is expected to see."""


class StudyError(Exception):
    """Bad input or a missing part: one sentence that names the file or key and the way out."""
