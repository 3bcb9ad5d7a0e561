// The queue of approvals: the pane follows the row that the keys are on, and a link is copied.
"use strict";
const NARROW = matchMedia("(max-width: 899px)");
let timer = null;

// j and k walk the list (dashboard.js); once they rest, the pane shows the row. On a phone it would hide the list.
const follow = () => {
  const link = find(".row.here a");
  if (link && !NARROW.matches) htmx.ajax("GET", link.href, { target: "#pane", select: "#pane", swap: "outerHTML show:none" }).catch(() => {}); // given up, or the page says what failed
};
document.addEventListener("keydown", ({ key, target }) => {
  clearTimeout(timer);
  if (["j", "k"].includes(key) && !target.matches("input:not([type=checkbox]), textarea, select")) timer = setTimeout(follow, 200);
});

// The row of the post that is read is marked; what was opened by hand has the focus, so that Tab goes on in it.
document.addEventListener("htmx:afterSettle", ({ detail: { target, requestConfig } }) => {
  if (target.id !== "pane") return;
  const [pane, isOpened] = [find("#pane"), requestConfig.triggeringEvent?.type === "click"];
  if (isOpened) findAll("main .row.waiting").forEach((row) => row.classList.toggle("here", row.dataset.key === pane.dataset.post));
  if (isOpened || document.activeElement === document.body) pane.focus({ preventScroll: !NARROW.matches });
});

document.addEventListener("click", async ({ target }) => {
  if (target.closest(".row a")) htmx.trigger(document.body, "htmx:abort"); // its pane would replace the one that is opened
  const button = target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  await navigator.clipboard?.writeText(field.value).catch(() => {}); // refused: it is selected, for Ctrl+C
  button.querySelector("span").textContent = navigator.clipboard ? "Copied" : "Selected";
});
