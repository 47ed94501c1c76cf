// The engine of componentize-qjs, with a clock that stands still and a seed that never changes.
//
// The tool runs the engine once and puts its memory into the component. The time and the random numbers that the
// engine asks for meanwhile would be in there, and no two builds of one source would be the same. So
// make-component.js hands the tool its own engine, a WebAssembly module, with functions in the place of these imports.
// A stage sees neither time nor random numbers: guard.js says that there are none.

/** What the engine imports, and the code of the function that takes its place. */
const fixed = {
  // Two numbers of 64 bits at the given address: 1 and 2.
  "wasi:random/insecure-seed insecure-seed": [0x20, 0, 0x42, 1, 0x37, 3, 0, 0x20, 0, 0x42, 2, 0x37, 3, 8],
  // Seconds of 64 and nanoseconds of 32 bits at the given address: the moment 0.
  "wasi:clocks/wall-clock now": [0x20, 0, 0x42, 0, 0x37, 3, 0, 0x20, 0, 0x41, 0, 0x36, 2, 8],
  // One nanosecond.
  "wasi:clocks/monotonic-clock now": [0x42, 1],
};

const [CUSTOM, IMPORT, FUNCTION, EXPORT, CODE] = [0, 2, 3, 7, 10];
/** The order of the sections of a module. */
const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/** Reads numbers and texts of a module one after the other. */
class Reader {
  constructor(bytes, at = 0) {
    Object.assign(this, { bytes, at });
  }
  take(length) {
    if (this.at + length > this.bytes.length) throw new RangeError("the module ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  number() {
    for (let [value, factor] = [0, 1]; ; factor *= 128) {
      const [byte] = this.take(1);
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  }
  text() {
    return this.take(this.number()).toString();
  }
  /** Passes over the bounds of a table or a memory. */
  limits() {
    const kind = this.number();
    this.number();
    if (kind % 2) this.number();
  }
}

const number = (value) => (value < 128 ? [value] : [(value % 128) + 128, ...number(Math.floor(value / 128))]);
const text = (value) => [...number(value.length), ...Buffer.from(value)];
const section = (id, ...parts) => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([Buffer.from([id, ...number(body.length)]), body]);
};

/** Whether a section begins with its name, as those of no fixed kind do. */
function named(body) {
  try {
    return /^[ -~]+$/.test(new Reader(body).text());
  } catch {
    return false;
  }
}

/** The sections of the module that begins here. What comes behind its end is none. */
function sections(file, start) {
  const found = [];
  const reader = new Reader(file, start + 8);
  for (let last = -1; reader.at < file.length; ) {
    const id = reader.number();
    if (id !== CUSTOM && ORDER.indexOf(id) <= last) break;
    last = Math.max(last, ORDER.indexOf(id));
    const length = reader.number();
    if (length === 0 || reader.at + length > file.length) break;
    const body = reader.take(length);
    if (id === CUSTOM && !named(body)) break;
    found.push({ id, body });
  }
  return found;
}

/** The imports of a module: module, name, and what kind of thing they are, as it stands there. */
function imports(body) {
  const reader = new Reader(body);
  return Array.from({ length: reader.number() }, () => {
    const [module, name, from] = [reader.text(), reader.text(), reader.at];
    const kind = reader.number();
    // A function's type; a table's or a global's type besides.
    if (kind === 0 || kind === 1 || kind === 3) reader.number();
    if (kind === 1 || kind === 2) reader.limits();
    if (kind === 3) reader.number();
    return { module, name, kind, what: body.subarray(from, reader.at) };
  });
}

/** The engine of the tool for components without async: of the modules in its file the largest that is one. */
function engine(file) {
  let largest;
  const magic = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  for (let at = file.indexOf(magic); at >= 0; at = file.indexOf(magic, at + 1)) {
    const module = sections(file, at);
    const size = module.reduce((sum, { body }) => sum + body.length, 0);
    const body = module.find(({ id }) => id === IMPORT)?.body;
    if (!body || size <= (largest?.size ?? 0)) continue;
    const from = new Set(imports(body).map(({ module }) => module));
    if (from.has("local:init/module-loader") && !from.has("$root")) largest = { module, size };
  }
  if (!largest) throw new Error("there is no engine in it");
  return largest.module;
}

/** The same engine with functions of its own in the place of imports. */
function still(module) {
  const wanted = imports(module.find(({ id }) => id === IMPORT).body);
  const functions = wanted.filter(({ kind }) => kind === 0);
  const own = functions.flatMap((one) => {
    const code = fixed[`${one.module.replace(/@.*/, "")} ${one.name}`];
    return code ? [{ import: one, name: `fixed:${one.module} ${one.name}`, code }] : [];
  });
  if (own.length !== Object.keys(fixed).length) throw new Error("its engine imports other things");
  const defined = new Reader(module.find(({ id }) => id === FUNCTION).body).number();
  const more = (id, body, entries) => {
    const reader = new Reader(body);
    const count = reader.number();
    return section(id, number(count + entries.length), body.subarray(reader.at), entries.flat());
  };
  const written = module.map(({ id, body }) => {
    switch (id) {
      case IMPORT:
        // The linker of the tool gives a library what is imported of "env" from whatever exports it, itself as well.
        return section(
          id,
          number(wanted.length),
          ...wanted.map((one) => {
            const instead = own.find((other) => other.import === one);
            const [from, name] = instead ? ["env", instead.name] : [one.module, one.name];
            return Buffer.from([...text(from), ...text(name), ...one.what]);
          }),
        );
      case FUNCTION:
        return more(id, body, own.map((one) => [...one.import.what.subarray(1)]));
      case EXPORT:
        return more(id, body, own.map((one, n) => [...text(one.name), 0, ...number(functions.length + defined + n)]));
      case CODE:
        // No locals, the code, and its end.
        return more(id, body, own.map(({ code }) => [...number(code.length + 2), 0, ...code, 0x0b]));
      default:
        return section(id, body);
    }
  });
  return Buffer.concat([Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]), ...written]);
}

/**
 * The engine that is in a file of the tool, for builds that are reproducible.
 *
 * @param {Buffer} file the tool's native part
 * @returns {Buffer} a module of WebAssembly
 * @throws {Error} if the tool has another form than the one that this was written for
 */
export const stillEngine = (file) => still(engine(file));
