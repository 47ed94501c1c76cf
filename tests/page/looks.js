// It can be read: on a phone and a wide screen, light and dark, and by those who do not see it.
import assert from "node:assert/strict";
import axe from "axe-core";
import { open, until, visit } from "./browser.js";
import { say } from "./host.js";

export const WIDTHS = [360, 800, 1600];
export const SCHEMES = ["light", "dark"];

// What the page may look like, each by what leads there.
const STATES = {
  list: async (page, at) => visit(page, at),
  filtered: async (page, at) => visit(page, `${at}/?show=vetoed&q=batch`),
  empty: async (page, at) => visit(page, `${at}/?q=nothing+of+the+kind`),
  explained: async (page, at) => {
    await visit(page, at);
    await page.locator("#rows a", { hasText: "shop-front-1" }).click();
    await page.locator("#explained h3").first().waitFor();
  },
  failed: async (page, at) => {
    await visit(page, at);
    await page.locator("#rows a", { hasText: "legacy" }).click();
    await page.locator("#explained h3").first().waitFor();
  },
  login: async (page, _, tokenAt) => {
    await page.goto(tokenAt);
    await page.locator("#token").fill("wrong");
    await page.keyboard.press("Enter");
    await until("it is refused", async () => (await page.locator("#said").textContent()) !== "");
  },
};

async function faults(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map((one) => ({
    impact: one.impact,
    words: `${one.impact}: ${one.id}: ${one.nodes.map((node) => `${node.html.slice(0, 120)} ${node.any.map((check) => check.message).join("; ")}`).slice(0, 3).join(" | ")}`,
  }));
}

export const checks = {
  async "it fits every width, and nothing serious keeps anybody from reading it"({ browser, at, tokenAt }) {
    const wrong = [];
    for (const width of WIDTHS) {
      for (const scheme of SCHEMES) {
        const { page, context } = await open(browser, { width, scheme });
        for (const [state, lead] of Object.entries(STATES)) {
          await lead(page, at, tokenAt);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          if (over > 0) wrong.push(`${state}, ${width} ${scheme}: ${over} pixels too wide`);
          for (const { impact, words } of await faults(page)) {
            if (["serious", "critical"].includes(impact)) wrong.push(`${state}, ${width} ${scheme}: ${words}`);
            else say(`      ${state}, ${width} ${scheme}: ${words}`);
          }
        }
        await context.close();
      }
    }
    assert.deepEqual(wrong, []);
  },
};
