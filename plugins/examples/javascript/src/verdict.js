// What a stage says of one proposed service, in the contract's form.

/** @typedef {import("wharfinger:pipeline/types@0.2.0").Service} Service */
/** @typedef {import("wharfinger:pipeline/types@0.2.0").Verdict} Verdict */

/** It stays as it is. */
export const keep = () => verdict({ tag: "keep" });

/**
 * This service takes its place.
 *
 * @param {Service} service
 */
export const replace = (service) => verdict({ tag: "replace", val: service });

/**
 * It must not be registered.
 *
 * @param {string} reason for people
 * @param {string} [code] a short word for figures, such as "privileged", one of few
 */
export const veto = (reason, code) => verdict({ tag: "veto", val: { reason, code } });

/**
 * The same verdict with a note for people who ask why.
 *
 * @param {Verdict} given
 * @param {string} text
 * @returns {Verdict}
 */
export const note = (given, text) => ({ ...given, notes: [...given.notes, text] });

/**
 * @param {import("wharfinger:pipeline/types@0.2.0").Decision} decision
 * @returns {Verdict}
 */
const verdict = (decision) => ({ decision, notes: [] });
