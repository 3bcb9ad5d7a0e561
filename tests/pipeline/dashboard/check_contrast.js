// Run axe on one element of each style: of those whose classes, and all around them, are the same, the first.
() => {
  const seen = new Set();
  const isNew = (e) => {
    let style = "";
    for (let one = e; one !== document.documentElement; one = one.parentElement) {
      style += [one.tagName, ...one.classList, one.ariaCurrent, one.matches(".row:has(:checked)")].join(" ") + " < ";
    }
    return !seen.has(style) && seen.add(style);
  };
  const hasText = (e) => [...e.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const texts = [...document.body.querySelectorAll("*")].filter((e) => hasText(e) || e.matches("input, textarea, select"));
  const include = texts.filter((e) => e.checkVisibility() && isNew(e)).map((e) => [e]);
  return axe.run({ include }, { runOnly: ["color-contrast"], resultTypes: ["violations"] });
}
