// What the pages share.
"use strict";

// A notice is about the last thing that was asked for.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.requestConfig.verb !== "get") document.getElementById("notice").replaceChildren();
});
