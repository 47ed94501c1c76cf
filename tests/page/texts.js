// Whatever containers and plugins say is text, and looks like what it is.
import assert from "node:assert/strict";
import { until, visit } from "./browser.js";
import { remove, start } from "./host.js";

const RUN = "window.pwned=1";
const HOSTILE = {
  image: `<img src=x onerror=${RUN}>`,
  script: `</li></table><script>${RUN}</script>`,
  attribute: `" onmouseover="${RUN}" x="`,
  template: "{{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
  link: `javascript:${RUN}`,
  style: "<style>*{display:none}</style><svg onload=window.pwned=1>",
  frame: '<iframe src="http://stranger.example/"></iframe><link rel=stylesheet href=//stranger.example/x>',
  bidi: "abc\u202egnp.exe\u2066\u200b\u2028\u0007\u001b[31m",
  long: "x".repeat(100_000),
  wide: "\u{1f6a2}".repeat(2_000),
};

// Where a text of a container's author may come to be shown.
const PLACES = {
  name: (text) => ({ name: text }),
  image: (text) => ({ image: text }),
  service: (text) => ({ labels: { SERVICE_NAME: text } }),
  id: (text) => ({ labels: { SERVICE_ID: text } }),
  tags: (text) => ({ labels: { SERVICE_TAGS: text } }),
  metadata: (text) => ({ labels: { SERVICE_COLOUR: text, [`SERVICE_${text.slice(0, 2000)}`]: text } }),
  check: (text) => ({ labels: { SERVICE_CHECK_HTTP: text, SERVICE_CHECK_INTERVAL: text, SERVICE_CHECK_COLOUR: text } }),
  checks: (text) => ({ labels: { SERVICE_CHECKS: JSON.stringify([{ HTTP: text, Name: text }]) } }),
  network: (text) => ({ labels: { "wharfinger.network": text } }),
  port: (text) => ({ labels: { "wharfinger.port": text } }),
  stage: (text) => ({ labels: { hostile: "error", note: text } }),
};

const TAGS = "html head meta title link script body a header h1 h2 h3 span p main noscript section ul ol li dl div dt dd strong bdi "
  + "button form label kbd input table caption thead tr th tbody td footer code";

async function plain(page, what) {
  const found = await page.evaluate((tags) => {
    const known = new Set(tags.split(" "));
    const nodes = [...document.querySelectorAll("*")];
    const names = ["style", "src", "href"];
    return {
      pwned: window.pwned ?? null,
      foreign: nodes.map((node) => node.localName).filter((name) => !known.has(name)),
      handlers: nodes.flatMap((node) => [...node.attributes]).map((one) => one.name)
        .filter((name) => name.startsWith("on") || name === "style"),
      addresses: nodes.flatMap((node) => names.map((name) => node.getAttribute(name))).filter(Boolean)
        .filter((address) => !/^([/?#]|$)/.test(address)),
      steering: /[\u202a-\u202e\u2066-\u2069\u200b\u2028\u0007\u001b]/u.test(document.body.textContent),
      longest: Math.max(...nodes.flatMap((node) => [...node.childNodes]).filter((node) => node.nodeType === 3)
        .map((node) => node.data.length)),
      over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    };
  }, TAGS);
  const { longest, over, ...rest } = found;
  assert.deepEqual(rest, { pwned: null, foreign: [], handlers: [], addresses: [], steering: false }, what);
  assert.ok(longest < 10_000, `${what}: a text of ${longest} characters is shown`);
  assert.ok(over <= 0, `${what}: it is ${over} pixels too wide`);
}

export const checks = {
  async "labels, names and images are text, whatever is in them"({ page, at }) {
    await page.setViewportSize({ width: 360, height: 800 });
    await visit(page, at);
    let number = 0;
    for (const [place, of] of Object.entries(PLACES)) {
      const started = [];
      for (const [kind, text] of Object.entries(HOSTILE)) {
        number += 1;
        const { name = `${place}-${kind}`, labels = {}, image } = of(text);
        // Names have to differ, as Docker's do.
        const own = place === "name" ? `${name}${number}` : name;
        started.push([own, await start(own, { owner: text.slice(0, 50), ...labels }, image), kind]);
      }
      for (const [, id] of started) await page.locator(`#rows tr[data-id="${id}"]`).waitFor();
      await plain(page, `the list, ${place}`);
      for (const [, id, kind] of started) {
        await page.locator(`#rows tr[data-id="${id}"] a`).click();
        await page.locator("#explained h3").first().waitFor();
        await plain(page, `${place} ${kind}`);
        await page.keyboard.press("Escape");
      }
      for (const [name, id] of started) await remove(name, id);
      await until("they are gone", async () => (await page.locator("#rows tr[data-id]").count()) < 15);
    }
  },

  async "what is dangerous is shown and not swallowed"({ page, at }) {
    await visit(page, at);
    const id = await start(HOSTILE.image, { SERVICE_NAME: "evil", SERVICE_TAGS: HOSTILE.bidi, owner: "x" }, HOSTILE.script);
    const row = page.locator(`#rows tr[data-id="${id}"]`);
    await row.waitFor();
    const text = await row.textContent();
    assert.ok(text.includes(HOSTILE.image) && text.includes(HOSTILE.script), text);
    await page.goto(`${at}/?q=${encodeURIComponent("<img")}&container=${id}&show=${encodeURIComponent(HOSTILE.image)}`);
    await page.locator("#explained h3").first().waitFor();
    await plain(page, "an address that somebody made up");
    await remove(HOSTILE.image, id);
  },
};
