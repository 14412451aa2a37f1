// SCIMMY in memory, filled, behind a token: `node bench_scim_scimmy.mjs` where its packages are installed.
// Its handlers are ours, and do as little as they can: a Map by id, a Map by name for `userName eq`, and no more than the page of a list.

import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const load = createRequire(process.cwd() + "/");
const express = load("express");
const SCIMMY = load("scimmy").default ?? load("scimmy");
const Routers = load("scimmy-routers").default ?? load("scimmy-routers");

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const { BENCH_COUNT, BENCH_IDS, BENCH_TOKEN, BENCH_PORT } = process.env;
const users = new Map(), names = new Map();

function user(number) {
  const userName = `parent${String(number).padStart(7, "0")}@school.example`;
  return {
    externalId: `00u${String(number).padStart(17, "0")}`, userName,
    name: { givenName: `Given${number}`, familyName: `Family${number % 997}` },
    displayName: `Given${number} Family${number % 997}`, active: true,
    emails: [{ value: userName, type: "work", primary: true }],
    [enterprise]: { employeeNumber: `C${String(number).padStart(7, "0")}`, department: "Parents" },
  };
}

function keep(id, data) {
  const before = users.get(id), name = data.userName.toLowerCase();
  if ((names.get(name) ?? id) !== id) throw new SCIMMY.Types.Error(409, "uniqueness", "The userName is taken.");
  if (before) names.delete(before.userName.toLowerCase());
  const now = new Date();
  const kept = { ...data, id, meta: { created: before?.meta?.created ?? now, lastModified: now } };
  users.set(id, kept);
  names.set(name, id);
  return kept;
}

function page({ startIndex = 1, count = 20 }) {
  const found = [];
  let place = 0;
  for (const one of users.values()) {
    if (++place < startIndex) continue;
    found.push(one);
    if (found.length >= count) break;
  }
  return found;
}

function found(resource) {
  if (resource.id) {
    const one = users.get(resource.id);
    if (!one) throw new Error("not found");
    return one;
  }
  if (resource.filter) {
    const name = [...resource.filter].length === 1 && resource.filter[0]?.userName;
    if (Array.isArray(name) && name[0] === "eq") return [users.get(names.get(name[1].toLowerCase()))].filter(one => one);
    return resource.filter.match([...users.values()]);
  }
  resource.constraints.totalResults = users.size;
  return page(resource.constraints);
}

const User = SCIMMY.Resources.declare(SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false)).User ?? SCIMMY.Resources.User;
SCIMMY.Resources.User.ingress((resource, data) => keep(resource.id ?? randomUUID(), data));
SCIMMY.Resources.User.egress(found);
SCIMMY.Resources.User.degress(resource => {
  names.delete(users.get(resource.id).userName.toLowerCase());
  users.delete(resource.id);
});

for (let number = 0; number < Number(BENCH_COUNT); number++) keep(randomUUID(), user(number));
writeFileSync(BENCH_IDS, [...users.keys()].join("\n") + "\n");

const wanted = `Bearer ${BENCH_TOKEN}`;
const app = express();
app.use("/scim", new Routers({
  type: "bearer",
  handler: request => {
    if (request.header("Authorization") !== wanted) throw new Error("A token is needed.");
    return "bench";
  },
}));
app.listen(Number(BENCH_PORT), "127.0.0.1");
