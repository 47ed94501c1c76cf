// The rule, apart from the contract, so that `node --test` can call it.

import { keep } from "./verdict.js";

/**
 * What becomes of one service: `keep()`, `replace(service)` or `veto(reason)`.
 *
 * @param {import("wharfinger:pipeline/types@0.2.0").Container} container
 * @param {import("wharfinger:pipeline/types@0.2.0").Service} service
 * @returns {import("wharfinger:pipeline/types@0.2.0").Verdict}
 */
export function decide(container, service) {
  return keep();
}
