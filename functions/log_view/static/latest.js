// The list of requests keeps itself up to date: it asks while somebody looks, and asks less often while nobody answers.

import { writeNumbers } from "./numbers.js";

const EVERY_MS = 4000;
const AT_MOST_MS = 60000;

const live = document.querySelector(".live");
const table = document.getElementById(live.dataset.table);
const dot = Object.assign(document.createElement("span"), { className: "dot" });
const state = document.createElement("span");
const news = Object.assign(document.createElement("span"), { className: "unseen", role: "status" });
const pause = Object.assign(document.createElement("button"), { type: "button" });
let wait = EVERY_MS;
let paused = false;
let etag = null;
let timer;

const names = (body) => new Set([...body.rows].map(name));
const name = (row) => row.querySelector("a")?.getAttribute("href");

function show(which, text) {
  live.dataset.state = which;
  state.textContent = text;
  pause.textContent = paused ? "Resume" : "Pause";
}

function take(body) {
  const known = names(table.tBodies[0]);
  const fresh = [...body.rows].filter((row) => !known.has(name(row)));
  for (const row of fresh) row.classList.add("new");
  const focused = table.tBodies[0].contains(document.activeElement) && document.activeElement.getAttribute("href");
  writeNumbers(body);
  table.tBodies[0].replaceWith(body);
  if (focused) body.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  if (fresh.length) news.textContent = fresh.length === 1 ? "1 new request" : `${fresh.length} new requests`;
}

async function ask() {
  try {
    const headers = { Accept: "text/html", ...(etag && { "If-None-Match": etag }) };
    const answer = await fetch(live.dataset.href, { headers, signal: AbortSignal.timeout(20000) });
    if (answer.status === 401) return location.reload();
    if (answer.status !== 304) {
      if (!answer.ok) throw new Error(answer.statusText);
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(table.id);
      etag = answer.headers.get("ETag");
      if (found) take(document.adoptNode(found.tBodies[0]));
    }
    wait = EVERY_MS;
    if (!paused) show("live", "Live");
  } catch {
    wait = Math.min(2 * wait, AT_MOST_MS);
    if (!paused) show("failing", `Not reached; trying again in ${Math.round(wait / 1000)} s`);
  }
  next();
}

function next() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(ask, wait);
}

pause.addEventListener("click", () => {
  paused = !paused;
  show(paused ? "paused" : "live", paused ? "Paused" : "Live");
  next();
});
document.addEventListener("visibilitychange", next);
live.append(dot, state, pause, news);
show("live", "Live");
next();
