// What the operator can set: nothing yet.

/** All that is wrong with the settings, given in JSON. */
export function settingsFaults(text: string): string[] {
  const given: unknown = JSON.parse(text);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    return ["the settings must be a table"];
  }
  return Object.keys(given).map((key) => `${key}: there is no such setting`);
}
