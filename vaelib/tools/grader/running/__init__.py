"""A submission behind the wall.

wall             its kernel: no network, no file but the interpreter's, nothing that goes on afterwards
shield           its tests: out of the answer's sight, and shown to be able to fail
outside          its tests where an answer takes plain numbers: they run in the grader
preprocessors    what nbgrader runs in addition (named in assignments/nbgrader_config.py)
mending          put back the cells that a submission lost
job              one submission through nbgrader, in a process and a course directory of its own
cluster          many of them on Dask's workers
autograding      many of them, here or there; and why one did not come through
"""
