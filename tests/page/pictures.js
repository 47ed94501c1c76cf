// Pictures for the documents, of a host on which something is wrong. They are made if PAGE_PICTURES names a
// folder, and first, while the host is as it was made.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { open, visit } from "./browser.js";

const SIZES = [[360, 700], [800, 800], [1600, 600]];

// The colours of a terminal on both grounds.
const TERMINALS = {
  light: { ground: "#ffffff", text: "#1b1f24", 31: "#a40e26", 32: "#116329", 33: "#7d4e00", 34: "#0550ae", 35: "#7a3ea8", 36: "#0b6e75", 90: "#57606a" },
  dark: { ground: "#0d1117", text: "#e6edf3", 31: "#ff8f8a", 32: "#56d364", 33: "#e3b341", 34: "#79b8ff", 35: "#d2a8ff", 36: "#76e3ea", 90: "#9da7b3" },
};

// What a program has printed for a terminal, as HTML: colours, bold and dim.
function html(text, colours) {
  const escaped = (words) => words.replace(/[&<>]/g, (c) => `&#${c.codePointAt(0)};`);
  let style = "";
  return text.split("\u001b[").map((part, n) => {
    if (n === 0) return escaped(part);
    const [codes, words] = [part.slice(0, part.indexOf("m")), part.slice(part.indexOf("m") + 1)];
    for (const code of codes.split(";").map(Number)) {
      if (code === 0) style = "";
      else if (code === 1) style += "font-weight:700;";
      else if (code === 2) style += "opacity:.7;";
      else if (colours[code]) style += `color:${colours[code]};`;
      else throw new Error(`the code ${code} is not known`);
    }
    return `<span style="${style}">${escaped(words)}</span>`;
  }).join("");
}

async function plan(browser, folder) {
  const printed = process.env.PAGE_PLAN.trimEnd();
  for (const [scheme, colours] of Object.entries(TERMINALS)) {
    const { page, context } = await open(browser, { width: 900, height: 400, scheme });
    await page.setContent(`<body style="margin:0"><pre style="margin:0;padding:12px;width:max-content;
      background:${colours.ground};color:${colours.text};font:13px/1.35 'DejaVu Sans Mono',monospace">${
      html(printed, colours)}</pre>`);
    await page.locator("pre").screenshot({ path: join(folder, `plan-${scheme}.png`) });
    await context.close();
  }
}

const folder = process.env.PAGE_PICTURES;

export const checks = !folder ? {} : {
  async "pictures"({ browser, at }) {
    await mkdir(folder, { recursive: true });
    await plan(browser, folder);
    for (const [width, height] of SIZES) {
      for (const scheme of ["light", "dark"]) {
        const { page, context } = await open(browser, { width, height, scheme });
        await visit(page, at);
        await page.locator("#alarms", { hasText: "quota" }).waitFor();
        await page.screenshot({ path: join(folder, `page-${width}-${scheme}.png`), animations: "disabled" });
        await context.close();
      }
    }
  },
};
