// What a stage says of one proposed service, in the contract's form.

import type { Decision, Service, Verdict } from "wharfinger:pipeline/types@0.2.0";

const verdict = (decision: Decision): Verdict => ({ decision, notes: [] });

/** It stays as it is. */
export const keep = (): Verdict => verdict({ tag: "keep" });

/** This service takes its place. */
export const replace = (service: Service): Verdict => verdict({ tag: "replace", val: service });

/** It must not be registered. `code` is a short word for figures, such as `privileged`, one of few. */
export const veto = (reason: string, code?: string): Verdict =>
  verdict({ tag: "veto", val: { reason, code } });

/** The same verdict with a note for people who ask why. */
export const note = (given: Verdict, text: string): Verdict => ({
  ...given,
  notes: [...given.notes, text],
});
