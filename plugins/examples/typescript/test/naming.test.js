import assert from "node:assert/strict";
import { test } from "node:test";

import { decide } from "../dist/js/naming.js";
import { readSettings } from "../dist/js/settings.js";
import { keep } from "../dist/js/verdict.js";

// The name that the service `web` gets, or the verdict if it is not renamed.
function check(given, labels, expected, warnings = []) {
  const { settings, faults } = readSettings(JSON.stringify(given));
  assert.deepEqual(faults, []);
  const container = { labels: Object.entries(labels).map(([key, value]) => ({ key, value })) };
  const warned = [];
  const [verdict] = decide(settings, container, [{ name: "web" }], (text) => warned.push(text));
  const { tag, val } = verdict.decision;
  assert.equal(val?.name ?? val?.reason ?? tag, expected);
  assert.deepEqual(warned, warnings);
}

test("a service is named after team and application", () => {
  check({}, { team: "shop" }, "shop-web");
  check({}, { team: " shop " }, "shop-web");
  check({ separator: "." }, { team: "shop" }, "shop.web");
  check({ label: "org.team" }, { team: "shop", "org.team": "pay" }, "pay-web");
});

test("a name that is right already stays", () => {
  const { settings } = readSettings("{}");
  const container = { labels: [{ key: "team", value: "shop" }] };
  assert.deepEqual(decide(settings, container, [{ name: "shop-web" }]), [keep()]);
});

test("a container without the label keeps its names, or is vetoed", () => {
  check({}, { owner: "shop" }, "keep");
  check({}, { team: " " }, "keep", ["the label team is empty"]);
  check({ required: true }, {}, "the container has no label team");
});

test("every fault of the settings is said", () => {
  const faults = (text) => readSettings(text).faults;
  assert.deepEqual(faults('{"lable": "x", "separator": "", "required": "yes"}'), [
    "lable: there is no such setting; known are label, separator, required",
    "separator: must not be empty",
    "required: must be a boolean",
  ]);
  assert.deepEqual(faults("[]"), ["the settings must be a table"]);
  assert.deepEqual(faults('{"toString": "x"}').length, 1);
});
