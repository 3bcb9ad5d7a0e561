// The calendar: cards of posts from the server, and what happens when one is dragged.
"use strict";

const place = document.getElementById("calendar");
const notice = document.getElementById("calendar-notice");
const views = ["timeGridWeek", "dayGridMonth", "listWeek"];
const [asked, date] = location.hash.slice(1).split("/"); // where the visitor was, on the way back from a post
const firstView = views.includes(asked) ? asked : views[matchMedia("(max-width: 700px)").matches ? 2 : 0];

// Cards are not replaced while one is dragged, nor until the server has answered its drop: answers from before are out of date.
let released = Promise.resolve();
place.addEventListener("pointerdown", () => {
  released = new Promise((resolve) => {
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(resolve), { once: true });
  });
}, { capture: true });

async function listCards(range) {
  for (;;) {
    const before = released;
    await before;
    const cards = await readCards(range);
    if (before === released) return cards;
  }
}

async function readCards({ startStr: start, endStr: end }) {
  const { workspace, account, zone } = place.dataset;
  const view = calendar ? calendar.getView().type : firstView;
  const answer = await fetch(`/dashboard/calendar/posts?${new URLSearchParams({ workspace, account, zone, view, start, end })}`);
  if (answer.ok && !answer.redirected) return answer.json();
  say(answer.redirected ? "Your session has ended. Reload the page." : "The posts cannot be read now. Reload the page.");
  return [];
}

function showCard({ event: { title, extendedProps: { link, at, status, accounts } }, view }) {
  const shown = Object.assign(document.createElement("a"), { href: link, draggable: false, textContent: title });
  if (!status) return { domNodes: [shown] };
  shown.textContent = `${at.slice(11, 16)} ${title}`;
  shown.title = `${status} · ${accounts}`;
  shown.ariaLabel = `${at.slice(0, 10)} ${shown.textContent}, ${shown.title}`;
  const more = Object.assign(document.createElement("small"), { textContent: shown.title });
  return { domNodes: view.type === "listWeek" ? [shown, more] : [shown] };
}

// The library's own dates skip what the clocks of the browser's zone skip: the new time is the old one and the way moved.
function addWallTime(at, { days, seconds }) {
  return new Date(Date.parse(`${at}Z`) + (days * 86400 + seconds) * 1000).toISOString().slice(0, 19);
}

async function reschedule({ event: { extendedProps: { at, post, version, link } }, delta, revert }) {
  say("");
  const local_time = addWallTime(at, delta);
  let message = "The server did not answer. Reload the page to see whether the post was moved.";
  try {
    const answer = await fetch(`/dashboard/posts/${post}/reschedule`, {
      method: "POST",
      body: new URLSearchParams({ local_time, time_zone: place.dataset.zone }),
      headers: { "X-CSRF-Token": place.dataset.csrf, "If-Match": version, Accept: "application/json" },
    });
    message = answer.redirected ? "Your session has ended. Log in again." : (await answer.json()).message ?? "";
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
  }
  if (message) revert();
  say(message || `Rescheduled to ${local_time.slice(0, 16).replace("T", " ")} ${place.dataset.zone}.`, link);
  calendar.refetchEvents();
}

function say(text, href) {
  notice.replaceChildren(text, " ");
  if (href) notice.append(Object.assign(document.createElement("a"), { href, textContent: "Open the post" }));
}

// The library calls its views tables and lists, and puts into them what those may not have.
function removeRoles() {
  for (const element of place.querySelectorAll("[role]:not([role=button])")) {
    for (const name of ["role", "aria-colindex", "aria-rowindex", "aria-colspan"]) element.removeAttribute(name);
  }
}

let calendar = null;
calendar = EventCalendar.create(place, {
  view: firstView,
  ...(/^\d{4}-\d\d-\d\d$/.test(date ?? "") && { date }),
  timeZone: place.dataset.offset,
  headerToolbar: { start: "prev,next today", center: "title", end: views.join(",") },
  buttonText: (text) => ({ ...text, today: "Today", timeGridWeek: "Week", dayGridMonth: "Month", listWeek: "List" }),
  views: { timeGridWeek: { dayHeaderFormat: { weekday: "short", day: "numeric" } } },
  allDaySlot: false, firstDay: 1, scrollTime: "07:00:00", nowIndicator: true, eventDurationEditable: false,
  height: firstView === "listWeek" ? "auto" : "75vh",
  lazyFetching: false, // each view has a choice of cards of its own
  slotLabelFormat: { hour: "2-digit", minute: "2-digit", hour12: false },
  eventSources: [{ events: listCards }],
  eventContent: showCard,
  eventDrop: (drop) => (released = reschedule(drop)),
  eventAllUpdated: removeRoles,
  datesSet: ({ view }) => history.replaceState(null, "", `#${view.type}/${view.currentStart.toLocaleDateString("sv")}`),
});

// However much happens, the posts are read again once a second at most.
let [readAt, timer] = [0, null];
document.body.addEventListener("slipway:posts", () => {
  timer ??= setTimeout(() => {
    [readAt, timer] = [Date.now(), null];
    calendar.refetchEvents();
  }, Math.max(0, readAt + 1000 - Date.now()));
});
