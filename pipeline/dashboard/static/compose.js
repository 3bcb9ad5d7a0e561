// The form of a post: what is typed outlives the session, files are sent one after the other, and problems name their fields.
"use strict";

const getForm = () => document.getElementById("compose");
const isSaved = () => getForm().elements.version.value !== "0";
// of the user, as another one may sign in here; a form that was never saved is another one after a reload
const getKey = () => `slipway-form-${getForm().dataset.user}-${isSaved() ? getForm().elements.form.value : "new"}`;
let isDirty = false;

const checkNow = () => htmx.trigger(getForm(), "slipway:check");
const changed = () => {
  isDirty = true;
  htmx.trigger(getForm(), "htmx:abort"); // an answer to what stood there before would undo what was ticked since
};
document.addEventListener("input", (event) => {
  if (!event.target.closest?.("#compose")) return;
  if (event.target.matches("[name=find], [data-picker], [data-add], [name^=group_name]")) event.stopPropagation();
  else changed();
  if (event.target.matches("[data-when]")) getForm().querySelector("[name=when][value=at]").checked = true;
  if (event.target.matches("[data-find]")) {
    const words = event.target.value.toLowerCase();
    document.querySelectorAll(`${event.target.dataset.find} > li`).forEach((one) => (one.hidden = !one.textContent.toLowerCase().includes(words)));
  }
}, true);

// Fields of which something is wrong say so; the first one is shown after the form was sent in vain.
function markProblems() {
  const form = getForm();
  if (!form) return;
  form.querySelectorAll("[aria-invalid]").forEach((field) => ["aria-invalid", "aria-describedby"].forEach((name) => field.removeAttribute(name)));
  form.querySelectorAll(".problem[data-for]").forEach((problem) => {
    const named = form.querySelector(`[name="${CSS.escape(problem.dataset.for)}"]:not([type=hidden])`);
    if (!named) return;
    if (!problem.matches(".warning")) named.setAttribute("aria-invalid", "true");
    named.setAttribute("aria-describedby", problem.id);
  });
}
document.addEventListener("htmx:afterSettle", ({ detail }) => {
  if (detail.elt?.id !== "compose") return;
  markProblems();
  if (isSaved()) history.replaceState(history.state, "", `/dashboard/new?form=${getForm().elements.form.value}`);
  if (getForm().querySelector("[data-waits]")) setTimeout(() => !isDirty && checkNow(), 3000);
});
document.addEventListener("htmx:configRequest", ({ detail }) => detail.path.endsWith("/new/check") && (isDirty = false));
["htmx:sendError", "htmx:responseError"].forEach((name) => document.addEventListener(name, ({ detail }) => {
  if (detail.pathInfo?.requestPath.endsWith("/new/check")) isDirty = true;
}));

// What was not saved is kept in this tab until it is: through a reload, and through a sign-in.
addEventListener("pagehide", () => {
  if (getForm() && isDirty) sessionStorage.setItem(getKey(), JSON.stringify([...new FormData(getForm())].filter(([, value]) => typeof value === "string")));
});
function restore() {
  const stored = sessionStorage.getItem(getKey());
  sessionStorage.removeItem(getKey());
  if (!stored) return;
  const values = JSON.parse(stored).filter(([name]) => !["csrf", "form", "version", "tab"].includes(name));
  [...getForm().elements].filter((field) => ["checkbox", "radio"].includes(field.type)).forEach((field) => {
    field.checked = values.some(([name, value]) => name === field.name && value === field.value);
  });
  values.forEach(([name, value]) => {
    const field = getForm().elements[name];
    if (field?.matches?.("textarea, select, input:not([type=checkbox], [type=radio], [type=hidden])")) field.value = value;
  });
  const known = values.filter(([name]) => name === "url").map(([, value]) => value);
  if (known.length) document.getElementById("files").replaceChildren();
  known.forEach(addUrl);
  isDirty = true;
  checkNow();
}

