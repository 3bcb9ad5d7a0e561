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
