// Files on their way: a media file in parts; a file of a form (an import) as it is, with its options in the address.
"use strict";

// Answers with the state of an upload; a TypeError says that the same may be asked again.
const ask = (method, address, token, body, showSent) => new Promise((resolve, reject) => {
  const request = new XMLHttpRequest();
  const lose = () => reject(new TypeError("The connection was lost. It goes on when it is back."));
  request.open(method, address);
  request.setRequestHeader("X-CSRF-Token", token);
  request.timeout = 300000; // milliseconds
  request.upload.onprogress = ({ loaded }) => showSent?.(loaded);
  request.onload = () => {
    const said = request.getResponseHeader("Content-Type")?.includes("json") ? JSON.parse(request.responseText) : {};
    if (said.address) return resolve(said); // also of a part that begins at another byte than the next
    const Kind = request.status > 499 || [408, 429].includes(request.status) ? TypeError : Error;
    return reject(new Kind(said.message ?? (Kind === Error ? "The file was not taken. Sign in again and repeat it." : "Slipway does not answer. It goes on when it does.")));
  };
  [request.onerror, request.ontimeout, request.onabort] = [lose, lose, lose];
  const abort = () => request.abort();
  addEventListener("offline", abort);
  request.onloadend = () => removeEventListener("offline", abort);
  request.send(body);
});
// The server says where it goes on: after a lost connection, and after a reload, when the same file is chosen again.
async function uploadFile(file, workspace, findToken, showSent, showLoss) {
  const { name, type, size, lastModified } = file;
  const described = JSON.stringify({ contentType: type, filename: name.slice(0, 255), size, modified: lastModified });
  for (let place = null, wait = 1000; ; wait = Math.min(2 * wait, 30000)) {
    try {
      place = place ? await ask("GET", place.address, findToken()) : await ask("POST", `/dashboard/uploads?workspace=${workspace}`, findToken(), described);
      for (showLoss(""); !place.url; wait = 1000) {
        const { address, offset, most } = place;
        showSent(offset / size);
        place = await ask("PATCH", `${address}?offset=${offset}`, findToken(), file.slice(offset, offset + most), (loaded) => showSent((offset + loaded) / size));
      }
      return place.url;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      await file.slice(0, 1).arrayBuffer(); // throws if the file is not there any more
      showLoss(error.message);
      await new Promise((resolve) => (navigator.onLine ? setTimeout(resolve, wait) : addEventListener("online", resolve, { once: true })));
    }
  }
}

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
