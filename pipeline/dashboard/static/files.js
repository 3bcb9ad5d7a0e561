// A file is sent as it is, with its options in the address, as soon as it is chosen or dropped.
"use strict";

htmx.defineExtension("file-body", {
  onEvent: (name, { detail }) => {
    if (name === "htmx:configRequest" && detail.verb === "post") {
      const { file } = detail.elt.elements;
      const given = [...new FormData(detail.elt)].filter(([, value]) => typeof value === "string" && value);
      detail.path += "?" + new URLSearchParams([...given, ["name", file.files[0].name]]);
      detail.headers["Content-Type"] = file.files[0].type || "application/octet-stream";
    }
    return true;
  },
  encodeParameters: (request, parameters, form) => form.elements.file.files[0],
});

const findForm = (element) => element.closest('form[hx-ext="file-body"]');
document.addEventListener("change", ({ target }) => {
  const form = target.type === "file" && findForm(target);
  if (!form) return;
  form.querySelectorAll("[data-file]").forEach((place) => (place.textContent = target.files[0]?.name ?? ""));
  if (target.files.length) form.requestSubmit();
});
document.addEventListener("htmx:xhr:progress", ({ target, detail }) => {
  const sent = findForm(target)?.querySelector("progress");
  if (sent && detail.lengthComputable) [sent.hidden, sent.value] = [false, detail.loaded / detail.total];
});
document.addEventListener("htmx:responseError", ({ target }) => { // so that it can be chosen again
  const form = findForm(target);
  if (form) [form.querySelector("progress").hidden, form.elements.file.value] = [true, ""];
});
