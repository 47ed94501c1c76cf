// Filter, search and one container: by mouse, by keyboard and by an address.
import assert from "node:assert/strict";
import { address, amend, names, until, visit } from "./browser.js";
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
    assert.equal((await address(page)).searchParams.get("show"), "vetoed");
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
      assert.equal((await address(page)).searchParams.get("q"), words);
    }
    await page.locator("#words").fill("front 8080");
    await page.goto((await address(page)).href);
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
    const deep = (await address(page)).href;
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
    assert.equal((await address(page)).hash, "#containers");
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

  async "all that an explanation may have is shown"({ page, at }) {
    const change = { changed: [{ field: "name", from: "a", to: "<b>" }] };
    await amend(page, "/api/v1/explain/", ([one], change) => {
      const [service] = one.services;
      one.services = [{ taken: "of another" }, "missing", { differs: ["name", "tags"] }]
        .map((standing) => ({ ...service, standing, dropped: ["the tags have no place there"] }));
      one.unwanted = [{ ...service.registered, id: "old:id" }];
      one.absences = [{ kind: "not-published", service: "x:y:1", words: "it has no port" }];
      one.warnings = ["a check cannot run"];
      one.outcome.ignored = ["port 9: it says so"];
      one.outcome.trace = [{
        stage: "all", changes: [["id:1", "added"], ["id:2", { vetoed: "no owner" }], ["id:3", change]],
        would_be: [["id:4", { vetoed: "no team" }]], remarks: [["id:5", { code: "C-1", notes: ["a note"] }]],
        failure: { error: "too late", matters: true }, messages: [{ level: "warn", text: "a word" }],
      }, { stage: "none", changes: [], messages: [], skipped: true }];
      return [one];
    }, change);
    await visit(page, at);
    await page.locator("#rows a", { hasText: "shop-front-1" }).click();
    await page.locator("#explained").getByText("What each stage did").waitFor();
    const text = await page.locator("#explained").textContent();
    for (const part of [
      "✖ taken: of another", "✖ missing", "✖ differs: name, tags", "not sent: the tags have no place there", "old:id",
      "✖ not published x:y:1: it has no port", "a check cannot run", "port 9: it says so", "id:1: added",
      "id:2: ⊘ vetoed: no owner", 'id:3: name: "a" → "<b>"', "would be (monitored): id:4: ⊘ vetoed: no team",
      "id:5: code C-1; a note", "✖ failed: too late", "warn: a word", "not for this container",
    ]) assert.ok(text.includes(part), `${part} is not in ${text}`);
  },
};
