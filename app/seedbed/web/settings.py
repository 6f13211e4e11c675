"""All settings: environment variables with the prefix `SEEDBED_`, read once at start."""

from __future__ import annotations

import os
from dataclasses import fields
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from seedbed.compare import Budget
from seedbed.files import TextLimits
from seedbed.init import Limits
from seedbed.stream import AUTO, ENGINES
from seedbed.web.clients import Hosts
from seedbed.web.environment import PREFIX, Environment, faults, variable
from seedbed.web.keys import ANONYMOUS, NO_KEYS, KeyRing, Scope, parse_keys, read_keys

_LIMITS = Limits()
_BUDGET = Budget()


class Settings(BaseSettings):
    """Every limit and switch of the service, with its unit and reason."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code goes before the environment, and there is nothing else."""
        return init_settings, Environment(settings_cls)

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=0, le=65535, description="TCP port to listen on; 0 picks one.")
    probe_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="TCP port for /healthz, /readyz and /metrics alone, which no client can fill, "
        "needs no key, and then is the only one with /metrics. 0 has none.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="Processes that serve the port, each with limits, caches and memory of its "
        "own; one that dies is replaced.",
    )
    engine: Literal[ENGINES] = Field(  # type: ignore[valid-type]
        AUTO,
        description="Who draws: a compiled kernel of some instruction set, numpy (the definition, "
        "15 times slower, same bytes), or auto: the fastest that this machine has.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Log lines for people, or one JSON object each."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged; info has one line a request."
    )
    otlp_endpoint: str = Field(
        "none",
        pattern=r"^(none|https?://.+)$",
        description="Where OpenTelemetry traces go: base URL of an OTLP/HTTP collector, as "
        "http://collector:4318; none makes no traces. Needs the extra seedbed[otel].",
    )
    trace_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Part of the requests that are traced, of those whose client does not say.",
    )

    threads: int = Field(
        0, ge=0, le=1024, description="Threads that draw; 0 means one for each core."
    )
    chunk_bytes: int = Field(
        2**20, ge=2**12, le=2**26, description="Bytes drawn and sent at a time, by one thread."
    )
    chunks_ahead: int = Field(
        3,
        ge=1,
        le=64,
        description="Most chunks of one download made before the client takes them. A fast reader "
        "gets as many, a slow one has one made while it takes the last.",
    )

    max_head_bytes: int = Field(
        2**16,
        ge=2**10,
        description="Request line and headers, in bytes. Beyond it, 431, or 414 if the URL "
        "alone is longer.",
    )
    max_body_bytes: int = Field(
        2**24, ge=1, description="Request body, in bytes: about 150,000 tensors. Beyond it, 413."
    )
    max_connections: int = Field(
        1000,
        ge=1,
        description="Connections at the same time. One more takes the place of an idle one; if "
        "there is none, its request is 429 with Retry-After.",
    )
    max_host_connections: int = Field(
        500,
        ge=1,
        description="Likewise, of those from one address (of IPv6, one network of 64 bits), unless "
        "it is a trusted proxy.",
    )
    keep_alive_seconds: int = Field(
        5, ge=0, description="How long a connection is kept open for its next request, in seconds."
    )
    head_seconds: float = Field(
        30.0,
        gt=0,
        description="Time for request line and headers to arrive, in seconds. Beyond it, 408.",
    )
    stall_seconds: float = Field(
        120.0,
        gt=0,
        description="How long a client may take nothing of its answer, in seconds; then the "
        "connection is reset, so that what it has does not look whole.",
    )
    body_seconds: float = Field(
        30.0, gt=0, description="Time for a request body to arrive, in seconds. Beyond it, 408."
    )
    max_json_values: int = Field(
        2**21,
        ge=1000,
        description="Values in a JSON body: about 10 a tensor. Each costs memory while it is "
        "parsed.",
    )
    max_json_members: int = Field(
        2**16,
        ge=64,
        description="Members of one object in a JSON body, but for a manifest, which may have as "
        "many as there may be tensors.",
    )
    max_token_bytes: int = Field(
        2**20, ge=1, description="What a URL token may inflate to, in bytes."
    )
    max_url_token_chars: int = Field(
        4096,
        ge=0,
        description="Longest token offered as a link (Content-Location), in characters: many "
        "proxies refuse longer request lines.",
    )
    max_ranges: int = Field(
        16, ge=1, le=1024, description="Ranges of one request; more are answered whole."
    )
    max_tensors: int = Field(
        _LIMITS.max_tensors, ge=1, description="Tensors of one spec: planning costs memory by each."
    )
    max_rank: int = Field(_LIMITS.max_rank, ge=0, description="Dimensions of a tensor.")
    max_rules: int = Field(_LIMITS.max_rules, ge=0, description="Rules of one spec.")
    max_rule_work: int = Field(
        _LIMITS.max_rule_work,
        ge=0,
        description="Steps that the rules of one spec may take on names, of about 5 ns each.",
    )
    max_name_bytes: int = Field(_LIMITS.max_name_bytes, ge=1, description="A tensor's name, UTF-8.")
    max_metadata_bytes: int = Field(
        _LIMITS.max_metadata_bytes, ge=0, description="Caller's metadata, keys and values together."
    )
    max_header_bytes: int = Field(
        _LIMITS.max_header_bytes, ge=8, description="Header of a file; loaders refuse over 100 MB."
    )
    max_file_bytes: int = Field(
        _LIMITS.max_file_bytes, ge=8, description="All tensors of one file: 16 TiB."
    )
    max_shards: int = Field(
        _LIMITS.max_shards,
        ge=1,
        description="Weight files of one checkpoint: each has a header, all of which are made for "
        "a commit of the Hub.",
    )
    max_literal_elements: int = Field(
        _LIMITS.max_literal_elements,
        ge=0,
        description="Numbers that the init of one tensor may list.",
    )
    max_dense_elements: int = Field(
        _LIMITS.max_dense_elements,
        ge=1,
        description="Elements of a tensor that is made as a whole (orthogonal, sparse, …): its "
        "arithmetic takes about 20 bytes each, and time with their number to the power 1.5.",
    )
    max_dense_bytes: int = Field(
        _LIMITS.max_dense_bytes,
        ge=1,
        description="Memory of all tensors that are made as a whole, those under way and those "
        "kept: making one takes 20 to 28 bytes an element, and more if it is narrow.",
    )

    max_streams: int = Field(
        64, ge=1, description="Downloads sent at the same time; more wait their turn."
    )
    max_queued: int = Field(
        256, ge=0, description="Downloads that may wait. Beyond it, 429 with Retry-After."
    )
    client_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Of the downloads, and of the places in their queue, that are free or its own, "
        "the part that one client may have: a key, else an address. The more clients, the less.",
    )
    queue_seconds: float = Field(
        5.0,
        ge=0,
        description="How long one may wait, in seconds; then 429. Hub clients give up after 10.",
    )
    memory_bytes: int = Field(
        2**29 + 2**27,
        ge=2**20,
        description="Memory for all that requests make the process hold: plans, matrices, the "
        "planning of large specs, comparisons, and bodies, which get a quarter at most. What does "
        "not fit is 503 with Retry-After.",
    )
    planners: int = Field(
        2,
        ge=1,
        le=256,
        description="Specs planned at the same time, of those that are large or have a model: each "
        "in a process of its own. No client has all of them.",
    )
    planner_bytes: int = Field(
        2**28 + 2**27 + 2**25,
        ge=2**25,
        description="Memory of such a process, taken from memory_bytes while it runs. Beyond it, "
        "422.",
    )
    planner_seconds: int = Field(
        20,
        ge=1,
        description="Processor time of such a process, in seconds; it has thrice as many by the "
        "clock. Beyond it, 422.",
    )
    max_planning_queued: int = Field(
        64, ge=0, description="Requests that may wait for one of them. Beyond it, 503."
    )
    recorders: int = Field(
        1,
        ge=0,
        le=64,
        description="Configs recorded at the same time, of those that the catalogue does not know, "
        "where the extra seedbed[transformers] is installed: each in a process of its own. 0 "
        "records none.",
    )
    recorder_bytes: int = Field(
        2**29,
        ge=2**25,
        description="Memory of such a process beside the library, which takes 350 MB; taken from "
        "memory_bytes while it runs. Beyond it, 422.",
    )
    recorder_seconds: int = Field(
        60,
        ge=1,
        description="Processor time of such a process, in seconds; it has thrice as many by the "
        "clock. Beyond it, 422.",
    )
    recorder_idle_seconds: float = Field(
        300.0,
        gt=0,
        description="How long the library stays in memory after a recording, in seconds.",
    )
    max_recorded_tensors: int = Field(
        _LIMITS.max_tensors, ge=1, description="Tensors of a recorded model."
    )
    max_recorded_elements: int = Field(
        2**42,
        ge=1,
        description="Elements of a recorded model, all tensors together; none takes memory.",
    )
    max_described: int = Field(
        10_000,
        ge=1,
        description="Tensors in one answer of POST /v1/describe; offset= gives the next ones.",
    )
    published_ids: bool = Field(
        default=False,
        description="Whether the Hub façade also answers for ids that repositories have on the Hub "
        "itself, such as openai-community/gpt2: with random weights of their shapes. Off, since "
        "nobody should take those for trained ones.",
    )
    max_paths_bytes: int = Field(
        2**16, ge=1, description="Body of the Hub's paths-info, in bytes. Beyond it, 413."
    )
    max_comparisons: int = Field(
        2, ge=1, description="Comparisons (POST /v1/compare) at the same time. Beyond it, 429."
    )
    max_compare_flops: int = Field(
        _BUDGET.max_compare_flops,
        ge=1,
        description="Work of one comparison in floating-point operations, as estimated: about "
        "5e9 a second.",
    )
    max_compare_bytes: int = Field(
        _BUDGET.max_compare_bytes, ge=1, description="Memory of one comparison, as estimated."
    )
    max_compare_body_bytes: int = Field(
        2**20, ge=1, description="Body of a comparison, in bytes. Beyond it, 413."
    )
    max_jacobian: int = Field(
        _BUDGET.max_jacobian,
        ge=1,
        description="Inputs, and outputs, of a network whose Jacobian is still decomposed.",
    )
    retry_after_seconds: int = Field(
        2, ge=1, description="What Retry-After says, in whole seconds."
    )
    cache_bytes: int = Field(
        2**25,
        ge=0,
        description="Memory for plans kept for requests to come: about 2 KB a file and as much a "
        "tensor.",
    )
    matrix_cache_bytes: int = Field(
        2**27,
        ge=0,
        description="Memory for tensors made as a whole, so that ranges of one do not make it "
        "again: 4 bytes an element.",
    )
    hash_bytes: int = Field(
        2**30,
        ge=0,
        description="Weights up to this size have their true SHA-256 in the Hub's listings, which "
        "costs one pass of drawing when a listing is first asked for.",
    )
    max_hash_bytes: int = Field(
        10**11,
        ge=0,
        description="Largest file whose SHA-256 a request with Want-Repr-Digest may ask for.",
    )
    max_client_hash_bytes: int = Field(
        10**11,
        ge=0,
        description="All files together whose SHA-256 one client may wait for at the same time, "
        "if they are several. Beyond it Want-Repr-Digest is ignored, and a listing is 429.",
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        description="How long new connections are still taken after SIGTERM, in seconds, while "
        "/readyz says 503: time for a load balancer to notice.",
    )
    shutdown_seconds: int = Field(
        30, ge=0, description="How long downloads may go on after SIGTERM before they are cut."
    )

    registry_url: str = Field(
        "auto",
        repr=False,
        description="Where named specs are kept: auto is an SQLite file in the user's data "
        "directory, none keeps none; sqlite:////path/registry.db or, for several replicas, "
        "postgresql://user:password@host/database.",
    )
    registry_connections: int = Field(
        4,
        ge=1,
        le=64,
        description="Connections by which the registry's database is read, each with a thread; one "
        "more writes.",
    )
    registry_queued: int = Field(
        128, ge=0, description="Requests that may wait for one of them. Beyond it, 503."
    )
    registry_seconds: float = Field(
        5.0,
        gt=0,
        le=300,
        description="Bound on whatever is asked of the registry, in seconds. Beyond it, 503.",
    )
    max_specs: int = Field(10_000, ge=1, description="Named specs in all.")
    max_specs_per_namespace: int = Field(1_000, ge=1, description="Named specs of one namespace.")
    max_spec_bytes: int = Field(2**20, ge=1, description="JSON of a named spec, in bytes.")
    max_spec_versions: int = Field(
        16,
        ge=1,
        description="Contents of one name that are kept, the present one included: links to older "
        "ones end in 404.",
    )
    max_registry_bytes: int = Field(2**30, ge=1, description="JSON of all kept contents, in bytes.")
    max_records: int = Field(
        10_000,
        ge=1,
        description="Recordings of configs that the registry keeps: a few KB each, at most some "
        "hundred. The oldest go first.",
    )
    max_listed: int = Field(
        1000, ge=1, description="Entries of one page of a listing, whatever its limit= says."
    )

    api_keys: str = Field(
        NO_KEYS,
        repr=False,
        description="API keys, hashed, as `seedbed key` prints them; several with ; between them.",
    )
    api_keys_file: str = Field(
        NO_KEYS,
        description="A file of such lines beside them. Lines that begin with # are remarks.",
    )
    anonymous: Literal["auto", "all", "read", "none"] = Field(
        "auto",
        description="What may be done without a key: all; read, which is everything but storing "
        "and deleting specs; or none, not even that. auto is read if there are keys, else all.",
    )
    buckets: Literal["auto", "none"] = Field(
        "auto",
        description="Whether presets and named specs are read as buckets of S3 under /s3: none, or "
        "auto, which is where anyone may read. Keys are kept as hashes, which verify no signature.",
    )
    key_rate: float = Field(
        0.0,
        ge=0,
        description="Requests a second that one key may make in the long run; beyond it, 429 with "
        "Retry-After. 0 is no limit. A key's own line may say otherwise, here and below.",
    )
    key_burst: int = Field(
        50, ge=1, description="Requests that a key may make at once after a pause."
    )
    key_concurrency: int = Field(
        0, ge=0, description="Requests of one key at the same time; 0 is no limit."
    )
    cors_origins: str = Field(
        "none",
        description="Web pages whose scripts may read answers: none, * for any, or origins as in "
        "https://lab.example, with spaces between them, which may store specs too.",
    )
    trusted_proxies: str = Field(
        "none",
        description="Addresses or networks, with commas between them, whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed; * for any.",
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _can_trace(cls, text: str) -> str:
        if text != "none":
            try:
                import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401
            except ImportError as error:
                raise ValueError(f"traces need pip install 'seedbed[otel]': {error}") from error
        return text

    @field_validator("registry_url")
    @classmethod
    def _names_a_database(cls, text: str) -> str:
        if text not in ("auto", "none"):
            from seedbed.registry import registry_url

            registry_url(text)
        return text

    @field_validator("cors_origins")
    @classmethod
    def _names_origins(cls, text: str) -> str:
        if text != "none":
            from seedbed.web.cors import parse_origins

            parse_origins(text)
        return text

    @field_validator("trusted_proxies")
    @classmethod
    def _names_networks(cls, text: str) -> str:
        Hosts(text)
        return text

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, text: str) -> str:
        parse_keys(_lines(text), 0, 1, 0)
        return text

    @field_validator("api_keys_file")
    @classmethod
    def _has_keys(cls, path: str) -> str:
        if path != NO_KEYS:
            parse_keys(read_keys(path), 0, 1, 0)
        return path

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.probe_port and self.probe_port == self.port:
            raise ValueError(
                f"{variable('probe_port')} is {variable('port')}; give it another one, or 0 for "
                "none"
            )
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        try:
            keys = self.key_ring
        except ValueError as error:
            raise ValueError(
                f"{variable('api_keys')} and {variable('api_keys_file')}: {error}"
            ) from error
        if self.anonymous == "none" and not keys:
            raise ValueError(
                f"{variable('anonymous')} is none and there are no {variable('api_keys')}: "
                "nobody could do anything"
            )
        return self

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys, with what each may do.

        Raises:
            ValueError: a line is none, or the file cannot be read.
        """
        lines = _lines(self.api_keys)
        if self.api_keys_file != NO_KEYS:
            lines += "\n" + read_keys(self.api_keys_file)
        return parse_keys(lines, self.key_rate, self.key_burst, self.key_concurrency)

    @property
    def anonymous_may(self) -> frozenset[Scope]:
        """What requests without a key may do."""
        may = self.anonymous
        if may == "auto":
            may = "read" if self.key_ring else "all"
        return ANONYMOUS[may]

    @property
    def buckets_are_on(self) -> bool:
        """Whether there are buckets."""
        return self.buckets == "auto" and "read" in self.anonymous_may

    @property
    def limits(self) -> Limits:
        """The limits that the core takes, by the same names."""
        return Limits(**{field.name: getattr(self, field.name) for field in fields(Limits)})

    @property
    def text_limits(self) -> TextLimits:
        """How much there may be in a JSON text."""
        return TextLimits(self.limits, self.max_json_values, self.max_json_members)

    @property
    def budget(self) -> Budget:
        """What a comparison may cost, by the same names."""
        return Budget(**{field.name: getattr(self, field.name) for field in fields(Budget)})

    @property
    def worker_threads(self) -> int:
        """Threads that draw."""
        return self.threads or usable_cores()


def read_settings(**options: object) -> Settings:
    """The settings of the environment, or of options of the command line that go before it.

    Raises:
        ExceptionGroup: of a `SettingError` for each that is wrong.
    """
    try:
        return Settings.model_validate(options)
    except ValidationError as error:
        wrong = list(faults(error, Settings.model_fields, options))
        raise ExceptionGroup("settings that cannot be meant", wrong) from error


def _lines(keys: str) -> str:
    """API keys of one variable, as the lines of a file."""
    return "" if keys == NO_KEYS else keys.replace(";", "\n")


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
