// The rule, apart from the contract, so that `node --test` can call it.

import { keep, replace, veto } from "./verdict.js";

/** @typedef {import("wharfinger:pipeline/types@0.2.0").Container} Container */
/** @typedef {import("wharfinger:pipeline/types@0.2.0").Service} Service */
/** @typedef {import("wharfinger:pipeline/types@0.2.0").Verdict} Verdict */

/**
 * Decide on the services of one container.
 *
 * @param {{label: string, separator: string, required: boolean}} settings
 * @param {Container} container
 * @param {Service[]} services what is proposed so far
 * @param {(message: string) => void} warn writes to the daemon's log
 * @returns {Verdict[]} a verdict for each service, in their order
 */
export function decide(settings, container, services, warn) {
  const label = container.labels.find(({ key }) => key === settings.label);
  const team = label?.value.trim();
  if (team) return services.map((service) => rename(team + settings.separator, service));

  if (label) warn(`the label ${settings.label} is empty`);
  const verdict = settings.required ? veto(`the container has no label ${settings.label}`) : keep();
  return services.map(() => verdict);
}

/**
 * `<team>-<app>`; a name that already is of that form stays.
 *
 * @param {string} prefix
 * @param {Service} service
 */
function rename(prefix, service) {
  if (service.name.startsWith(prefix)) return keep();
  return replace({ ...service, name: prefix + service.name });
}
