// What a stage says of one proposed service, in the contract's form.

/** It stays as it is. */
export const keep = () => verdict({ tag: "keep" });

/** This service takes its place. */
export const replace = (service) => verdict({ tag: "replace", val: service });

/**
 * It must not be registered.
 *
 * @param {string} reason for people
 * @param {string} [code] a short word for figures, such as "privileged", one of few
 */
export const veto = (reason, code) => verdict({ tag: "veto", val: { reason, code } });

/** The same verdict with a note for people who ask why. */
export const note = (given, text) => ({ ...given, notes: [...given.notes, text] });

const verdict = (decision) => ({ decision, notes: [] });
