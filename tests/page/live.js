// What happens on the host is seen without doing anything.
import assert from "node:assert/strict";
import { amend, until, visit } from "./browser.js";
import { begin, end, remove, say, start } from "./host.js";

export const checks = {
  async "a container that starts is seen, and one that ends is gone"({ page, at }) {
    await visit(page, at);
    const began = Date.now();
    const id = await start("fresh", { owner: "ann" });
    const row = page.locator(`#rows tr[data-id="${id}"]`);
    await row.filter({ hasText: "registered" }).waitFor({ timeout: 20_000 });
    say(`      seen after ${Date.now() - began} ms`);
    assert.match(await row.textContent(), /fresh.*✔ registered.*web1:fresh:80/s);
    await remove("fresh", id);
    await until("it is gone", async () => (await row.count()) === 0);
  },

  async "what fails comes first, with a sign and a word beside the colour"({ page, at }) {
    await visit(page, at);
    const alarms = page.locator("#alarms li");
    await alarms.filter({ hasText: "✖ The stage quota fails: could not decide: this container is beyond me" }).waitFor();
    await alarms.filter({ hasText: "✖ 1 container failed and keeps what it has: legacy" }).waitFor();
    assert.match(await page.locator("#rows tr").first().textContent(), /✖ failed/);
    const became = await page.locator("#rows tr td:nth-child(2)").allTextContents();
    for (const words of became) assert.match(words, /^[✖⏸⊘✔–○■] [a-z]+$/, "a sign and a word");
    // Above the fold of a small laptop.
    const box = await alarms.first().boundingBox();
    assert.ok(box.y < 300, `the first alarm is ${box.y} pixels down`);
    const stages = await page.locator("#stages li").allTextContents();
    assert.equal(stages.length, 4);
    assert.ok(stages.some((words) => words.includes("✖ unhealthy")), stages.join());
    assert.ok(stages.some((words) => words.includes("monitored")), stages.join());
  },

  async "a daemon that is away is the first thing to see, and so is its being back"({ page, away }) {
    await visit(page, away);
    await page.locator("#alarms", { hasText: "quota" }).waitFor();
    await end();
    await page.locator("#live", { hasText: "✖" }).waitFor();
    await page.locator("#alarms li:first-child", { hasText: "✖ Wharfinger has not answered for" }).waitFor();
    assert.ok((await page.locator("#rows tr").count()) > 0, "what was known stays");
    await begin();
    await page.locator("#live", { hasText: "● live" }).waitFor();
    await until("nothing of it is left", async () => (await page.locator("#alarms", { hasText: "not answered" }).count()) === 0);
    return "the browser complains of what it cannot have";
  },

  async "each kind of trouble is said, and nothing is fine meanwhile"({ context, at }) {
    const since = new Date(Date.now() - 7_200_000).toISOString();
    const down = { up: false, since, error: "connection refused" };
    const policy = {
      in_force: { digest: "sha256:00", name: "prod", sequence: 7, key: "ops" }, refused: null, waits: { wave: 2 },
      monitored: false, source: null, source_failing: null,
    };
    for (const [change, words, fact] of [
      [{ held: { services: ["a", "b"], of: 3 } }, "⏸ Held: 2 of 3 services would go. See wharfinger apply."],
      [{ docker: down }, "✖ Docker has not answered for 2 h: connection refused"],
      [{ registry: down }, "✖ The registry has not answered for 2 h: connection refused"],
      [{ troubles: { reload: { since, words: "not reloaded: <b>a fault</b>" } } }, "✖ For 2 h: not reloaded: <b>a fault</b>"],
      [{ troubles: { policy: { since, words: "the policy x is refused: a fault" } } }, "✖ For 2 h: the policy x is refused"],
      [{ full_cycle: null }, "○ Not every container has been looked at yet."],
      [{ policy }, "✔ Nothing is held, and nothing fails.", "prod 7, signed by ops; waits: wave 2"],
      [{ policy: { ...policy, in_force: null, waits: "halt-when" } }, "✔ Nothing is held", "none is in force; waits: halt when"],
      [{}, "✔ Nothing is held, and nothing fails."],
    ]) {
      // What the daemon says, but for what fails on this host, and with the change.
      const page = await context.newPage();
      await amend(page, "/api/v1/status", (status, { since, change }) => {
        for (const stage of status.stages) stage.healthy = true;
        return { ...status, full_cycle: since, troubles: {}, ...change };
      }, { since, change });
      await amend(page, "/api/v1/containers", (list) => (
        { ...list, containers: list.containers.filter((one) => one.became !== "failed") }
      ));
      await visit(page, at);
      const alarms = page.locator("#alarms");
      await alarms.getByText(words).waitFor();
      assert.equal(await alarms.locator("li").count(), 1, await alarms.textContent());
      assert.equal(await alarms.locator("b").count(), 0);
      if (fact) await page.locator("#facts dd").getByText(fact).waitFor();
      await page.close();
    }
  },
};
