// The service's own description of itself, read for the words that a request may use.

/** A schema with its references followed and null left out. */
export function resolved(api, schema) {
  let found = schema;
  if (found.$ref) {
    const path = found.$ref.split("/").slice(1);
    const { $ref: _, ...beside } = found;
    found = { ...path.reduce((place, key) => place[key], api), ...beside };
  }
  const kinds = (found.anyOf ?? found.allOf)?.filter(({ type }) => type !== "null");
  if (kinds?.length !== 1) return found;
  const { anyOf: _, allOf: __, ...beside } = found;
  return { ...resolved(api, kinds[0]), ...beside };
}

/** A word of the API as a label: layer_norm is layer norm. */
export const spoken = (word) => word.replaceAll("_", " ");

/** With a capital first letter. */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
