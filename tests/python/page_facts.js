// What a report page shows, as data: the picture's shapes with their places, texts, and whatever could run or ask for something.
(() => {
  const figures = [...document.querySelectorAll("figure.coverage")].map((figure) => ({
    axis: figure.dataset.axis,
    from: figure.dataset.from,
    until: figure.dataset.until,
    lines: [...figure.querySelectorAll("svg.lanes")].map((svg) => ({
      series: svg.dataset.series,
      label: svg.getAttribute("aria-label"),
      folded: svg.closest("details") !== null,
      shapes: [...svg.querySelectorAll("rect[data-from]")].map((rect) => ({
        what: rect.classList[0],
        x: parseFloat(rect.getAttribute("x")),
        width: parseFloat(rect.getAttribute("width")),
        from: rect.dataset.from,
        until: rect.dataset.until,
        rows: rect.dataset.rows === undefined ? null : Number(rect.dataset.rows),
        word: rect.dataset.word,
      })),
      width: svg.getBoundingClientRect().width,
    })),
  }));
  const texts = (selector) => [...document.querySelectorAll(selector)].map((node) => node.textContent);
  // Zoom in by the button, step through a line by the keyboard, and see what is said.
  const first = document.querySelector("figure.coverage");
  let zoomed = null;
  if (first) {
    const shape = first.querySelector("rect.g") ?? first.querySelector("rect.o");
    const before = parseFloat(shape.getAttribute("width"));
    first.querySelector("[data-zoom=in]").click();
    const within = parseFloat(shape.getAttribute("width"));
    first.querySelector("[data-zoom=all]").click();
    const svg = first.querySelector("svg.lanes");
    svg.focus();
    svg.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    const tip = document.getElementById("tip");
    zoomed = { before, within, after: parseFloat(shape.getAttribute("width")), tip: tip.hidden ? null : tip.textContent };
    svg.blur();
  }
  return {
    title: document.title,
    heading: document.querySelector("h1").textContent,
    reason: document.querySelector(".reason").textContent,
    text: document.body.innerText,
    sections: [...document.querySelectorAll("main h2, main h3")].map((node) => node.textContent),
    figures,
    zoomed,
    marks: texts("mark"),
    codes: texts("code"),
    elements: [...new Set([...document.querySelectorAll("*")].map((node) => node.localName))].sort(),
    scripts: document.scripts.length,
    handlers: [...document.querySelectorAll("*")].flatMap((node) => [...node.attributes]).filter((a) => /^on/i.test(a.name)).length,
    links: [...document.querySelectorAll("[href],[src],[action]")].map((node) => node.getAttribute("href") ?? node.getAttribute("src")),
    hacked: "hacked" in window,
    wide: document.documentElement.scrollWidth > innerWidth,
    paper: getComputedStyle(document.body).backgroundColor,
    unnamed: [...document.querySelectorAll("button, [role=img], section[aria-labelledby]")].filter(
      (node) => !(node.getAttribute("aria-label") || node.textContent.trim() || document.getElementById(node.getAttribute("aria-labelledby"))),
    ).length,
    idsTwice: document.querySelectorAll("[id]").length - new Set([...document.querySelectorAll("[id]")].map((node) => node.id)).size,
  };
})();
