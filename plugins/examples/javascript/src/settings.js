// What the operator can set, and how it is read from the configuration.

/** The JSON schema of the settings, which `wharfinger plugin inspect` shows. */
export const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "team-naming",
  type: "object",
  additionalProperties: false,
  properties: {
    label: {
      type: "string",
      minLength: 1,
      default: "team",
      description: "The label that names the team.",
    },
    separator: {
      type: "string",
      minLength: 1,
      default: "-",
      description: "What stands between the team and the application.",
    },
    required: {
      type: "boolean",
      default: false,
      description: "Whether a container without the label is vetoed.",
    },
  },
};

/**
 * Read the settings.
 *
 * @param {string} text the settings in JSON
 * @returns {{settings: any, faults: string[]}} the settings with their
 *   defaults, and all that is wrong with them
 */
export function readSettings(text) {
  const given = JSON.parse(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return { settings: {}, faults: ["the settings must be a table"] };
  }
  const faults = Object.entries(given).flatMap(([key, value]) => fault(key, value) ?? []);
  const defaults = Object.entries(schema.properties).map(([key, { default: value }]) => [key, value]);
  return { settings: { ...Object.fromEntries(defaults), ...given }, faults };
}

// What is wrong with one setting; undefined if nothing is.
function fault(key, value) {
  if (!Object.hasOwn(schema.properties, key)) {
    const known = Object.keys(schema.properties).join(", ");
    return `${key}: there is no such setting; known are ${known}`;
  }
  const { type } = schema.properties[key];
  if (typeof value !== type) return `${key}: must be a ${type}`;
  if (type === "string" && value.trim() === "") return `${key}: must not be empty`;
  return undefined;
}
