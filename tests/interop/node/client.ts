// Calls of every tag by openapi-fetch, with the types that openapi-typescript makes of the document;
// prints what it got. Run by tests/interop/test_generated_clients.py: URL

import createClient from "openapi-fetch";
import { createHash } from "node:crypto";
import type { components, paths } from "./schema.js";

type Spec = components["schemas"]["CheckpointSpec"];

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });

const sha256 = (content: ArrayBuffer) =>
  createHash("sha256").update(new Uint8Array(content)).digest("hex");

/** The answer of a call, which has to have succeeded. */
function got<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const bytes = { parseAs: "arrayBuffer" } as const;
const said: Record<string, unknown> = {};

// tensors
const shape = { scheme: "he_normal", shape: "64x32" };
said["tensor"] = sha256(
  got(
    await client.GET("/v1/tensors/{scheme}/{shape}.safetensors", {
      params: { path: shape, query: { seed: 42, gain: 2 } },
      ...bytes,
    }),
  ),
);
said["range"] = sha256(
  got(
    await client.GET("/v1/tensors/{scheme}/{shape}.safetensors", {
      params: { path: shape, header: { Range: "bytes=100-199" } },
      ...bytes,
    }),
  ),
);

// checkpoints: layers, an object beside a name and an alias, and a rule
const spec: Spec = {
  seed: 7,
  layers: [{ type: "conv2d", name: "stem", in_channels: 3, out_channels: 8, kernel_size: 3 }],
  tensors: [
    { name: "a", shape: [8, 4], init: { scheme: "he_normal", gain: 3 } },
    { name: "b", shape: [8], dtype: "I32", init: "zeros" },
    { name: "c", shape: [8, 4], init: { scheme: "HeNormal" } },
  ],
  rules: [{ match: "stem.bias", init: "ones" }],
};
said["posted"] = sha256(got(await client.POST("/v1/checkpoints", { body: spec, ...bytes })));
const plan = got(await client.POST("/v1/describe", { body: spec }));
said["spec_sha256"] = plan.spec_sha256;
said["names"] = plan.tensors.map((tensor) => tensor.name);
const [token = "", file = ""] = (plan.links.file ?? "").split("/").slice(-2);
said["linked"] = sha256(
  got(
    await client.GET("/v1/checkpoints/{token}/{file}", {
      params: { path: { token, file }, header: { Range: "bytes=0-99" } },
      ...bytes,
    }),
  ),
);

// models: arguments in a body and in a query
const summaries = got(await client.GET("/v1/models", { params: { query: { search: "resnet" } } }));
said["resnets"] = summaries.map((one) => one.name);
const model = got(
  await client.GET("/v1/models/{preset}", {
    params: { path: { preset: "tiny-resnet" }, query: { num_classes: 5 } },
  }),
);
said["model"] = [
  model.spec_sha256,
  Object.fromEntries(model.files.map((one) => [one.name, one.size_bytes])),
];
const preset: Spec = { model: { preset: "tiny-resnet", num_classes: 5 } };
said["preset"] = sha256(got(await client.POST("/v1/checkpoints", { body: preset, ...bytes })));
said["preset in a line"] = sha256(
  got(
    await client.GET("/v1/models/{preset}/{file}", {
      params: {
        path: { preset: "tiny-resnet", file: "model.safetensors" },
        query: { num_classes: 5, layers: "[1, 1, 1, 1]" },
      },
      ...bytes,
    }),
  ),
);
// @ts-expect-error: num_classes is a number
const misspelt: Spec = { model: { preset: "tiny-resnet", num_classes: "five" } };
void misspelt;

// specs
const path = { namespace: "team", name: "generated-ts" };
const put = got(
  await client.PUT("/v1/specs/{namespace}/{name}", { params: { path }, body: spec }),
);
const kept = got(await client.GET("/v1/specs/{namespace}/{name}", { params: { path } }));
const again = got(
  await client.PUT("/v1/specs/{namespace}/{name}", { params: { path }, body: kept }),
);
said["kept"] = [put.digest, again.digest];
said["named"] = sha256(
  got(
    await client.GET("/v1/specs/{namespace}/{name}/{file}", {
      params: { path: { ...path, file: "model.safetensors" }, query: { seed: 8 } },
      ...bytes,
    }),
  ),
);
const page = got(await client.GET("/v1/specs", { params: { query: { namespace: "team" } } }));
said["listed"] = page.specs.map((one) => one.id);
const deleted = await client.DELETE("/v1/specs/{namespace}/{name}", { params: { path } });
said["deleted"] = deleted.response.status;

// catalogue
const scheme = got(
  await client.GET("/v1/schemes/{name}", { params: { path: { name: "kaiming_normal_" } } }),
);
const layer = got(
  await client.GET("/v1/layers/{kind}", { params: { path: { kind: "conv2d" } } }),
);
said["catalogue"] = [scheme.name, layer.type];
for (const every of ["/v1/schemes", "/v1/layers", "/v1/dtypes"] as const) {
  if (got(await client.GET(every)).length === 0) throw new Error(every);
}

// compare
const compared = got(
  await client.POST("/v1/compare", {
    body: {
      schemes: ["he_normal", { scheme: "he_normal", gain: 1 }],
      network: { depth: 2, width: 16 },
      seeds: 1,
    },
  }),
);
if (typeof compared === "string") throw new Error("progress, which was not asked for");
said["compared"] = compared.schemes.map((one) => one.label);
said["advice"] = got(await client.GET("/v1/advise")).init;

// operations
got(await client.GET("/healthz"));
const ready = got(await client.GET("/readyz"));
const metrics = got(await client.GET("/metrics", { parseAs: "text" }));
said["operations"] = [ready.status, metrics.includes("seedbed_")];

// problems
const unknown = await client.GET("/v1/schemes/{name}", { params: { path: { name: "hee_normal" } } });
const wrong = await client.POST("/v1/describe", { body: { tensors: [{ name: "a", shape: [1] }] } });
said["problems"] = [
  unknown.error?.type,
  wrong.error?.type,
  wrong.error?.status,
  wrong.error?.errors?.[0]?.pointer,
];

console.log(JSON.stringify(said));
