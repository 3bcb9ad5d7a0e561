// The week of an account's posting times. The fields are what is saved: the drawing shows them, and changes them.
"use strict";
const FIELDS = findAll("#times [data-day]");
const NAMES = FIELDS.map((field) => field.closest("label").firstChild.textContent.trim());
const [WEEK] = findAll(".times");
let dragged = null; // the time under a hand, and the cell below it

const readTimes = (day) => FIELDS[day].value.split(/\s+/).filter((text) => /^([01]?\d|2[0-3]):[0-5]\d$/.test(text)).map((text) => text.padStart(5, "0"));
const writeTimes = (day, times) => (FIELDS[day].value = [...new Set(times)].sort().join(" "));
const build = (tag, into, more) => into.appendChild(Object.assign(document.createElement(tag), more));
const hourOf = (hour) => `${String(hour).padStart(2, "0")}:00`;

// Each hour of a day is a cell, which holds its times.
function draw() {
  const cells = [];
  WEEK.replaceChildren();
  ["", ...NAMES].forEach((name) => build("b", WEEK, { textContent: name.slice(0, 3) }));
  for (let hour = 0; hour < 24; hour += 1) {
    build("span", WEEK, { textContent: hourOf(hour), className: "axis-hour" });
    FIELDS.forEach((_, day) => Object.assign((cells[24 * day + hour] = build("div", WEEK, { className: "at-hour" })).dataset, { day, hour }));
  }
  FIELDS.forEach((_, day) => readTimes(day).forEach((at) => {
    const chip = build("button", cells[24 * day + Number(at.slice(0, 2))], { type: "button", textContent: at, ariaLabel: `${NAMES[day]} ${at}` });
    Object.assign(chip.dataset, { day, at });
  }));
}

// Move a time, or take it off (*to* none); the one that is moved keeps the focus.
function put(day, at, to = null) {
  if (!("may" in WEEK.dataset)) return;
  if (at) writeTimes(day, readTimes(day).filter((one) => one !== at));
  if (to) writeTimes(to.day, [...readTimes(to.day), to.at]);
  draw();
  if (to) find(`.times [data-at="${to.at}"][data-day="${to.day}"]`).focus();
}

// By an arrow: up and down by a quarter of an hour, right and left by a day; at an edge it stays.
const WAY = { ArrowUp: [0, -15], ArrowDown: [0, 15], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
WEEK.addEventListener("keydown", (event) => {
  const { day, at } = event.target.dataset;
  if (!at || !(WAY[event.key] || ["Delete", "Backspace"].includes(event.key))) return;
  event.preventDefault();
  const [days, minutes] = WAY[event.key] ?? [];
  const to = { day: Number(day) + days, minute: 60 * Number(at.slice(0, 2)) + Number(at.slice(3)) + minutes };
  if (!WAY[event.key]) put(day, at);
  else if (FIELDS[to.day] && to.minute >= 0 && to.minute < 1440) put(day, at, { day: to.day, at: new Date(60000 * to.minute).toISOString().slice(11, 16) });
});

// By a hand: a time that is let go over another hour keeps its minutes; a click on a free hour adds one.
const aimAt = ({ clientX, clientY }) => document.elementFromPoint(clientX, clientY)?.closest(".at-hour");
WEEK.addEventListener("pointerdown", (event) => {
  const chip = event.target.closest("button");
  if (event.button || !chip) return;
  dragged = { chip, cell: chip.parentElement };
  chip.setPointerCapture(event.pointerId);
});
WEEK.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  dragged.cell.classList.remove("target");
  dragged.cell = aimAt(event) ?? dragged.chip.parentElement;
  dragged.cell.classList.toggle("target", dragged.cell !== dragged.chip.parentElement);
});
WEEK.addEventListener("pointerup", () => {
  const { chip, cell } = dragged ?? {};
  dragged = null;
  if (chip && cell !== chip.parentElement) put(chip.dataset.day, chip.dataset.at, { day: cell.dataset.day, at: hourOf(cell.dataset.hour).slice(0, 3) + chip.dataset.at.slice(3) });
});
WEEK.addEventListener("pointercancel", () => { dragged?.cell.classList.remove("target"); dragged = null; });
WEEK.addEventListener("click", ({ target }) => {
  if (target.matches(".at-hour")) put(0, null, { day: target.dataset.day, at: hourOf(target.dataset.hour) });
});

FIELDS.forEach((field) => field.addEventListener("input", draw));
findAll("[data-drawn]").forEach((part) => (part.hidden = false));
draw();
