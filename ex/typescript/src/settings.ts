// What the operator can set, and how it is read from the configuration.

export interface Settings {
  /** The label that names the team. */
  label: string;
  /** What stands between the team and the application. */
  separator: string;
  /** Whether a container without the label is vetoed. */
  required: boolean;
}

interface Property {
  type: "string" | "boolean";
  minLength?: number;
  default: string | boolean;
  description: string;
}

const properties: Record<keyof Settings, Property> = {
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
};

/** The JSON schema of the settings, which `wharfinger plugin inspect` shows. */
export const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "team-naming",
  type: "object",
  additionalProperties: false,
  properties,
};

/** Read the settings from JSON: with their defaults, and all that is wrong with them. */
export function readSettings(text: string): { settings: Settings; faults: string[] } {
  const defaults: Settings = { label: "team", separator: "-", required: false };
  const given: unknown = JSON.parse(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return { settings: defaults, faults: ["the settings must be a table"] };
  }
  const faults = Object.entries(given).flatMap(([key, value]) => fault(key, value) ?? []);
  return { settings: { ...defaults, ...given }, faults };
}

// What is wrong with one setting; undefined if nothing is.
function fault(key: string, value: unknown): string | undefined {
  if (!isSetting(key)) {
    const known = Object.keys(properties).join(", ");
    return `${key}: there is no such setting; known are ${known}`;
  }
  const { type } = properties[key];
  if (typeof value !== type) return `${key}: must be a ${type}`;
  if (typeof value === "string" && value.trim() === "") return `${key}: must not be empty`;
  return undefined;
}

function isSetting(key: string): key is keyof Settings {
  return Object.hasOwn(properties, key);
}
