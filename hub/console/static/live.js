// Keeps the page current: puts each region that the server sends in its place.
// A region waits while the reader selects text in it, keyboard focus returns to where it was, and Pause stops it all.
"use strict";

const root = document.documentElement;
const sign = document.getElementById("live");
const button = document.getElementById("pause");
const waiting = new Map();
let paused = false;

function show(state) {
  sign.dataset.state = state;
  sign.textContent = sign.dataset[state];
}

function isBeingRead(region) {
  const selection = document.getSelection();
  return !selection.isCollapsed && region.contains(selection.anchorNode);
}

function put(name, html) {
  const region = document.getElementById(name);
  if (!region || isBeingRead(region)) {
    return false;
  }
  const focused = region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const scrolled = [...region.querySelectorAll(".scroll")].map((box) => box.scrollTop);
  region.innerHTML = html;
  region.querySelectorAll(".scroll").forEach((box, i) => { box.scrollTop = scrolled[i] ?? 0; });
  if (focused) {
    region.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
  const title = region.querySelector("[data-title]");
  if (title) {
    document.title = title.dataset.title;
  }
  return true;
}

function flush() {
  if (!paused) {
    waiting.forEach((html, name) => put(name, html) && waiting.delete(name));
  }
}

const source = new EventSource(`/events?lang=${root.lang.slice(0, 2)}`);
source.addEventListener("open", () => show(paused ? "paused" : "live"));
source.addEventListener("error", () => show("lost"));
source.addEventListener("region", (event) => {
  const { name, html } = JSON.parse(event.data);
  waiting.set(name, html);
  flush();
});
setInterval(flush, 1000); // what waited for a selection

button.hidden = false;
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? button.dataset.resume : button.dataset.pause;
  show(source.readyState !== EventSource.OPEN ? "lost" : paused ? "paused" : "live");
  flush();
});
