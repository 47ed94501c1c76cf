import assert from "node:assert/strict";
import { test } from "node:test";

import { decide } from "../src/rule.js";
import { settingsFaults } from "../src/settings.js";
import { keep } from "../src/verdict.js";

test("services stay as they are", () => {
  assert.deepEqual(decide({ labels: [] }, { name: "web" }), keep());
});

test("a setting that there is not is a fault", () => {
  assert.deepEqual(settingsFaults("{}"), []);
  assert.deepEqual(settingsFaults("[]"), ["the settings must be a table"]);
  assert.deepEqual(settingsFaults('{"lable": 1}'), ["lable: there is no such setting"]);
});
