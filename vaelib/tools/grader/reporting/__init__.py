"""The gradebook, and what is read from it.

scores        the gradebook: enter what one submission earned, and read everything
reports       the CSV files, and the journal from which a broken run goes on
remarks       what a teacher should know of a notebook that ran
guide         the questions that are marked by hand, with model answers
exports       grades for Canvas and Moodle: nbgrader's export plugins
statistics    how hard each question was, and what went wrong most often
similarity    which answers resemble each other, by copydetect
"""
