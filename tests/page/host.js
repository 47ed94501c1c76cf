// The host that the daemon runs on is the test's: what is to happen on it is said on the standard output, a
// line of JSON each, and the answer comes on the standard input.
import { createInterface } from "node:readline";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let number = 100;

async function ask(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
  const { value, done } = await answers.next();
  if (done) throw new Error("the host is gone");
  return JSON.parse(value);
}

// A container starts. Its identifier is the answer.
export async function start(name, labels = {}, image = "web:1") {
  number += 1;
  const id = number.toString(16).padStart(64, "0");
  await ask({ do: "start", name, number, labels, image });
  return id;
}

// A container ends and is removed.
export async function remove(name, id) {
  await ask({ do: "remove", name, number: Number.parseInt(id, 16) });
}

// One of the daemons ends, as by SIGTERM, and begins again where it was.
export async function end() {
  await ask({ do: "end" });
}

export async function begin() {
  await ask({ do: "begin" });
}

// What is said to the people who run the test.
export function say(words) {
  process.stderr.write(`${words}\n`);
}
