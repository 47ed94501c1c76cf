// Runs the checks, each in a window of its own: node run.js [part of a name]
//
// PAGE_AT is where a daemon answers that wants no token, PAGE_TOKEN_AT where one does that wants PAGE_TOKEN;
// PAGE_AWAY_AT is one that ends and begins again; PAGE_CHROMIUM is the browser, and PAGE_PICTURES the folder for the pictures, if any are wanted.
import { launch, open } from "./browser.js";
import { say } from "./host.js";
import * as pictures from "./pictures.js";
import * as live from "./live.js";
import * as finding from "./finding.js";
import * as texts from "./texts.js";
import * as strangers from "./strangers.js";
import * as looks from "./looks.js";

const at = process.env.PAGE_AT;
const tokenAt = process.env.PAGE_TOKEN_AT;
const groups = [pictures, live, finding, texts, strangers, looks];
const away = process.env.PAGE_AWAY_AT;
const wanted = process.argv[2] ?? "";

// What holds whatever is done: nothing but the daemon is asked, and nothing goes wrong in silence.
function sound({ requests, faults }) {
  const foreign = requests.filter((url) => ![at, tokenAt, away].some((own) => url.startsWith(`${own}/`)));
  if (foreign.length) throw new Error(`requests have left the page's origin: ${foreign.join(", ")}`);
  if (faults.length) throw new Error(`the browser complains: ${faults.join("; ")}`);
}

const browser = await launch();
let failed = 0;
for (const [name, check] of groups.flatMap((group) => Object.entries(group.checks))) {
  if (!name.includes(wanted)) continue;
  const began = Date.now();
  const window = await open(browser);
  try {
    const lenient = await check({ ...window, browser, at, tokenAt, away, token: process.env.PAGE_TOKEN });
    if (!lenient) sound(window.seen);
    say(`ok    ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    say(`FAIL  ${name}: ${error.stack ?? error}`);
  } finally {
    await window.context.close();
  }
}
await browser.close();
say(`${failed} failed`);
process.exit(failed ? 1 : 0);
