// The rule, apart from the contract, so that `node --test` can call it.

import type { Container, Service, Verdict } from "wharfinger:pipeline/types@0.2.0";

import { keep } from "./verdict.js";

/** What becomes of one service: `keep()`, `replace(service)` or `veto(reason)`. */
export function decide(container: Container, service: Service): Verdict {
  return keep();
}
