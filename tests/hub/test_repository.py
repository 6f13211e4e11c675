from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from seedbed.files import Checkpoint, CheckpointSpec, SmallFile
from seedbed.hub import Hashes, Hashing, committing, entries, file_of
from seedbed.hub.repository import git_sha1


def checkpoint(seed: int = 0, **fields: Any) -> Checkpoint:
    """A small one."""
    body = {
        "seed": seed,
        "tensors": [{"name": name, "shape": [1000], "init": "normal"} for name in "abc"],
        **fields,
    }
    return Checkpoint(CheckpointSpec.model_validate(body))


def commit_of(one: Checkpoint) -> str:
    """The commit of a checkpoint, with all of its steps."""
    commits: list[str] = []

    def to_the_end() -> Iterator[None]:
        commits.append((yield from committing(one)))

    for _ in to_the_end():
        pass
    return commits[0]


def test_commits_tell_apart_what_differs() -> None:
    """Seed, dtype, shards, metadata, files and tensors make another commit; nothing else does."""
    ones = [
        checkpoint(),
        checkpoint(1),
        checkpoint(dtype="F16"),
        checkpoint(max_shard_size="5KB"),
        checkpoint(max_shard_size="9KB"),
        checkpoint(metadata={"note": "x"}),
        checkpoint(files={"config.json": {"model_type": "x"}}),
        checkpoint(files={"README.md": "# Mine"}),
        checkpoint(tensors=[{"name": "a", "shape": [1], "init": "zeros"}]),
    ]
    commits = [commit_of(one) for one in ones]
    assert len(set(commits)) == len(ones)
    assert commits == [commit_of(Checkpoint(one.spec)) for one in ones]
    assert all(len(commit) == 40 for commit in commits)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"{}\n", "0967ef424bce6791893e9a57bb952f80fd536e93"),
        (bytes(range(256)) * 9, "58059b37fbe45ccd76960b8f8789b393a5a7fa91"),
    ],
)
def test_git_names_a_blob_alike(content: bytes, name: str) -> None:
    """The name of a small file is what `git hash-object` says."""
    assert git_sha1(content) == name


def test_entries() -> None:
    """Every file is listed; weights have a true sum once somebody has asked for it."""
    one, hashes = checkpoint(max_shard_size="5KB"), Hashes()
    before = {entry.file.name: entry for entry in entries(one, hashes)}
    assert tuple(before) == one.names
    assert not any(entry.sha256 for entry in before.values())
    for entry in before.values():
        if entry.is_large:
            content = bytes(entry.file.read(0, entry.file.size))
            hashes.keep(entry.file, hashlib.sha256(content).hexdigest())
        else:
            assert isinstance(entry.file, SmallFile)
            assert entry.oid == git_sha1(entry.file.content)
    after = {entry.file.name: entry for entry in entries(one, hashes)}
    assert {name for name, entry in after.items() if entry.sha256} == set(one.shards)
    assert [entry.oid for entry in after.values()] == [entry.oid for entry in before.values()]


def test_the_whole_is_no_file_of_shards() -> None:
    """Clients ask for the whole first, and must be told that there are shards."""
    assert file_of(checkpoint(), "model.safetensors") is not None
    assert file_of(checkpoint(max_shard_size="5KB"), "model.safetensors") is None
    assert file_of(checkpoint(), "nonesuch") is None


def test_a_sum_in_parts() -> None:
    """However often a pass is interrupted, its sum is that of the file."""
    file = checkpoint(tensors=[{"name": "a", "shape": [700_000], "init": "normal"}]).whole
    for every in (1, 2, 100):
        hashing, asked = Hashing(file), 0

        def go_on(every: int = every) -> bool:
            nonlocal asked
            asked += 1
            return asked % every > 0

        while (digest := hashing.advance(go_on)) is None:
            assert 0 < hashing.left_bytes < file.size
        assert digest == hashlib.sha256(bytes(file.read(0, file.size))).hexdigest()
        assert asked == 2  # between three chunks
