// The stage as the contract in wit/ wants it. A WIT `result` is returned if it
// is right, and thrown if it is an error.

import { log } from "wharfinger:pipeline/logging@0.2.0";

import { guard } from "./guard.js";
import { decide } from "./naming.js";
import { readSettings, schema } from "./settings.js";

/** @type {typeof import("wharfinger:pipeline/stage@0.2.0")} */
const teamNaming = {
  describe() {
    return {
      name: "team-naming",
      version: "0.1.0",
      summary: "Names services <team>-<app>.",
      settingsSchema: JSON.stringify(schema),
      attributes: [],
    };
  },

  validateSettings(text) {
    const { faults } = readSettings(text);
    if (faults.length > 0) throw faults;
  },

  process(text, container, host, services) {
    const { settings } = readSettings(text);
    const warn = (message) => log("warn", message);
    return { verdicts: decide(settings, container, services, warn), added: [] };
  },
};

export const stage = guard(teamNaming);
