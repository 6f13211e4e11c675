"""Calls of every tag by the client that openapi-python-client generates; prints what it got.

Run by test_generated_clients.py, with `seedbed_client` on the path. Usage: generated_client.py URL
"""

from __future__ import annotations

import hashlib
import json
import sys

from seedbed_client import Client
from seedbed_client.api.catalogue import (
    get_layer,
    get_scheme,
    list_dtypes,
    list_layers,
    list_schemes,
)
from seedbed_client.api.checkpoints import create_checkpoint, describe_checkpoint, get_checkpoint
from seedbed_client.api.compare import advise_scheme, compare_schemes
from seedbed_client.api.models import get_model, get_model_file, list_models
from seedbed_client.api.operations import get_health, get_metrics, get_readiness
from seedbed_client.api.specs import delete_spec, get_spec, get_spec_file, list_specs, put_spec
from seedbed_client.api.tensors import get_tensor
from seedbed_client.models import (
    Advice,
    AliasedScheme,
    CheckpointSpec,
    CompareRequest,
    CompareResult,
    Conv2D,
    Description,
    HeNormal,
    LayerDescription,
    ModelDescription,
    NamedSpec,
    NamedSpecs,
    Network,
    Problem,
    Readiness,
    ResNetPreset,
    ResNetPresetPreset,
    Rule,
    SchemeDescription,
    SchemeName,
    TensorSpec,
    TensorSpecDtypeType0,
)
from seedbed_client.types import File

SPEC = CheckpointSpec(
    seed=7,
    layers=[Conv2D(name="stem", in_channels=3, out_channels=8, kernel_size=3)],
    tensors=[
        TensorSpec(name="a", shape=[8, 4], init=HeNormal(scheme="he_normal", gain=3.0)),
        TensorSpec(name="b", shape=[8], dtype=TensorSpecDtypeType0.I32, init=SchemeName.ZEROS),
        TensorSpec(name="c", shape=[8, 4], init=AliasedScheme(scheme="HeNormal")),
    ],
    rules=[Rule(match="stem.bias", init=SchemeName.ONES)],
)


def sha256(content: bytes) -> str:
    """Digest of some bytes."""
    return hashlib.sha256(content).hexdigest()


def content_of(answer: object) -> bytes:
    """The bytes of a file."""
    assert isinstance(answer, File), answer
    return answer.payload.read()


def tensors(client: Client, said: dict[str, object]) -> None:
    """One tensor, whole and in part."""
    told = get_tensor.sync("he_normal", "64x32", client=client, seed=42, gain=2.0)
    said["tensor"] = sha256(content_of(told))
    said["range"] = sha256(
        content_of(get_tensor.sync("he_normal", "64x32", client=client, range_="bytes=100-199"))
    )


def checkpoints(client: Client, said: dict[str, object]) -> None:
    """Layers, an object beside a name and an alias, and a rule."""
    said["posted"] = sha256(content_of(create_checkpoint.sync(client=client, body=SPEC)))
    plan = describe_checkpoint.sync(client=client, body=SPEC)
    assert isinstance(plan, Description)
    assert plan.links.file
    said["spec_sha256"] = plan.spec_sha256
    said["names"] = [tensor.name for tensor in plan.tensors]
    *_, token, file = plan.links.file.split("/")
    linked = get_checkpoint.sync(token, file, client=client, range_="bytes=0-99")
    said["linked"] = sha256(content_of(linked))


def models(client: Client, said: dict[str, object]) -> None:
    """Arguments of a preset in a body and in a query."""
    summaries = list_models.sync(client=client, search="resnet")
    assert isinstance(summaries, list)
    said["resnets"] = [one.name for one in summaries]
    model = get_model.sync("tiny-resnet", client=client, num_classes=5)
    assert isinstance(model, ModelDescription)
    said["model"] = [model.spec_sha256, {file.name: file.size_bytes for file in model.files}]
    preset = ResNetPreset(preset=ResNetPresetPreset.TINY_RESNET, num_classes=5)
    whole = create_checkpoint.sync(client=client, body=CheckpointSpec(model=preset))
    part = get_model_file.sync(
        "tiny-resnet", "model.safetensors", client=client, num_classes=5, layers="[1, 1, 1, 1]"
    )
    said["preset"] = sha256(content_of(whole))
    said["preset in a line"] = sha256(content_of(part))


def specs(client: Client, said: dict[str, object]) -> None:
    """A spec that is stored, read back, stored again as it was read, and deleted."""
    put = put_spec.sync("team", "generated-py", client=client, body=SPEC)
    assert isinstance(put, NamedSpec), put
    kept = get_spec.sync("team", "generated-py", client=client)
    assert isinstance(kept, CheckpointSpec)
    again = put_spec.sync("team", "generated-py", client=client, body=kept)
    assert isinstance(again, NamedSpec), again
    said["kept"] = [put.digest, again.digest]
    named = get_spec_file.sync("team", "generated-py", "model.safetensors", client=client, seed=8)
    said["named"] = sha256(content_of(named))
    page = list_specs.sync(client=client, namespace="team")
    assert isinstance(page, NamedSpecs)
    said["listed"] = [one.id for one in page.specs]
    said["deleted"] = delete_spec.sync_detailed("team", "generated-py", client=client).status_code


def catalogue(client: Client, said: dict[str, object]) -> None:
    """What can be asked for."""
    scheme = get_scheme.sync("kaiming_normal_", client=client)
    layer = get_layer.sync("conv2d", client=client)
    assert isinstance(scheme, SchemeDescription)
    assert isinstance(layer, LayerDescription)
    said["catalogue"] = [scheme.name, layer.type_]
    for every in (list_schemes.sync, list_layers.sync, list_dtypes.sync):
        found = every(client=client)
        assert isinstance(found, list)
        assert found


def compare(client: Client, said: dict[str, object]) -> None:
    """Schemes in a network, and advice."""
    wanted = CompareRequest(
        schemes=[SchemeName.HE_NORMAL, HeNormal(scheme="he_normal", gain=1.0)],
        network=Network(depth=2, width=16),
        seeds=1,
    )
    compared = compare_schemes.sync(client=client, body=wanted)
    assert isinstance(compared, CompareResult), compared
    said["compared"] = [one.label for one in compared.schemes]
    advice = advise_scheme.sync(client=client)
    assert isinstance(advice, Advice)
    said["advice"] = advice.init


def operations(client: Client, said: dict[str, object]) -> None:
    """Health and metrics."""
    ready = get_readiness.sync(client=client)
    assert isinstance(ready, Readiness)
    health = get_health.sync(client=client)
    metrics = get_metrics.sync(client=client)
    assert health
    assert isinstance(metrics, str)
    said["operations"] = [ready.status, "seedbed_" in metrics]


def problems(client: Client, said: dict[str, object]) -> None:
    """Errors, with their types."""
    problem = get_scheme.sync("hee_normal", client=client)
    assert isinstance(problem, Problem)
    wrong = describe_checkpoint.sync(
        client=client, body=CheckpointSpec(tensors=[TensorSpec(name="a", shape=[1])])
    )
    assert isinstance(wrong, Problem)
    assert isinstance(wrong.errors, list)
    said["problems"] = [problem.type_, wrong.type_, wrong.status, wrong.errors[0].pointer]


if __name__ == "__main__":
    service = Client(base_url=sys.argv[1])
    answers: dict[str, object] = {}
    for tag in (tensors, checkpoints, models, specs, catalogue, compare, operations, problems):
        tag(service, answers)
    sys.stdout.write(json.dumps(answers))
