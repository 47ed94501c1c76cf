// What `wharfinger explain` says of one container, as lists.
import { make } from "/assets/page.js";

const list = (title, items) => (items.length ? [make("h3", {}, title), make("ul", {}, items)] : []);
const item = (...children) => make("li", {}, children);

function change([service, what]) {
  const id = make("bdi", {}, service);
  if (what === "added") return item(id, ": added");
  if (what.vetoed !== undefined) return item(id, ": ⊘ vetoed: ", make("bdi", {}, what.vetoed));
  const fields = (what.changed ?? []).map((field) => `${field.field}: ${JSON.stringify(field.from)} → ${JSON.stringify(field.to)}`);
  return item(id, ": ", make("bdi", {}, fields.join("; ")));
}

function stage(trace, failed) {
  const inner = [];
  if (failed) inner.push(item("✖ failed: ", make("bdi", {}, failed)));
  if (trace.skipped) inner.push(item("not for this container"));
  inner.push(...trace.changes.map(change));
  inner.push(...(trace.would_be ?? []).map((one) => {
    const node = change(one);
    node.prepend("would be (monitored): ");
    return node;
  }));
  for (const [id, { code, notes }] of trace.remarks ?? []) {
    const words = [code ? `code ${code}` : null, ...notes].filter(Boolean).join("; ");
    inner.push(item(make("bdi", {}, id), ": ", make("bdi", {}, words)));
  }
  if (trace.failure) inner.push(item("✖ failed: ", trace.failure.error));
  inner.push(...trace.messages.map((message) => item(`${message.level}: `, make("bdi", {}, message.text))));
  if (!inner.length) inner.push(item("leaves all as it is"));
  return item(make("strong", {}, make("bdi", {}, trace.stage)), make("ul", {}, inner));
}

function standing(one) {
  if (typeof one.standing === "string") return one.standing === "registered" ? "✔ registered" : `✖ ${one.standing}`;
  const [[word, detail]] = Object.entries(one.standing);
  return `✖ ${word}: ${[detail].flat().join(", ")}`;
}

function service(one) {
  const { id, name, address, port, tags } = one.service;
  const dropped = (one.dropped ?? []).map((words) => ["; not sent: ", make("bdi", {}, words)]);
  return item(make("bdi", {}, id), ": ", make("bdi", {}, name), ` at ${address}:${port}, `, standing(one),
    tags.length ? ["; tags ", make("bdi", {}, tags.join(", "))] : null, dropped);
}

export function explain(one) {
  const { container, outcome, services, unwanted, absences, warnings } = one;
  const trace = outcome?.trace ?? [];
  // A stage that fails, and holds the container, is the last one that is asked.
  const failed = absences.find((absence) => absence.kind === "failed" && !absence.service)?.words;
  const last = trace.length - 1;
  const facts = container ? [make("p", { class: "faint id" }, `${container.id}, image `, make("bdi", {}, container.image))] : [];
  return make("div", {}, [
    ...facts,
    ...list("Why something is not registered", absences.map((absence) =>
      item(`✖ ${absence.kind.replaceAll("-", " ")}${absence.service ? ` ${absence.service}` : ""}: `, make("bdi", {}, absence.words)))),
    ...list("Services", services.map(service)),
    ...list("Registered and not wanted", unwanted.map((other) => item(make("bdi", {}, other.id)))),
    ...list("Candidates", (outcome?.candidates ?? []).map((candidate) =>
      item(make("bdi", {}, candidate.id), ` at ${candidate.address}:${candidate.port}`))),
    ...list("What each stage did", trace.map((one, n) => stage(one, n === last ? failed : null))),
    ...list("Ignored", (outcome?.ignored ?? []).map((words) => item(make("bdi", {}, words)))),
    ...list("Warnings", [...(outcome?.warnings ?? []), ...warnings].map((words) => item(make("bdi", {}, words)))),
  ]);
}
