// What the pages share: the clock, live updates that move nothing, keys, and what is selected.
"use strict";

const find = (selector) => document.querySelector(selector);
const findAll = (selector) => [...document.querySelectorAll(selector)];

// A notice is about the last thing that was asked for.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb !== "get") find("#notice").replaceChildren();
});

// Pages show times in the browser's zone, unless the visitor has chosen another.
if (!document.cookie.includes("slipway-zone=")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `slipway-zone=${zone}; path=/dashboard; max-age=31536000; samesite=lax`;
}

// A part that loads itself anew keeps what the visitor typed, ticked or opened.
const isChanged = (field) => field.checked !== field.defaultChecked || field.value !== field.defaultValue;
Idiomorph.defaults.callbacks.beforeNodeMorphed = (old) =>
  !(old.matches?.("input, textarea") && (old === document.activeElement || isChanged(old))) && !old.matches?.("select:focus");
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !(name === "open" && node.matches("details, dialog")) && !(name === "class" && node.matches(".here"));

// Live: one stream a page, while it is visible. An event names topics; the elements that show them load themselves anew.
document.addEventListener("DOMContentLoaded", () => {
  const shown = [...new Set(findAll("[data-live]").map((element) => element.dataset.live))];
  const state = find("#live");
  let [position, wait, lost, stream, retry] = [document.body.dataset.position, 1000];
  const showLost = () => {
    lost ??= setTimeout(() => {
      state.textContent = `Not live since ${readClock(Date.now() - 5000)}`;
      state.classList.add("lost");
    }, 5000);
  };
  const showLive = () => {
    clearTimeout(lost);
    [wait, lost] = [1000];
    state.textContent = "Live";
    state.classList.remove("lost");
  };
  const open = () => {
    clearTimeout(retry);
    stream?.close();
    if (!shown.length || document.hidden) return;
    stream = new EventSource("/dashboard/events?" + new URLSearchParams({ topics: shown.join(" "), after: position }));
    stream.onopen = showLive;
    stream.onerror = () => { // the browser connects again by itself, unless it was refused
      showLost();
      if (stream.readyState !== EventSource.CLOSED) return;
      retry = setTimeout(open, (wait = Math.min(2 * wait, 60000)));
    };
    stream.addEventListener("end", () => location.reload());
    stream.addEventListener("changed", (event) => {
      position = event.lastEventId;
      JSON.parse(event.data).forEach((topic) => document.body.dispatchEvent(new Event("slipway:" + topic)));
    });
  };
  document.addEventListener("visibilitychange", open);
  open();
});

// The clock: the session's zone, of which the server says the offset.
function readClock(instant) {
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(find("#clock")?.dataset.offset ?? "+00:00");
  return new Date(instant + Number(sign + 1) * (hours * 60 + +minutes) * 60000).toISOString().slice(11, 16);
}
setInterval(() => {
  const clock = find("#clock");
  if (clock) clock.textContent = `${readClock(Date.now())} ${clock.textContent.split(" ").slice(1).join(" ")}`;
}, 5000);

// A part that does not load anew keeps what it shows, and says since when, until it loads; so does the sidebar, silently.
const loadedAt = {};
const isList = (element) => element.matches("main [data-live]");
const showFailed = ({ detail }) => {
  const list = detail.requestConfig?.elt ?? detail.elt;
  if (!isList(list) || find(`#failed-${list.id}`)) return;
  const strip = find("#failed").content.firstElementChild.cloneNode(true);
  const [name, time] = strip.querySelectorAll("b, time");
  strip.id = `failed-${list.id}`;
  name.textContent = `${list.getAttribute("aria-label") ?? "The page"} did not load.`;
  time.textContent = readClock(loadedAt[list.id] ?? performance.timeOrigin);
  strip.querySelector("button").onclick = () => document.body.dispatchEvent(new Event("slipway:" + list.dataset.live));
  list.before(strip);
};
["htmx:sendError", "htmx:timeout"].forEach((name) => document.addEventListener(name, showFailed));
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig: { elt } } = event.detail;
  if (!elt.dataset.live) return;
  if (xhr.status >= 500) {
    event.detail.shouldSwap = false;
    showFailed(event);
  } else if (xhr.status < 400) {
    loadedAt[elt.id] = Date.now();
    find(`#failed-${elt.id}`)?.remove();
  }
});

// A page that takes longer than 200 ms to come has grey rows until it does.
addEventListener("beforeunload", () => setTimeout(() => find("#content").classList.add("loading"), 200));
const showRows = () => find("#content").classList.remove("loading"); // also of a page that is not left after all
["pageshow", "pointerdown", "keydown"].forEach((name) => addEventListener(name, showRows));

