// Search of the reference, and the language that was chosen.
const search = document.getElementById("search");
const results = document.getElementById("results");
const contents = document.querySelector(".contents");
let entries;

function readEntries() {
  return [...document.querySelectorAll("main [data-title]")].map((element) => {
    const part = element.closest(".part");
    const heading = part.querySelector("h2, h3").textContent;
    return {
      id: element.id,
      title: element.dataset.title,
      of: element === part ? heading : part.dataset.title,
      weight: element === part ? 1 : 2,
      text: `${element.dataset.title} ${element === part ? heading : ""} ${element.textContent}`.toLowerCase(),
    };
  });
}

function rank({ title, text, weight }, words) {
  if (!words.every((word) => text.includes(word))) return Infinity;
  const inTitle = words.filter((word) => title.toLowerCase().includes(word)).length;
  return weight * text.length - inTitle * 1e6;
}

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  contents.hidden = words.length > 0;
  entries ??= readEntries();
  const found = words.length ? entries.map((entry) => [rank(entry, words), entry]).filter(([n]) => n < Infinity) : [];
  found.sort(([a], [b]) => a - b);
  results.replaceChildren(...found.slice(0, 20).map(([, entry]) => {
    const [item, link, of] = ["li", "a", "small"].map((name) => document.createElement(name));
    link.href = `#${entry.id}`;
    of.textContent = entry.of;
    link.append(entry.title, of);
    item.append(link);
    return item;
  }));
  if (words.length && !found.length) results.append("Nothing found. Fewer or shorter words find more.");
}

search.parentElement.hidden = false;
search.addEventListener("input", show);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") results.querySelector("a")?.click();
  if (event.key === "Escape") { search.value = ""; show(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input")) return;
  event.preventDefault();
  search.focus();
});
for (const choice of document.querySelectorAll("[name=language]"))
  choice.addEventListener("change", () => localStorage.setItem("language", choice.id));
const chosen = document.getElementById(localStorage.getItem("language"));
if (chosen) chosen.checked = true;
if (matchMedia("(max-width: 760px)").matches) contents.open = false;
