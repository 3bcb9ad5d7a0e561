// Find text and controls that leave a box around them, that cover each other, that are cut without "…", and menus off the window.
() => {
  const found = new Map();
  const name = (e) => e.tagName.toLowerCase() + [...e.classList].map((one) => "." + one).join("");
  const say = (kind, e, other) => {
    const words = e.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    const place = `${kind}: ${name(e.parentElement)} > ${name(e)} and ${name(other)}`;
    if (!found.has(place)) found.set(place, `${place}: “${words}”`);
  };
  const styles = new Map();
  const style = (e) => styles.get(e) ?? styles.set(e, getComputedStyle(e)).get(e);
  const isShown = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.closest("svg svg, option, noscript, .skip:not(:focus)");
  const clips = (s) => s.overflowX !== "visible" || s.overflowY !== "visible";
  const scrolls = (s) => /auto|scroll/.test(s.overflowX + s.overflowY);
  const tells = (s) => s.textOverflow === "ellipsis" || s.webkitLineClamp !== "none" || scrolls(s);
  const leaves = (r, b, down) => r.left < b.left - 1 || r.right > b.right + 1 || r.top < b.top - down || r.bottom > b.bottom + down;
  const cut = (r, b) => {
    const [left, top] = [Math.max(r.left, b.left), Math.max(r.top, b.top)];
    return new DOMRect(left, top, Math.min(r.right, b.right) - left, Math.min(r.bottom, b.bottom) - top);
  };
  // What is seen of a thing within the boxes around it; floats: whether it may lie over others.
  const see = (e, first, rects, down) => {
    let [seen, floats] = [rects, false];
    for (let box = first; box && box !== document.body; box = box.parentElement) {
      const s = style(box);
      floats = s.position !== "static" && s.position !== "relative";
      if (s.display !== "inline" && s.display !== "contents") {
        const around = box.getBoundingClientRect();
        const out = seen.some((r) => leaves(r, around, down));
        if (clips(s)) {
          if (out && !tells(s)) say("cut", e, box);
          seen = seen.map((r) => cut(r, around)).filter((r) => r.width > 1 && r.height > 1);
        } else if (out) {
          say("out", e, box);
          break;
        }
      }
      if (floats) break; // it may lie over the edge of what holds it
    }
    return [seen, floats];
  };
  const list = (root) => {
    const texts = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode()); ) if (node.data.trim() && !node.parentElement.closest("svg, script, style")) texts.push(node);
    return texts.filter((node) => isShown(node.parentElement));
  };
  const checkWithin = (root) => {
    const placed = [];
    for (const text of list(root)) {
      const range = document.createRange();
      range.selectNodeContents(text);
      const e = text.parentElement;
      const [seen, floats] = see(e, e, [...range.getClientRects()].filter((r) => r.width > 1), 3);
      if (!floats) seen.forEach((r) => placed.push([r, e]));
    }
    for (const e of root.querySelectorAll("button, .button, input:not([type=hidden], [type=file]), select, textarea, summary, .chip, .mark, .thumb, progress, svg")) {
      if (isShown(e) && style(e).position !== "absolute") see(e, e.parentElement, [e.getBoundingClientRect()], 6);
    }
    return placed;
  };
  const placed = checkWithin(document.body).sort(([one], [other]) => one.top - other.top);
  placed.forEach(([a, one], at) => {
    for (const [b, other] of placed.slice(at + 1)) {
      if (b.top > a.bottom - 3) break;
      if (one !== other && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - b.top > 3) say("over", one, other);
    }
  });
  for (const menu of document.querySelectorAll("details.menu:not([open])")) {
    if (!menu.checkVisibility()) continue;
    menu.scrollIntoView({ block: "nearest" });
    menu.open = true;
    const panel = menu.querySelector(":scope > :not(summary)");
    const space = panel.getBoundingClientRect();
    const end = Math.max(innerHeight, document.documentElement.scrollHeight - scrollY);
    if (leaves(space, new DOMRect(0, -scrollY, document.documentElement.clientWidth, end + scrollY), 1)) say("off the window", panel, menu);
    if (!found.size) checkWithin(panel);
    menu.open = false;
  }
  scrollTo(0, 0);
  return [...found.values()];
}
