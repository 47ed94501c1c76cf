// @ts-nocheck: it looks at values of any type.
// What stands between the daemon and the stage: a mistake in the stage's code says
// what it is and where. Without it, an error that is thrown or a value of a wrong
// shape ends the component where nobody can see why.

import { log } from "wharfinger:pipeline/logging@0.2.0";

const shown = (value) => {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  const text = typeof value === "function" ? "a function" : JSON.stringify(value);
  return text === undefined ? String(value) : text.length > 60 ? `${text.slice(0, 60)}…` : text;
};
const line = (values) =>
  values.map((value) => (typeof value === "string" ? value : shown(value))).join(" ");

/** @type {Record<"trace" | "debug" | "info" | "log" | "warn" | "error", (...values: unknown[]) => void>} */
globalThis.console = Object.fromEntries(
  ["trace", "debug", "info", "log", "warn", "error"].map((name) => [
    name,
    (...values) => log(name === "log" ? "info" : name, line(values)),
  ]),
);

// What a stage has not says so by its name.
const without = (name, what) =>
  function () {
    throw new Error(`${name}: a stage has no ${what}`);
  };
const RealDate = Date;
globalThis.Date = new Proxy(RealDate, {
  construct(target, given, self) {
    if (given.length === 0) without("new Date()", "clock")();
    return Reflect.construct(target, given, self === globalThis.Date ? target : self);
  },
  apply: without("Date()", "clock"),
  get: (target, key) => (key === "now" ? without("Date.now", "clock") : Reflect.get(target, key)),
});
Math.random = without("Math.random", "random numbers");
globalThis.performance = { now: without("performance.now", "clock") };
for (const name of ["setTimeout", "setInterval", "fetch"]) {
  globalThis[name] = without(name, name === "fetch" ? "network" : "clock: no time passes within a call");
}

// The shapes of the contract, as far as a stage hands them back. An option ends in "?".
const pair = { key: "string", value: "string" };
const protocol = ["tcp", "udp", "sctp"];
const published = { containerPort: "u16", protocol, hostIp: "string", hostPort: "u16" };
const text = "string";
const kinds = {
  http: { url: text, "method?": text, headers: [pair], body: text, tlsSkipVerify: "boolean", "tlsServerName?": text },
  tcp: { address: text },
  udp: { address: text },
  grpc: { target: text, useTls: "boolean", tlsSkipVerify: "boolean", "tlsServerName?": text },
  "h2-ping": { address: text, useTls: "boolean", tlsSkipVerify: "boolean" },
  script: { args: [text] },
  docker: { containerId: text, "shell?": text, args: [text] },
  ttl: { ttl: text },
  alias: { "node?": text, "service?": text },
  "os-service": text,
};
const check = {
  "id?": text,
  "name?": text,
  "notes?": text,
  kind: { cases: kinds },
  "interval?": text,
  "timeout?": text,
  "initialStatus?": ["passing", "warning", "critical"],
  "deregisterAfter?": text,
  "successBeforePassing?": "u32",
  "failuresBeforeCritical?": "u32",
  attributes: [pair],
};
const locality = { region: text, "zone?": text };
const upstream = {
  destinationName: text,
  "datacenter?": text,
  "localBindAddress?": text,
  localBindPort: "u16",
  definition: [pair],
};
const proxy = {
  destinationServiceName: text,
  "destinationServiceId?": text,
  "localServiceAddress?": text,
  "localServicePort?": "u16",
  upstreams: [upstream],
  config: [pair],
  definition: [pair],
};
const service = {
  id: text,
  name: text,
  address: text,
  port: "u16",
  protocol,
  tags: [text],
  meta: [pair],
  checks: [check],
  "weights?": { passing: "u32", warning: "u32" },
  enableTagOverride: "boolean",
  taggedAddresses: [{ tag: text, address: text, port: "u16" }],
  "origin?": { containerPort: "u16", protocol, "published?": published },
  ports: [{ name: text, port: "u16", default: "boolean" }],
  "locality?": locality,
  "socketPath?": text,
  kind: text,
  "proxy?": proxy,
  connectNative: "boolean",
  definition: [pair],
  attributes: [pair],
};
const decision = { cases: { keep: null, replace: service, veto: { reason: text, "code?": text } } };
const outcome = { verdicts: [{ decision, notes: [text] }], added: [service] };
const wants = { "image?": "boolean", "setup?": "boolean", "agent?": "boolean", "engine?": "boolean" };
const description = {
  name: text,
  version: text,
  summary: text,
  "settingsSchema?": text,
  "wants?": wants,
  attributes: [pair],
};

