"""Enlarging over HTTP, for the page in `web/` and for programs. Needs no TensorFlow.

command   `srstudy serve`, `srstudy worker`     store    what is known of each job: in a file, or in Redis
app       requests and answers                  jobs     who works at what, and what becomes of a job when he is gone
receive   an upload, within limits              worker   takes jobs, enlarges, says how far it is

A library's queue (Huey's) carries the names of jobs to whoever is free. It may lose one, or bring it twice: only the
store decides, so that a kill at any moment loses nothing and nothing is done twice.
"""
