"""A checkpoint written into an object store or a folder, by one machine or by a Ray cluster.

Nothing of a scheduler, a retry queue or a store's protocol is here: obstore uploads in parts and
tries again, Ray places tasks and starts them anew. What is here is which file is whole, in which
order files appear, and what to say.
"""

from seedbed.materialise.cluster import Job, on_ray
from seedbed.materialise.local import on_this_machine
from seedbed.materialise.plan import Plan, planned
from seedbed.materialise.run import Failure, Run, Tally
from seedbed.materialise.targets import Done, Target, Wish, kind_of, open_target

__all__ = [
    "Done",
    "Failure",
    "Job",
    "Plan",
    "Run",
    "Tally",
    "Target",
    "Wish",
    "kind_of",
    "on_ray",
    "on_this_machine",
    "open_target",
    "planned",
]
