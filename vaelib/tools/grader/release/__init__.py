"""The course directory, and what students get of it.

course              its assignments, their sources, and nbgrader's API for it
student_versions    build them, and check that nothing leaked
repository          the students' repository: the course without what solves the assignments
place               the folder that it is written to: what may be replaced there
workplace           a temporary folder with model solutions, which goes even where its owner is killed
exchange            nbgrader's exchange on a JupyterHub
"""
