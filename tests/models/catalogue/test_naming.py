"""What the tensors of a base are called in a head."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from scripts.catalogue.naming import Unsolved, neighbouring, renamed, respell


@dataclass(frozen=True)
class Tensor:
    """A tensor of a build."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "F32"


def test_a_base_under_a_prefix_is_recognised_and_what_is_lost_is_none() -> None:
    """Each pattern finds its own name; a head without the base's output has no place for it."""
    base = [
        Tensor("model.embed.weight", (7, 4)),
        Tensor("model.layers.0.q_norm.weight", (2,)),
        Tensor("model.layers.0.k_norm.weight", (2,)),
        Tensor("lm_head.weight", (7, 4)),
    ]
    head = [
        Tensor("embed.weight", (7, 4)),
        Tensor("layers.0.q_norm.weight", (2,)),
        Tensor("layers.0.k_norm.weight", (2,)),
        Tensor("score.weight", (3, 4)),
    ]
    assert renamed([(base, head)]) == {
        "model.embed.weight": "embed.weight",
        "model.layers.*.q_norm.weight": "layers.*.q_norm.weight",
        "model.layers.*.k_norm.weight": "layers.*.k_norm.weight",
        "lm_head.weight": None,
    }


def test_of_encoder_and_decoder_the_one_that_is_left_finds_its_own() -> None:
    """Tensors of the same shape and end do not take one another's place."""
    base = [Tensor("m.encoder.0.fc.weight", (4, 4)), Tensor("m.decoder.0.fc.weight", (4, 4))]
    head = [Tensor("m.decoder.0.fc.weight", (4, 4))]
    assert renamed([(base, head)]) == {
        "m.encoder.*.fc.weight": None,
        "m.decoder.*.fc.weight": "m.decoder.*.fc.weight",
    }


def test_a_place_has_to_be_there_in_all_builds() -> None:
    """What agrees in one build by chance is no place; nothing at all is told."""
    one = [Tensor("a.proj.weight", (4, 4))], [Tensor("b.proj.weight", (4, 4))]
    two = [Tensor("a.proj.weight", (4, 4))], [Tensor("b.proj.weight", (5, 4))]
    with pytest.raises(Unsolved, match="nothing of the base"):
        renamed([one, two])


def test_what_no_sample_had_is_named_as_its_neighbour() -> None:
    """A bias takes the prefix that the weight beside it has, or is left out with it."""
    names = {"model.a.weight": "t.a.weight", "lm_head.weight": None}
    assert neighbouring("model.a.bias", names) == "t.a.bias"
    assert neighbouring("lm_head.bias", names) is None
    with pytest.raises(Unsolved, match="no sample"):
        neighbouring("other.bias", {"model.a.weight": "t.a.weight"})


def test_tensors_and_their_loops_get_the_names_of_the_head() -> None:
    """A loop goes by its new prefix; what has no name is left out, with its loop."""
    one = {
        "tensors": [["m.l.*.w", "True", ["4"], "", 0], ["o.*.w", "True", ["4"], "", 0]],
        "loops": {"m.l.": ["0", "n"], "o.": ["0", "k"]},
        "passes": {"m.l.": {"m.l.*.w": 1}},
    }
    respell(one, {"m.l.*.w": "l.*.w", "o.*.w": None})
    assert one == {"tensors": [["l.*.w", "True", ["4"], "", 0]], "loops": {"l.": ["0", "n"]}}
