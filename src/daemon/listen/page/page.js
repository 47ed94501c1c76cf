// The page: asks for the state, shows it, and is told by events when to ask again. Everything that
// comes from a container or a plugin becomes a text node and nothing else.
import { explain } from "/assets/explain.js";

const LONGEST = 2000;
const MOST_ROWS = 500;
const SOME = 3;
// The daemon says something at least every fifteen seconds.
const SILENCE = 40000;
const WHO = [["docker", "Docker"], ["registry", "The registry"]];
const OUTCOMES = ["failed", "held", "vetoed", "registered", "ignored", "unselected", "ended"];
const SIGNS = { failed: "✖", held: "⏸", vetoed: "⊘", registered: "✔", ignored: "–", unselected: "○", ended: "■" };
const TONES = { failed: "bad", held: "warn", vetoed: "warn", registered: "good" };

const by = (id) => document.getElementById(id);

// A text as it is, but for what would make it look like another one.
export function shown(text) {
  const all = String(text);
  const head = all.length > LONGEST ? `${all.slice(0, LONGEST)}… (${all.length} characters)` : all;
  return head.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

export function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined) continue;
    node.append(child instanceof Node ? child : document.createTextNode(shown(child)));
  }
  return node;
}

function ago(time) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(time).getTime()) / 1000));
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [length, unit] of units) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${seconds} s`;
}

export async function ask(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  if (answer.status === 401) location.reload();
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `it answers ${answer.status}`);
  return body;
}

// What is shown, which is kept in the address.
const place = {
  get() {
    const query = new URLSearchParams(location.search);
    return { words: query.get("q") ?? "", outcome: query.get("show") ?? "", container: query.get("container") ?? "" };
  },
  set(change, replace) {
    const now = { ...place.get(), ...change };
    const query = new URLSearchParams();
    if (now.words) query.set("q", now.words);
    if (now.outcome) query.set("show", now.outcome);
    if (now.container) query.set("container", now.container);
    const text = query.toString();
    const address = text ? `?${text}` : location.pathname;
    if (replace) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    return now;
  },
};

let status = null;
let rows = [];
let opened = "";
let said = "";
// When the daemon was last heard of, and since when it is not, if so.
let heard = Date.now();
let silent = 0;

// A few of many names.
function some(names) {
  const first = names.slice(0, SOME).join(", ");
  return names.length > SOME ? `${first} and ${names.length - SOME} more` : first;
}

function alarms() {
  const all = [];
  if (silent) all.push(`✖ Wharfinger has not answered for ${ago(silent)}; all below is from before.`);
  if (status.held) {
    const { services, of } = status.held;
    all.push(`⏸ Held: ${services.length} of ${of} services would go. See wharfinger apply.`);
  }
  for (const [key, name] of WHO) {
    const peer = status[key];
    if (peer && !peer.up) all.push(`✖ ${name} has not answered for ${ago(peer.since)}: ${peer.error ?? ""}`);
  }
  for (const stage of status.stages) {
    if (!stage.healthy) {
      const why = stage.unloaded ?? stage.last_error?.error ?? "";
      all.push(`✖ The stage ${stage.stage} fails: ${why}`);
    }
  }
  for (const trouble of Object.values(status.troubles)) all.push(`✖ For ${ago(trouble.since)}: ${trouble.words}`);
  const failed = rows.filter((one) => one.became === "failed").map((one) => one.name || one.id.slice(0, 12));
  const words = failed.length === 1 ? "1 container failed and keeps what it has" : `${failed.length} containers failed and keep what they have`;
  if (failed.length) all.push(`✖ ${words}: ${some(failed)}`);
  const items = all.map((words) => make("li", {}, words));
  if (!items.length && !status.full_cycle) items.push(make("li", { class: "waiting" }, "○ Not every container has been looked at yet."));
  if (!items.length) items.push(make("li", { class: "fine" }, "✔ Nothing is held, and nothing fails."));
  // What is as before is not read out again.
  const text = items.map((item) => item.textContent).join();
  if (text === said) return;
  said = text;
  by("alarms").replaceChildren(...items);
}

function peer(known) {
  if (!known) return "not asked yet";
  return known.up ? `✔ connected for ${ago(known.since)}` : `✖ silent for ${ago(known.since)}`;
}

// What needs somebody first.
function counted(counts) {
  return Object.entries(counts).sort(([a], [b]) => OUTCOMES.indexOf(a) - OUTCOMES.indexOf(b));
}

function policy() {
  const { in_force, monitored, waits } = status.policy;
  const name = in_force ? `${in_force.name} ${in_force.sequence}, signed by ${in_force.key}` : "none is in force";
  const [[word, number]] = waits ? (typeof waits === "string" ? [[waits]] : Object.entries(waits)) : [[]];
  const rest = [monitored ? "the next one is tried out" : null, word ? `waits: ${word.replaceAll("-", " ")} ${number ?? ""}` : null];
  return [name, ...rest.filter(Boolean)].join("; ");
}

function facts() {
  const all = [
    ["Docker", peer(status.docker)],
    ["Registry", peer(status.registry)],
    ["Services", status.services],
    ["Containers", counted(status.containers).map(([word, count]) => `${count} ${word}`).join(", ") || "none"],
    ["Last full cycle", status.full_cycle ? `${ago(status.full_cycle)} ago` : "none yet"],
    ["Runs", `${status.version}, for ${status.started ? ago(status.started) : "no time yet"}`],
  ];
  if (status.policy) all.push(["Policy", policy()]);
  by("facts").replaceChildren(...all.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function micros(time) {
  if (!time) return "";
  const all = time.secs * 1e6 + time.nanos / 1e3;
  return all >= 1000 ? `${(all / 1000).toFixed(1)} ms` : `${Math.round(all)} µs`;
}

function stage(one) {
  const { figures, stats, made } = one;
  const counted = [
    [figures.calls, "calls"], [figures.hits, "remembered"], [figures.changes, "changed"], [figures.vetoes, "vetoed"],
    [figures.additions, "added"], [figures.would_be_changes, "would change"], [figures.would_be_vetoes, "would veto"],
    [Object.values(figures.failures).reduce((sum, count) => sum + count, 0), "failed"],
  ].filter(([count, word]) => count || word === "calls").map(([count, word]) => `${count} ${word}`);
  return make("li", { class: one.healthy ? null : "broken" },
    make("p", {}, make("strong", {}, make("bdi", {}, one.stage)), one.mode === "monitor" ? " (monitored)" : ""),
    make("p", { class: one.healthy ? "good" : "bad" }, one.healthy ? "✔ healthy" : "✖ unhealthy"),
    make("p", { class: "faint" }, counted.join(", ")),
    stats ? make("p", { class: "faint" }, `p50 ${micros(stats.time.p50)}, p99 ${micros(stats.time.p99)}`) : null,
    made ? make("p", { class: "faint" }, `${made.plugin} ${made.version} ${made.digest.slice(0, 12)}`) : null);
}

function row(one) {
  const link = make("a", { href: `?container=${encodeURIComponent(one.id)}` }, make("bdi", {}, one.name || one.id.slice(0, 12)));
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    place.set({ container: one.id });
    show();
  });
  return make("tr", { "data-id": one.id, "aria-current": opened === one.id ? "true" : null },
    make("td", {}, link, " ", make("span", { class: "faint id" }, one.id.slice(0, 12))),
    make("td", { class: TONES[one.became] }, `${SIGNS[one.became] ?? ""} ${one.became}`),
    make("td", { "data-name": "Services" }, one.services.map((id, n) => [n ? ", " : null, make("bdi", {}, id)]).flat()),
    make("td", { "data-name": "Why" }, one.reason ? make("bdi", {}, one.reason) : null),
    make("td", { "data-name": "Image", class: "faint" }, make("bdi", {}, one.image)));
}

function table() {
  const { words, outcome } = place.get();
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (one) => {
    if (outcome && one.became !== outcome) return false;
    const text = [one.name, one.id, one.image, one.reason ?? "", ...one.services].join(" ").toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
  const order = (one) => OUTCOMES.indexOf(one.became);
  const found = rows.filter(fits).sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name));
  const focused = document.activeElement?.closest?.("tr")?.dataset.id;
  by("rows").replaceChildren(...found.slice(0, MOST_ROWS).map(row));
  if (focused) by("rows").querySelector(`tr[data-id="${CSS.escape(focused)}"] a`)?.focus();
  const more = found.length > MOST_ROWS ? `; the first ${MOST_ROWS} are shown` : "";
  by("count").textContent = `${found.length} of ${rows.length} containers${more}`;
}

function filters() {
  const { outcome } = place.get();
  const counts = new Map(OUTCOMES.map((word) => [word, 0]));
  for (const one of rows) counts.set(one.became, (counts.get(one.became) ?? 0) + 1);
  const focused = document.activeElement?.dataset?.show;
  const button = (word, label) => {
    const node = make("button", { type: "button", "aria-pressed": String(outcome === word), "data-show": word }, label);
    node.addEventListener("click", () => {
      place.set({ outcome: word });
      show();
    });
    return node;
  };
  const all = [...counts].filter(([word, count]) => count || word === outcome);
  by("filters").replaceChildren(button("", `all ${rows.length}`),
    ...all.map(([word, count]) => button(word, `${SIGNS[word] ?? ""} ${word} ${count}`)));
  if (focused !== undefined) by("filters").querySelector(`[data-show="${CSS.escape(focused)}"]`)?.focus();
}

async function explanation() {
  const { container } = place.get();
  const news = container !== opened;
  opened = container;
  by("explanation").hidden = !container;
  if (!container) return;
  const known = rows.find((one) => one.id === container);
  by("explanation-title").textContent = shown(known?.name || container);
  if (news) {
    by("explained").replaceChildren(make("p", {}, "Loading …"));
    by("explanation-title").focus();
    by("explanation").scrollIntoView({ block: "nearest" });
  }
  try {
    const all = await ask(`/api/v1/explain/${encodeURIComponent(container)}`);
    if (opened === container) by("explained").replaceChildren(...all.map(explain));
  } catch (error) {
    if (opened === container) by("explained").replaceChildren(make("p", { class: "bad" }, `✖ ${error.message}`));
  }
}

function show() {
  if (!status) return;
  const { words } = place.get();
  if (by("words").value !== words) by("words").value = words;
  alarms();
  facts();
  by("stages").replaceChildren(...status.stages.map(stage));
  explanation();
  filters();
  table();
}

let asking = false;
let again = false;

async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = true;
  try {
    do {
      again = false;
      const [now, list] = await Promise.all([ask("/api/v1/status"), ask("/api/v1/containers")]);
      [status, rows] = [now, list.containers];
      [heard, silent] = [Date.now(), 0];
      by("host").textContent = shown(list.host ?? "");
      document.title = `Wharfinger ${shown(list.host ?? "")}`;
      show();
    } while (again);
  } catch (error) {
    missed();
    by("live").textContent = `✖ ${shown(error.message)}`;
  } finally {
    asking = false;
  }
}

// What is shown may be old, which has to be the first thing that is seen.
function missed() {
  silent ||= heard;
  by("live").textContent = "✖ not live; trying again";
  if (status) alarms();
}

function listen() {
  const events = new EventSource("/api/v1/events");
  events.addEventListener("quiet", () => {
    heard = Date.now();
  });
  events.addEventListener("state", () => {
    by("live").textContent = "● live";
    heard = Date.now();
    refresh();
  });
  events.addEventListener("error", () => {
    missed();
    if (events.readyState === EventSource.CLOSED) {
      setTimeout(listen, 2000);
      refresh();
    }
  });
}

by("search").addEventListener("submit", (event) => event.preventDefault());
by("words").addEventListener("input", () => {
  place.set({ words: by("words").value }, true);
  table();
});
function close() {
  const id = opened;
  place.set({ container: "" });
  show();
  (by("rows").querySelector(`tr[data-id="${CSS.escape(id)}"] a`) ?? by("words")).focus();
}
by("close").addEventListener("click", close);
addEventListener("popstate", show);
addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing) {
    event.preventDefault();
    by("words").focus();
  } else if (event.key === "Escape" && opened) {
    close();
  }
});
// The times that have passed go on without events.
setInterval(() => {
  if (Date.now() - heard > SILENCE) {
    missed();
    refresh();
  }
  if (status) {
    alarms();
    facts();
  }
}, 10000);
refresh();
listen();