const most = { u16: 65535, u32: 4294967295 };

// What is wrong with a value; undefined if nothing is.
function fault(value, wanted, path) {
  const no = (what) => `${path}: wanted is ${what}, not ${shown(value)}`;
  if (wanted === null) return undefined;
  if (typeof wanted === "string") {
    if (!(wanted in most)) return typeof value === wanted ? undefined : no(`a ${wanted}`);
    const good = Number.isInteger(value) && value >= 0 && value <= most[wanted];
    return good ? undefined : no(`a number from 0 to ${most[wanted]}`);
  }
  if (Array.isArray(wanted) && (wanted.length > 1 || typeof wanted[0] !== "string" || wanted[0] === text)) {
    if (wanted.length > 1) return wanted.includes(value) ? undefined : no(`one of ${wanted.join(", ")}`);
    if (!Array.isArray(value)) return no("a list");
    return first(value.map((item, n) => () => fault(item, wanted[0], `${path}[${n}]`)));
  }
  if (typeof value !== "object" || value === null) return no("an object");
  if (wanted.cases) {
    const known = Object.keys(wanted.cases);
    if (!known.includes(value.tag)) return `${path}.tag: wanted is one of ${known.join(", ")}, not ${shown(value.tag)}`;
    return fault(value.val, wanted.cases[value.tag], `${path}.val`);
  }
  return first(
    Object.entries(wanted).map(([key, inner]) => () => {
      const name = key.replace("?", "");
      const missing = value[name] === undefined || value[name] === null;
      return missing && name !== key ? undefined : fault(value[name], inner, `${path}.${name}`);
    }),
  );
}

function first(tries) {
  for (const one of tries) {
    const found = one();
    if (found) return found;
  }
  return undefined;
}

// Type, text, file and line of the author's own code.
function reason(error) {
  if (!(error instanceof Error)) return `it threw ${shown(error)}`;
  const calls = (error.stack ?? "").split("\n").filter((frame) => frame.trim().startsWith("at "));
  // Where the code was made from other code, a stack names that.
  const frames = calls.map((frame) => globalThis.originalLine?.(frame) ?? frame);
  const code = frames.filter((frame) => !frame.includes("guard.js") && !frame.includes("native"));
  const own = code.filter((frame) => !frame.includes("node_modules/"));
  log("error", [shown(error), ...frames].join("\n"));
  const place = (own[0] ?? code[0] ?? "").trim().replace(/^at /, "");
  return place ? `${shown(error)} (${place})` : shown(error);
}

/**
 * Make a stage of an object with the contract's functions.
 *
 * @template T
 * @param {T} stage
 * @returns {T}
 */
export function guard(stage) {
  const call = (name, given, shape, thrown) => {
    try {
      if (typeof stage[name] !== "function") throw new TypeError(`${name}: wanted is a function, not ${shown(stage[name])}`);
      const answer = stage[name](...given);
      const wrong = shape && fault(answer, shape, name);
      if (wrong) throw new TypeError(wrong);
      return answer;
    } catch (error) {
      // What the contract lets it throw is its own answer.
      if (thrown && fault(error, thrown, name) === undefined) throw error;
      const told = reason(error);
      if (name === "describe") throw new Error(told);
      throw name === "process" ? told : [told];
    }
  };
  // @ts-ignore: it has the same functions.
  return {
    // Who does not say what it wants is shown the container and its services alone.
    describe: () => ({ wants: {}, ...call("describe", [], description) }),
    validateSettings: (settings) => {
      call("validateSettings", [settings], undefined, [text]);
    },
    process: (...given) => {
      const answer = call("process", given, outcome, text);
      const [wanted, came] = [given[3].length, answer.verdicts.length];
      if (wanted !== came) throw `process.verdicts: wanted is one for each of ${wanted} services, not ${came}`;
      return answer;
    },
  };
}
