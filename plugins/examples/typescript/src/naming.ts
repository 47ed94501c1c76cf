// The rule, apart from the contract, so that `node --test` can call it.

import type { Container, Service, Verdict } from "wharfinger:pipeline/types@0.2.0";

import type { Settings } from "./settings.js";
import { keep, replace, veto } from "./verdict.js";

/** Decide on the services of one container; `warn` writes to the daemon's log. */
export function decide(
  settings: Settings,
  container: Pick<Container, "labels">,
  services: Service[],
  warn: (message: string) => void,
): Verdict[] {
  const label = container.labels.find(({ key }) => key === settings.label);
  const team = label?.value.trim();
  if (team) return services.map((service) => rename(team + settings.separator, service));

  if (label) warn(`the label ${settings.label} is empty`);
  const verdict = settings.required ? veto(`the container has no label ${settings.label}`) : keep();
  return services.map(() => verdict);
}

// `<team>-<app>`; a name that already is of that form stays.
function rename(prefix: string, service: Service): Verdict {
  if (service.name.startsWith(prefix)) return keep();
  return replace({ ...service, name: prefix + service.name });
}
