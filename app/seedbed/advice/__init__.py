"""Which scheme to use, why, and what was measured about it.

What was measured stands in `evidence.json`, which `scripts/study_doc.py` writes from the results of
the study beside the benchmarks: training networks is no part of the service.
"""

from seedbed.advice.advice import Advice, Question, advise
from seedbed.advice.evidence import Evidence

__all__ = ["Advice", "Evidence", "Question", "advise"]
