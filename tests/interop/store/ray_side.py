"""A Ray cluster of two nodes in a process apart, told by lines what to do: Ray leaves files open.

Prints the cluster's address, then an answer to each line: `kill` ends the node that is not the head
by SIGKILL, `add` starts another. The end of input ends the cluster.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}

_TRIES = 5


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _started(cluster: Cluster, **more: Any) -> Any:
    """A node, tried again where the machine is so busy that Ray's 30 seconds are too few."""
    for left in reversed(range(_TRIES)):
        try:
            return cluster.add_node(**NODE, **more)
        except Exception as error:  # Ray's own are no narrower
            if not left or "timed out" not in str(error):
                raise
    raise AssertionError("the last try returns or raises")


def main() -> None:
    """Serve the lines."""
    cluster = Cluster()
    try:
        _started(cluster, include_dashboard=False)
        node = _started(cluster)
        _say(f"address {cluster.address}")
        for line in sys.stdin:
            if line.strip() == "kill":
                cluster.remove_node(node, allow_graceful=False)
            else:
                node = _started(cluster)
            _say("done")
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
