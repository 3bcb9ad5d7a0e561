// What the pages share.
"use strict";

// A notice is about the last thing that was asked for.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb !== "get") document.getElementById("notice").replaceChildren();
});

// Pages show times in the browser's zone, unless the visitor has chosen another.
if (!document.cookie.includes("slipway-zone=")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `slipway-zone=${zone}; path=/dashboard; max-age=31536000; samesite=lax`;
}

// Live: one stream a page, while it is visible. An event names topics; the elements that show them load themselves anew.
document.addEventListener("DOMContentLoaded", () => {
  const shown = [...document.querySelectorAll("[data-live]")].map((element) => element.dataset.live);
  const refusal = document.getElementById("live-refused");
  let [position, wait, stream, retry] = [document.body.dataset.position, 1000];
  const open = () => {
    clearTimeout(retry);
    stream?.close();
    if (!shown.length || document.hidden) return;
    stream = new EventSource("/dashboard/events?" + new URLSearchParams({ topics: shown.join(" "), after: position }));
    stream.onopen = () => ([wait, refusal.hidden] = [1000, true]);
    stream.onerror = () => { // the browser connects again by itself, unless it was refused
      if (stream.readyState !== EventSource.CLOSED) return;
      refusal.hidden = false;
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
