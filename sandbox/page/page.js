"use strict";
// The page lives on without being loaded again: it asks each second whether there is anything new, and puts in what
// changed. Everything works without this file too, but for that, for ages and for copying.

const PAUSE = 1000; // milliseconds
const sources = new WeakMap(); // What the server wrote of a node, before ages were put in.

let known = null; // The version on show.

async function refresh() {
  try {
    const answer = await fetch(location.href, {
      cache: "no-store",
      headers: known ? { "If-None-Match": known } : {},
    });
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else if (answer.status === 404 && document.querySelector("[data-live=incident], [data-live=call]")) location.assign("/");
    else if (answer.status !== 304) throw new Error(answer.status);
    if (answer.ok) known = answer.headers.get("ETag");
    document.getElementById("stale").hidden = true;
  } catch {
    document.getElementById("stale").hidden = false;
  }
  setTimeout(refresh, PAUSE);
}

// Only what changed is replaced, so that focus, scroll position, open details and selected text stay.
function show(fresh) {
  document.title = fresh.title;
  const focused = document.activeElement?.id;
  for (const list of document.querySelectorAll("[data-live]")) {
    const other = fresh.querySelector(`[data-live="${list.dataset.live}"]`);
    if (other) merge(list, other);
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function merge(list, fresh) {
  const before = new Map([...list.children].map((child) => [child.dataset.key, child]));
  [...fresh.children].forEach((child, index) => {
    const old = before.get(child.dataset.key);
    let node = old;
    if (!old || sources.get(old) !== child.outerHTML) {
      node = prepare(document.importNode(child, true));
      for (const details of node.querySelectorAll("details[data-key]")) {
        details.open = !!old?.querySelector(`details[data-key="${CSS.escape(details.dataset.key)}"]`)?.open;
      }
      if (node.matches("details")) node.open = !!old?.open;
      old?.replaceWith(node);
    }
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  while (list.children.length > fresh.children.length) list.lastElementChild.remove();
}

function prepare(node) {
  sources.set(node, node.outerHTML);
  for (const button of node.querySelectorAll("[data-copy]")) button.hidden = false;
  for (const time of node.querySelectorAll("[data-age]")) time.textContent = age(time.dateTime);
  requestAnimationFrame(() => {
    for (const box of node.querySelectorAll("[data-end]")) box.scrollTop = box.scrollHeight;
  });
  return node;
}

function age(at) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

async function copy(button) {
  const box = document.getElementById(button.dataset.copy);
  const told = document.getElementById("copied");
  try {
    const text = button.dataset.whole ? await (await fetch(button.dataset.whole)).text() : box.textContent;
    await navigator.clipboard.writeText(text);
    told.textContent = "Copied.";
  } catch {
    // Without https, or another name than localhost, a browser lends no clipboard.
    getSelection().selectAllChildren(box);
    told.textContent = "Selected: copy it with your keyboard.";
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});
document.addEventListener("submit", () => {
  // A cleared sandbox answers with nothing to show; the next refresh shows it.
  for (const menu of document.querySelectorAll(".clear details")) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    document.querySelector(".search input").focus();
  }
  if (event.key === "Escape") for (const menu of document.querySelectorAll(".clear details[open]")) menu.open = false;
});
document.querySelectorAll("[data-live] > *").forEach(prepare);
setInterval(() => {
  for (const time of document.querySelectorAll("[data-age]")) {
    const text = age(time.dateTime);
    if (time.textContent !== text) time.textContent = text;
  }
}, 1000);
setTimeout(refresh, PAUSE);