// Files: sent as they are, in order; a list that is ordered by buttons and by hand.
function addUrl(url) {
  const item = document.createElement("li");
  const field = Object.assign(document.createElement("input"), { type: "hidden", name: "url", value: url });
  item.append(field, Object.assign(document.createElement("input"), { type: "hidden", name: "alt" }));
  document.getElementById("files").append(item);
}
const sending = Object.assign(document.createElement("ul"), { className: "sending" });
Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => node !== sending; // which a check does not know
function addSending(file) {
  const item = document.createElement("li");
  const bar = Object.assign(document.createElement("progress"), { value: 0, ariaLabel: `Sent of ${file.name}` });
  const status = Object.assign(document.createElement("small"), { role: "status" });
  item.append(Object.assign(document.createElement("span"), { textContent: file.name, dir: "auto", className: "clip" }), bar, status);
  sending.append(item);
  return { item, bar, status };
}
function showRefusal(words) {
  Object.assign(document.getElementById("refused"), { hidden: !words, textContent: words });
}
async function sendFiles(files) {
  const [workspace, rows] = [getForm().elements.workspace.value, files.map(addSending)];
  document.getElementById("drop").append(sending);
  showRefusal("");
  try {
    for (const [n, file] of files.entries()) {
      const { item, bar, status } = rows[n];
      const url = await uploadFile(file, workspace, () => getForm().elements.csrf.value, (share) => (bar.value = share), (words) => (status.textContent = words))
        .catch((error) => { throw new Error(`${file.name}: ${error.message}`); });
      item.remove();
      addUrl(url);
    }
  } catch (error) {
    showRefusal(error.message);
  }
  rows.forEach(({ item }) => item.remove());
  changed();
  checkNow();
}
document.addEventListener("submit", (event) => {
  if (event.target !== getForm() || !sending.children.length || event.submitter?.value === "discard") return;
  event.preventDefault();
  showRefusal("The files are still on their way: go on when they are there.");
});
// The files of a dropped folder, by name; a reader gives a hundred at once.
const listFiles = (entry) => new Promise((resolve, reject) => {
  if (entry.isFile) return entry.file((file) => resolve([file]), reject);
  const [reader, found] = [entry.createReader(), []];
  const readMore = () => reader.readEntries((some) => {
    found.push(...some);
    if (some.length) return readMore();
    const order = found.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    return Promise.all(order.filter((one) => !one.name.startsWith(".")).map(listFiles)).then((all) => resolve(all.flat()), reject);
  }, reject);
  readMore();
});
document.addEventListener("change", ({ target }) => {
  if (target.matches("#compose [data-picker]") && target.files.length) {
    sendFiles([...target.files]);
    target.value = "";
  }
  if (target.matches("#compose [data-add]") && target.value) {
    addUrl(target.value);
    target.value = "";
    changed();
    checkNow();
  }
});
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("#compose button");
  const item = button?.closest("[data-file]");
  if (button?.dataset.keep) getForm().elements.version.value = button.dataset.keep;
  else if (button?.dataset.etag) getForm().elements.etag.value = button.dataset.etag;
  else if (button?.dataset.move) item.previousElementSibling?.before(item);
  else if (button && "remove" in button.dataset) item.remove();
  else if (button?.dataset.choose) getForm().querySelectorAll("[name=account]").forEach((box) => (box.checked ||= button.dataset.choose.includes(box.value)));
  else return;
  changed();
  checkNow();
});
let dragged = null;
document.addEventListener("dragstart", ({ target }) => (dragged = target.closest?.("[data-file]")));
document.addEventListener("dragover", (event) => {
  const place = event.target.closest?.("#compose");
  if (place) event.preventDefault();
  document.getElementById("drop")?.classList.toggle("over", Boolean(place) && !dragged);
});
document.addEventListener("drop", (event) => {
  if (!event.target.closest?.("#compose")) return;
  event.preventDefault();
  document.getElementById("drop").classList.remove("over");
  const place = event.target.closest("[data-file]");
  if (dragged && place && place !== dragged) {
    place.compareDocumentPosition(dragged) & Node.DOCUMENT_POSITION_PRECEDING ? place.after(dragged) : place.before(dragged);
    changed();
    checkNow();
  } else {
    const entries = [...event.dataTransfer.items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...event.dataTransfer.files];
    Promise.all(entries.map(listFiles)).then((found) => sendFiles(entries.length ? found.flat() : plain));
  }
  dragged = null;
});
document.addEventListener("paste", (event) => {
  if (getForm() && event.clipboardData.files.length) sendFiles([...event.clipboardData.files]);
});
document.addEventListener("DOMContentLoaded", () => {
  if (!getForm()) return;
  restore();
  markProblems();
  if (getForm().querySelector("[data-waits]")) setTimeout(checkNow, 3000);
});
