// The browser: Debian's Chromium with a profile of its own that ends with it, and a record of all that its
// pages ask for.
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-dev-shm-usage",
  // A stranger's name leads to this machine, as by DNS rebinding, and no other name anywhere.
  "--host-resolver-rules=MAP stranger.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

export async function launch() {
  const options = { executablePath: process.env.PAGE_CHROMIUM, args: FLAGS, headless: true, timeout: 120_000 };
  return chromium.launch(options);
}

// A browser's window of its own, without cookies, and what went wrong in it.
export async function open(browser, { width = 1280, height = 900, scheme = "light" } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC",
  });
  context.setDefaultTimeout(60_000);
  const seen = { requests: [], faults: [] };
  context.on("request", (request) => seen.requests.push(request.url()));
  context.on("weberror", (error) => seen.faults.push(String(error.error())));
  context.on("console", (message) => {
    // The browser says so of every answer of 401, the login's among them.
    const expected = message.text().includes("status of 401");
    if (message.type() === "error" && !expected) seen.faults.push(message.text());
  });
  const page = await context.newPage();
  return { context, page, seen };
}

// Waits until something holds of the page, and fails with what was found.
export async function until(what, probe, limit = 60_000) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await probe();
    if (found === true) return;
    if (Date.now() > end) throw new Error(`${what}: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// The page with the state in it.
export async function visit(page, address) {
  await page.goto(address);
  await page.locator("#live", { hasText: "● live" }).waitFor();
  await page.locator("#facts dt").first().waitFor();
}

// Lets the page read other answers than the daemon gives: `change` gets the answer's JSON and `given`, and
// returns what is read instead. It runs in the page, at each answer from `path` on, until the page is closed.
export async function amend(page, path, change, given = null) {
  const wrap = (path, change, given) => {
    const ask = window.fetch;
    window.fetch = async (asked, ...options) => {
      const answer = await ask(asked, ...options);
      if (!answer.ok || !String(asked).startsWith(path)) return answer;
      return Response.json(change(await answer.json(), given));
    };
  };
  await page.addInitScript({ content: `(${wrap})(${JSON.stringify(path)}, ${change}, ${JSON.stringify(given)})` });
}

// The names of the containers that are listed, in their order.
export function names(page) {
  return page.locator("#rows tr td:first-child a").allTextContents();
}

// The page's address as it is now: the driver hears of a change that the page makes a moment later.
export async function address(page) {
  return new URL(await page.evaluate(() => location.href));
}
