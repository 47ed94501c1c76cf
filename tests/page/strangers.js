// What a page of somebody else's can do in the same browser, and who gets in at all.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { visit } from "./browser.js";

// Another site in the same browser, which counts what it is asked for.
async function stranger(body) {
  const asked = [];
  const server = createServer((request, answer) => {
    asked.push(request.url);
    answer.setHeader("Content-Type", "text/html");
    answer.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = `http://stranger.example:${server.address().port}`;
  return { at, asked, close: () => { server.closeAllConnections?.(); server.close(); } };
}

export const checks = {
  async "the page can load, run and send nothing but its own"({ page, at }) {
    const other = await stranger("window.pwned = 1");
    await visit(page, at);
    const kinds = ["connect-src", "form-action", "frame-src", "img-src", "script-src-elem", "style-src-elem"];
    const found = await page.evaluate(async ({ address, kinds }) => {
      const violations = [];
      addEventListener("securitypolicyviolation", (event) => violations.push(event.effectiveDirective));
      const element = (tag, attributes, text) => {
        const node = document.createElement(tag);
        for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
        if (text) node.textContent = text;
        document.body.append(node);
        return node;
      };
      element("script", {}, "window.pwned = 1");
      element("script", { src: `${address}/x.js` });
      element("img", { src: `${address}/x.png`, onerror: "window.pwned = 1" });
      element("link", { rel: "stylesheet", href: `${address}/x.css` });
      element("style", {}, "body { display: none }");
      element("iframe", { src: `${address}/` });
      element("object", { data: `${address}/x` });
      element("base", { href: `${address}/` });
      const styled = element("p", { style: "color: rgb(1, 2, 3)" }, "x");
      const form = element("form", { action: `${address}/`, method: "post" });
      form.submit();
      const rejected = await fetch(`${address}/`, { mode: "no-cors" }).then(() => false, () => true);
      // The driver's own calls are allowed to evaluate; what comes later is not.
      const evaluated = await new Promise((resolve) => setTimeout(() => {
        try { resolve(eval("true")); } catch { resolve(false); }
      }, 500));
      // On a busy machine a form is sent, and complained of, later than that.
      const complained = () => kinds.every((kind) => violations.includes(kind));
      for (let tries = 0; tries < 100 && !complained(); tries += 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      return {
        rejected, evaluated, pwned: window.pwned ?? null, colour: getComputedStyle(styled).color,
        shown: getComputedStyle(document.body).display, base: document.baseURI, kinds: [...new Set(violations)].sort(),
      };
    }, { address: other.at, kinds });
    other.close();
    assert.deepEqual(other.asked, []);
    assert.deepEqual([found.rejected, found.evaluated, found.pwned, found.shown], [true, false, null, "block"]);
    assert.notEqual(found.colour, "rgb(1, 2, 3)");
    assert.ok(found.base.startsWith(at), found.base);
    for (const kind of kinds) {
      assert.ok(found.kinds.includes(kind), `${kind} is not in ${found.kinds}`);
    }
    return "what is tried is complained of";
  },

  async "another site can neither frame nor read it, nor by a name that leads here"({ page, at }) {
    const other = await stranger(`<title>stranger</title><iframe src="${at}/"></iframe>`);
    await page.goto(other.at);
    const read = await page.evaluate(async (address) => {
      const plain = await fetch(`${address}/api/v1/status`, { credentials: "include" }).then(() => true, () => false);
      const opaque = await fetch(`${address}/api/v1/status`, { mode: "no-cors" }).then(() => true, () => false);
      const streamed = await new Promise((resolve) => {
        const events = new EventSource(`${address}/api/v1/events`);
        events.onmessage = () => resolve(true);
        events.onerror = () => { events.close(); resolve(false); };
      });
      return { plain, opaque, streamed };
    }, at);
    assert.deepEqual(read, { plain: false, opaque: false, streamed: false });
    const framed = page.frames().find((frame) => frame !== page.mainFrame());
    assert.ok(!framed || (await framed.locator("#facts").count()) === 0, "it is framed");
    const rebound = await page.goto(at.replace("127.0.0.1", "stranger.example"));
    assert.equal(rebound.status(), 421);
    other.close();
    return "what is tried is complained of";
  },

  async "with a token nobody sees anything without it, and the login is of no use to others"(scene) {
    const { page, context, tokenAt, token } = scene;
    await page.goto(tokenAt);
    assert.equal(await page.title(), "Wharfinger: log in");
    await page.keyboard.press("Tab");
    await page.keyboard.type("not the token");
    await page.keyboard.press("Enter");
    await page.locator("#said", { hasText: "not the token" }).waitFor();
    await page.locator("#token").fill(token);
    await page.keyboard.press("Enter");
    await page.locator("#live", { hasText: "● live" }).waitFor();
    assert.equal(page.url(), `${tokenAt}/`, "the token is in no address");
    const [cookie, ...rest] = await context.cookies();
    assert.deepEqual(rest, []);
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
    assert.ok(!cookie.value.includes(token));
    const kept = await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]);
    assert.deepEqual(kept, ["", 0, 0], "no script has it");
    await page.reload();
    await page.locator("#live", { hasText: "● live" }).waitFor();
    // A link on another site carries no cookie along.
    const other = await stranger(`<a href="${tokenAt}/">look</a>`);
    const elsewhere = await context.newPage();
    await elsewhere.goto(other.at);
    await elsewhere.locator("a").click();
    await elsewhere.waitForURL(`${tokenAt}/`);
    assert.equal(await elsewhere.title(), "Wharfinger: log in");
    other.close();
    await page.evaluate(() => fetch("/logout"));
    await page.reload();
    await page.locator("#login").waitFor();
    return "the other site is another origin";
  },
};
