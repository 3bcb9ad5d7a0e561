// The calendar: cards of posts from the server, and what happens when one is dragged.
"use strict";

const place = document.getElementById("calendar");
const notice = document.getElementById("calendar-notice");
const isNarrow = matchMedia("(max-width: 700px)").matches;

async function listCards({ startStr, endStr }) {
  const query = new URLSearchParams({
    workspace: place.dataset.workspace, account: place.dataset.account, zone: place.dataset.zone,
    view: calendar ? calendar.getView().type : firstView,
    start: startStr, end: endStr,
  });
  const answer = await fetch(`/dashboard/calendar/posts?${query}`);
  if (answer.ok && !answer.redirected) return answer.json();
  say(answer.redirected ? "Your session has ended. Reload the page." : "The posts cannot be read now. Reload the page.");
  return [];
}

function showCard({ event, view }) {
  const link = document.createElement("a");
  const { link: href, at, status, accounts } = event.extendedProps;
  const time = at ? at.slice(11, 16) : "";
  link.href = href;
  link.draggable = false;
  link.textContent = [time, event.title].join(" ").trim();
  if (status) {
    link.title = `${status} · ${accounts}`;
    link.ariaLabel = `${at.slice(0, 10)} ${link.textContent}, ${link.title}`;
  }
  const nodes = [link];
  if (status && view.type === "listWeek") {
    nodes.push(Object.assign(document.createElement("small"), { textContent: `${status} · ${accounts}` }));
  }
  return { domNodes: nodes };
}

// The library's own dates skip what the clocks of the browser's zone skip: the new time is the old one and the way moved.
function addWallTime(at, { days, seconds }) {
  return new Date(Date.parse(`${at}Z`) + (days * 86400 + seconds) * 1000).toISOString().slice(0, 19);
}

async function reschedule({ event, delta, revert }) {
  say("");
  const { at, post, version } = event.extendedProps;
  const local_time = addWallTime(at, delta);
  const body = new URLSearchParams({ local_time, time_zone: place.dataset.zone });
  let message = "The server did not answer. Reload the page to see whether the post was moved.";
  try {
    const answer = await fetch(`/dashboard/posts/${post}/reschedule`, {
      method: "POST", body,
      headers: { "X-CSRF-Token": place.dataset.csrf, "If-Match": version, Accept: "application/json" },
    });
    message = answer.redirected ? "Your session has ended. Log in again." : (await answer.json()).message ?? "";
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
  }
  if (message) revert();
  say(message || `Rescheduled to ${local_time.slice(0, 16).replace("T", " ")} ${place.dataset.zone}.`, event);
  calendar.refetchEvents();
}

function toDate(moment) {
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 10);
}

function say(text, event) {
  notice.replaceChildren(text);
  if (!event) return;
  const link = document.createElement("a");
  link.href = event.extendedProps.link;
  link.textContent = "Open the post";
  notice.append(" ", link);
}

// The library calls its views tables and lists, and puts into them what those may not have.
function removeRoles() {
  for (const element of place.querySelectorAll("[role]:not([role=button])")) {
    for (const name of ["role", "aria-colindex", "aria-rowindex", "aria-colspan"]) element.removeAttribute(name);
  }
}

// Where the visitor was: the way back from a post leads there again.
const [asked, date] = location.hash.slice(1).split("/");
const views = ["timeGridWeek", "dayGridMonth", "listWeek"];
const firstView = views.includes(asked) ? asked : isNarrow ? "listWeek" : "timeGridWeek";
let calendar = null;
let isDragging = false;
calendar = EventCalendar.create(place, {
  view: firstView,
  ...(/^\d{4}-\d\d-\d\d$/.test(date ?? "") && { date }),
  timeZone: place.dataset.offset,
  headerToolbar: { start: "prev,next today", center: "title", end: views.join(",") },
  buttonText: (text) => ({ ...text, today: "Today", timeGridWeek: "Week", dayGridMonth: "Month", listWeek: "List" }),
  views: { timeGridWeek: { dayHeaderFormat: { weekday: "short", day: "numeric" } } },
  allDaySlot: false,
  firstDay: 1,
  height: isNarrow ? "auto" : "75vh",
  scrollTime: "07:00:00",
  nowIndicator: true,
  lazyFetching: false, // each view has a choice of cards of its own
  eventDurationEditable: false,
  slotLabelFormat: { hour: "2-digit", minute: "2-digit", hour12: false },
  eventSources: [{ events: listCards }],
  eventContent: showCard,
  eventDragStart: () => { isDragging = true; },
  eventDragStop: () => { isDragging = false; },
  eventDrop: reschedule,
  eventAllUpdated: removeRoles,
  datesSet: ({ view }) => history.replaceState(null, "", `#${view.type}/${toDate(view.currentStart)}`),
});

// However much happens, the posts are read again once in ten seconds, and at once after a quiet time.
let readAt = 0;
let timer = null;
document.body.addEventListener("slipway:posts", () => {
  timer ??= setTimeout(() => {
    timer = null;
    readAt = Date.now();
    if (!isDragging) calendar.refetchEvents();
  }, Math.max(0, readAt + 10000 - Date.now()));
});
