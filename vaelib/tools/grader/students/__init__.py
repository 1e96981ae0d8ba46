"""Who takes the course, when work is due, and what was handed in.

names          what each student is called in the gradebook, all term
roster         who takes the course
terms          due dates, and what being late costs
lateness       nbgrader's late penalties by that policy
worksheet      Moodle's grading worksheet
archives       zip files, looked at before they are unpacked
collecting     a platform's export, sorted into folders by nbgrader's zip_collect
submissions    find what each student handed in, and recognise it
"""
