"""nbgrader's settings.

`make assignments` and `make grade` read them, and so does the command `nbgrader`.
"""

c = get_config()  # noqa: F821 (nbgrader defines it)

# Seconds that one cell may take; it is then interrupted, and the cells after it still
# run.
c.Execute.timeout = 120

c.Autograde.autograde_preprocessors = [
    "vaelib.tools.grader.running.preprocessors.Execute",
    "vaelib.tools.grader.running.preprocessors.AllowStderr",
    "nbgrader.preprocessors.IgnorePattern",
    "nbconvert.preprocessors.ClearMetadataPreprocessor",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]

# The pages for students show no hidden test.
c.GenerateFeedback.preprocessors = [
    "vaelib.tools.grader.running.preprocessors.HideHiddenTests",
    "nbgrader.preprocessors.GetGrades",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
