// What is selected stays selected when the list is loaded again, and one box selects all of the page.
"use strict";

const listPicks = () => [...document.querySelectorAll('#found input[name="delivery"]')];
let picked = new Set();

document.addEventListener("htmx:beforeSwap", () => {
  picked = new Set(listPicks().filter((box) => box.checked).map((box) => box.value));
});
document.addEventListener("htmx:afterSwap", () => {
  for (const box of listPicks()) box.checked = picked.has(box.value);
});
document.addEventListener("change", (event) => {
  if (event.target.id !== "every") return;
  for (const box of listPicks()) box.checked = event.target.checked;
});
