// The stage as the contract in wit/ wants it. A WIT `result` is returned if it
// is right, and thrown if it is an error.

import { guard } from "./guard.js";
import { decide } from "./rule.js";
import { settingsFaults } from "./settings.js";

/** @type {typeof import("wharfinger:pipeline/stage@0.2.0")} */
const teamNaming = {
  describe() {
    return {
      name: "team-naming",
      version: "0.1.0",
      summary: "Keeps every service as it is.",
      attributes: [],
    };
  },

  validateSettings(text) {
    const faults = settingsFaults(text);
    if (faults.length > 0) throw faults;
  },

  process(text, container, host, services) {
    return { verdicts: services.map((service) => decide(container, service)), added: [] };
  },
};

export const stage = guard(teamNaming);
