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
  const shown = [...document.querySelectorAll("[data-live]")];
  const topics = [...new Set(shown.flatMap((element) => element.dataset.live.split(" ")))].join(" ");
  let position = document.body.dataset.position;
  let stream = null;
  let retry = 0;
  let wait = 1000;
  const close = () => {
    clearTimeout(retry);
    if (stream) stream.close();
    stream = null;
  };
  const open = () => {
    close();
    if (!topics || document.hidden) return;
    stream = new EventSource("/dashboard/events?" + new URLSearchParams({ topics, after: position }));
    stream.onopen = () => (wait = 1000);
    stream.addEventListener("changed", (event) => {
      position = event.lastEventId;
      JSON.parse(event.data).forEach((topic) => document.body.dispatchEvent(new CustomEvent("slipway:" + topic)));
    });
    stream.addEventListener("end", () => location.reload());
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) return; // the browser connects again by itself
      retry = setTimeout(open, wait);
      wait = Math.min(2 * wait, 60000);
    };
  };
  document.addEventListener("visibilitychange", open);
  open();
});
