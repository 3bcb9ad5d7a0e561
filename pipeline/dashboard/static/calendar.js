// The calendar: a post is moved by a drag or a form, arrows walk, and what is shown loads itself anew when nothing is held.
"use strict";
let [held, readAt, timer, wasDragged] = [null, 0, null, false]; // held: the post under a hand, and the place below it

// Live: at most once a second, and never under a hand.
const load = () => {
  [timer, readAt] = [null, Date.now()];
  if (held) reload();
  else htmx.trigger("#shown", "reload");
};
const reload = () => (timer ??= setTimeout(load, Math.max(0, readAt + 1000 - Date.now())));
document.body.addEventListener("slipway:posts", reload);
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const isLate = !detail.boosted && detail.pathInfo.requestPath !== location.href; // another day was opened meanwhile
  if (detail.target.id !== "shown" || !(held || isLate)) return;
  detail.shouldSwap = false;
  reload();
});

// Wall times as the server writes them: of a day, or of an hour, with the offset of one that the clock shows twice.
const show = (at) => new Date(`${at.slice(0, 16)}Z`).toUTCString().slice(0, 22);
const aim = (at, to) => (to.length > 10 ? to.slice(0, 14) + at.slice(14, 16) + to.slice(16) : to + at.slice(10, 16));
const read = (post) => {
  const [{ to }, { href, textContent: words }] = [post.closest("[data-to]").dataset, post.querySelector("a")];
  return { at: `${to.slice(0, 10)}T${post.querySelector("b").textContent}${to.slice(16)}`, href, words, version: post.dataset.version };
};

const LOST = "There was no answer. Reload the page to see whether the post was moved.";
// The server's answer decides: until then, and if it refuses, the post stays where it is. Returns why it was refused.
async function move(post, to) {
  const time = to.length > 16 ? { scheduled_at: to } : { local_time: to, time_zone: find("#shown").dataset.zone };
  const headers = { ...JSON.parse(document.body.getAttribute("hx-headers")), "If-Match": `"${post.version}"`, Accept: "application/json" };
  const answer = await fetch(`${post.href}/reschedule`, { method: "POST", body: new URLSearchParams(time), headers }).catch(() => null);
  const { version, message = version ? "" : LOST } = (await answer?.json().catch(() => null)) ?? {};
  const [words, undo] = find("#moved").children;
  words.textContent = message || `Moved to ${show(to)}.`;
  undo.onclick = () => move({ ...post, at: to, version: version.slice(1, 33) }, post.at);
  [undo.hidden, find("#moved").hidden] = [!version, false];
  reload();
  return message;
}

// Drag: a mouse at once, a finger after a long press, so that it can scroll.
const lift = () => {
  held.ghost = document.body.appendChild(held.post.cloneNode(true));
  held.ghost.style.width = `${held.post.offsetWidth}px`;
  held.ghost.classList.add("lifted");
  wasDragged = true;
  carry(held.x, held.y);
};
const carry = (x, y) => {
  held.place?.classList.remove("target");
  held.place = document.elementFromPoint(x, y)?.closest("[data-exact], [data-to]"); // a free time, or an hour or a day
  held.place?.classList.add("target");
  held.to = held.place && (held.place.dataset.exact ?? aim(read(held.post).at, held.place.dataset.to));
  held.ghost.querySelector("b").textContent = held.to ? show(held.to) : "Leave it there";
  held.ghost.style.transform = `translate(${x}px, ${y}px)`;
  if (y < 60 || y > innerHeight - 60) scrollBy(0, y < 60 ? -16 : 16);
};
const letGo = ({ type }) => {
  if (!held) return;
  const { post, to, ghost, place } = held;
  clearTimeout(held.timer);
  ghost?.remove();
  place?.classList.remove("target");
  held = null;
  if (type === "pointerup" && to && to !== read(post).at) move(read(post), to);
};
const ON = {
  pointerdown: ({ target, clientX: x, clientY: y, button, pointerType }) => {
    wasDragged = false;
    const post = target.closest("[data-version]");
    if (!post || held || button || target.closest("button")) return;
    held = { post, x, y, timer: pointerType === "touch" && setTimeout(lift, 400) };
  },
  pointermove: ({ clientX: x, clientY: y }) => {
    if (held?.ghost) carry(x, y);
    else if (held && !held.timer && Math.hypot(x - held.x, y - held.y) > 4) lift();
  },
  pointerup: letGo,
  pointercancel: letGo,
  touchmove: (event) => held?.ghost && event.preventDefault(),
  contextmenu: (event) => held?.ghost && event.preventDefault(),
  dragstart: (event) => held && event.preventDefault(),
  click: (event) => {
    if (wasDragged && event.detail) event.preventDefault(); // a drag that ends on a link does not follow it
    else if (event.target.closest("[data-move]")) openForm(event.target.closest("[data-version]"));
  },
  keydown: (event) => {
    if (event.key === "Escape") letGo(event);
    const link = event.target.closest("#shown a[id]");
    if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "e" && link.closest("[data-version]")) openForm(link.parentElement);
    else if (WAYS[event.key]) walkFrom(link, WAYS[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  },
};
Object.entries(ON).forEach(([name, act]) => document.addEventListener(name, act, { passive: false, capture: true }));

// The form, and keys: arrows go to the nearest day or post that way, Enter opens, e moves.
const openForm = (element) => {
  const [form, post] = [find("#move form"), read(element)];
  const [words, problem] = form.querySelectorAll("p");
  [words.textContent, problem.textContent, form.at.value] = [post.words, "", post.at.slice(0, 16)];
  form.onsubmit = async (event) => {
    event.preventDefault();
    problem.textContent = await move(post, form.at.value);
    if (!problem.textContent) find("#move").close();
  };
  find("#move").showModal();
};
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const walkFrom = (link, [right, down]) => {
  const place = (one) => one.parentElement.getBoundingClientRect();
  const measure = (one) => [place(one).x - place(link).x, place(one).y - place(link).y, one];
  const far = ([x, y]) => 4 * Math.abs(x) + Math.abs(y);
  const there = findAll("#shown a[id]").filter((one) => one.getClientRects().length).map(measure).filter(([x, y]) => x * right + y * down > 4);
  there.sort((one, two) => far(one) - far(two))[0]?.[2].focus();
};