// Menus close with Escape, and when something else is clicked; one with a field to fill in leads to it.
const closeMenus = (but) => findAll("details.menu[open]").forEach((menu) => menu.contains(but) || (menu.open = false));
document.addEventListener("toggle", ({ target }) => target.open && target.querySelector?.("[data-focus]")?.focus(), true);
document.addEventListener("click", (event) => {
  closeMenus(event.target);
  const all = event.target.closest("[data-all]");
  if (all) {
    all.form.elements.scope.value = "all";
    findAll("[data-picked]").forEach((place) => (place.textContent = all.dataset.all));
  }
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
});

// A secret that is shown once is copied whole.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.querySelector("span").textContent = "Copied";
});

// Selection: rows by their boxes; the head of the list turns into the bar of what can be done.
const listPicks = () => findAll("input.pick-one");
function showSelection() {
  const picked = listPicks().filter((box) => box.checked).length;
  findAll("[data-selected]").forEach((bar) => (bar.hidden = !picked));
  findAll("[data-unselected]").forEach((head) => (head.hidden = picked > 0));
  findAll("[data-picked]").forEach((place) => (place.textContent = picked));
  const verbs = new Set(listPicks().filter((box) => box.checked).flatMap((box) => box.dataset.verbs.split(" ").filter(Boolean)));
  findAll("[data-no-verb]").forEach((words) => (words.hidden = !picked || verbs.size > 0));
  findAll("[data-verb]").forEach((verb) => (verb.hidden = !verbs.has(verb.dataset.verb)));
}
function pickAll(checked) {
  listPicks().forEach((box) => (box.checked = checked));
  findAll("input.pick-every").forEach((box) => (box.checked = checked));
  findAll("[name=scope]").forEach((scope) => (scope.value = "some"));
  showSelection();
}
document.addEventListener("change", (event) => {
  if (event.target.matches("input.pick-every")) pickAll(event.target.checked);
  if (event.target.matches("input.pick-one")) showSelection();
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
document.addEventListener("htmx:afterSettle", showSelection);
document.addEventListener("DOMContentLoaded", showSelection);

// A finger that stays on a row selects it, and follows no link.
let press = null;
const release = () => clearTimeout(press?.timer);
const hold = ({ target, pointerType, clientX: x, clientY: y }) => {
  release();
  const box = pointerType === "touch" && target.closest(".row")?.querySelector("input.pick-one:enabled");
  press = box && target !== box ? { x, y } : null;
  if (!press) return;
  press.timer = setTimeout(() => {
    [press.isLong, box.checked] = [true, !box.checked];
    showSelection();
  }, 450);
};
document.addEventListener("pointerdown", hold);
document.addEventListener("pointermove", ({ clientX: x, clientY: y }) => press && Math.hypot(x - press.x, y - press.y) > 10 && release());
["pointerup", "pointercancel"].forEach((name) => document.addEventListener(name, release));
["click", "contextmenu"].forEach((name) => document.addEventListener(name, (event) => {
  if (press && (name === "contextmenu" || (press.isLong && event.detail)) && event.target.closest(".row")) event.preventDefault();
}, true));

// Keys: / finds, j and k walk the rows, x selects, e edits or moves, Escape clears, ? says so.
function walk(step) {
  const rows = findAll("main .row");
  const at = rows.findIndex((row) => row.classList.contains("here"));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
  rows.forEach((row) => row.classList.toggle("here", row === next));
  next?.scrollIntoView({ block: "nearest" });
  next?.querySelector("a, button, summary")?.focus();
}
const click = (selector) => find(selector)?.click();
const KEYS = {
  "/": () => find("#find")?.focus(),
  j: () => walk(1),
  k: () => walk(-1),
  x: () => click(".row.here input.pick-one"),
  e: () => click(".row.here [data-edit], main [data-edit]"),
  "?": () => find("#keys")?.showModal(),
  Escape: () => { closeMenus(); pickAll(false); },
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("dialog[open]")) return;
  if (event.key !== "Escape" && event.target.matches("input:not([type=checkbox]), textarea, select")) return;
  if (!KEYS[event.key]) return;
  if (event.key !== "Escape") event.preventDefault();
  KEYS[event.key]();
});

// A toast counts down the time in which a change can be undone.
setInterval(() => {
  findAll("[data-until]").forEach((place) => {
    const left = Math.round((Date.parse(place.dataset.until) - Date.now()) / 1000);
    if (left <= 0) place.closest(".toast").remove();
    else place.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left`;
  });
}, 1000);
