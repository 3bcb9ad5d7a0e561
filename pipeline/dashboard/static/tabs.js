// On a narrow window, what leads to a field of the form, or refuses one, shows the tab that has it.
"use strict";

const showWrite = ({ type, target }) => {
  const leads = target.closest?.(type === "click" ? "#compose [data-first]" : "#compose .write");
  if (leads) document.getElementById("shows-write").checked = true;
};
["click", "invalid"].forEach((name) => document.addEventListener(name, showWrite, true));
