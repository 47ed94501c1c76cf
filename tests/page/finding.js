// Filter, search and one container: by mouse, by keyboard and by an address.
import assert from "node:assert/strict";
import { names, until, visit } from "./browser.js";
import { remove, start } from "./host.js";

const focused = (page) => page.evaluate(() => {
  const node = document.activeElement;
  return `${node.tagName} ${node.id || node.textContent.trim()}`;
});

async function press(page, key, wanted, limit = 60) {
  for (let count = 0; count < limit; count += 1) {
    await page.keyboard.press(key);
    const now = await focused(page);
    if (now.startsWith(wanted)) return;
  }
  throw new Error(`${key} does not lead to ${wanted}, but to ${await focused(page)}`);
}

export const checks = {
  async "filter and search choose, and their state is in the address"({ page, at }) {
    await visit(page, at);
    const all = (await names(page)).length;
    await page.locator("#filters button", { hasText: "vetoed" }).click();
    assert.deepEqual(await names(page), ["batch"]);
    assert.equal(new URL(page.url()).searchParams.get("show"), "vetoed");
    await page.reload();
    await until("the filter is kept", async () => (await names(page)).join() === "batch");
    assert.equal(await page.locator("#filters button", { hasText: "vetoed" }).getAttribute("aria-pressed"), "true");
    await page.goBack();
    await until("all are back", async () => (await names(page)).length === all);
    for (const [words, found] of [
      ["FRONT-1", "shop-front-1"], ["REGISTRY.LOCAL/shop/cart", "shop-cart-1"], ["web1:mail:25", "mail"],
      ["no label owner", "batch"], ["legacy quota", "legacy"], ["front 8080", "shop-front-1"], ["nothing of the kind", ""],
    ]) {
      await page.locator("#words").fill(words);
      assert.equal((await names(page)).join(), found, words);
      assert.equal(new URL(page.url()).searchParams.get("q"), words);
    }
    await page.locator("#words").fill("front 8080");
    await page.goto(page.url());
    await until("the search is kept", async () => (await names(page)).join() === "shop-front-1");
    assert.equal(await page.locator("#words").inputValue(), "front 8080");
    assert.match(await page.locator("#count").textContent(), /^1 of \d+ containers$/);
  },

  async "one container is explained, under an address of its own"({ page, context, at }) {
    await visit(page, at);
    await page.locator("#rows a", { hasText: "batch" }).click();
    const explained = page.locator("#explained");
    await explained.getByText("no label owner").first().waitFor();
    assert.equal(await page.locator("#explanation-title").textContent(), "batch");
    const deep = page.url();
    await page.goBack();
    await until("it is closed", () => page.locator("#explanation").isHidden());
    await page.goForward();
    await page.locator("#explanation").waitFor();
    const other = await context.newPage();
    await other.goto(deep);
    await other.locator("#explained").getByText("no label owner").first().waitFor();
    await other.locator("#explanation-title", { hasText: "batch" }).waitFor();
    for (const [name, parts] of [
      ["shop-front-1", ["Services", "✔ registered", "What each stage did", "name:", "Candidates"]],
      ["legacy", ["✖ failed", "What each stage did", "stage quota"]],
      ["quiet", ["SERVICE_IGNORE"]],
    ]) {
      await visit(other, at);
      await other.locator("#rows a", { hasText: name }).click();
      await other.locator("#explanation-title", { hasText: name }).waitFor();
      for (const part of parts) await other.locator("#explained").getByText(part).first().waitFor();
    }
    await other.goto(`${at}/?container=nobody`);
    await other.locator("#explained").getByText("no container").waitFor();
    return "an answer of 404 is a complaint to the browser";
  },

  async "all of it can be done by keyboard alone"({ page, at }) {
    await visit(page, at);
    await press(page, "Tab", "A To the containers", 1);
    await page.keyboard.press("Enter");
    assert.equal(new URL(page.url()).hash, "#containers");
    await press(page, "Tab", "INPUT words", 2);
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("/");
    assert.equal(await focused(page), "INPUT words");
    await page.keyboard.type("batch/");
    assert.equal(await page.locator("#words").inputValue(), "batch/", "a slash is a letter there");
    await page.keyboard.press("Backspace");
    await press(page, "Tab", "BUTTON ⊘ vetoed");
    await page.keyboard.press("Enter");
    assert.deepEqual(await names(page), ["batch"]);
    assert.match(await focused(page), /^BUTTON ⊘ vetoed/, "the button keeps the focus");
    await press(page, "Tab", "A batch");
    await page.keyboard.press("Enter");
    await page.locator("#explanation").waitFor();
    assert.equal(await focused(page), "H2 explanation-title");
    await page.keyboard.press("Escape");
    assert.ok(await page.locator("#explanation").isHidden());
    assert.equal(await focused(page), "A batch", "where it was before");
    const outlined = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outlined, "none", "the focus is seen");
    // What happens meanwhile takes the focus from nobody.
    const id = await start("meanwhile");
    await until("the list is new", async () => /of \d+/.test(await page.locator("#count").textContent())
      && (await page.locator("#filters button", { hasText: "vetoed 2" }).count()) === 1);
    assert.equal(await focused(page), "A batch");
    await remove("meanwhile", id);
  },
};
