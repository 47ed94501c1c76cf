// Pictures for the documents, of a host on which something is wrong. They are made if PAGE_PICTURES names a
// folder, and first, while the host is as it was made.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { open, visit } from "./browser.js";

const SIZES = [[360, 700], [800, 800], [1600, 760]];

export const checks = {
  async "pictures"({ browser, at }) {
    const folder = process.env.PAGE_PICTURES;
    if (!folder) return;
    await mkdir(folder, { recursive: true });
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
