"use strict";
(() => {
  const tip = document.getElementById("tip");
  const hide = () => { tip.hidden = true; };
  const say = (rect, x, y) => {
    const d = rect.dataset;
    const line = rect.closest("svg").dataset.series === "{}" ? "" : rect.closest(".line").querySelector(".name").textContent;
    tip.textContent = "";
    const head = document.createElement("b");
    head.textContent = d.word;
    const range = document.createElement("span");
    range.textContent = d.from === d.until ? d.from : d.from + " to " + d.until;
    tip.append(head, range);
    if (d.rows !== undefined) {
      const rows = document.createElement("span");
      rows.textContent = Number(d.rows).toLocaleString("en") + (rect.classList.contains("g") ? " missing" : rect.classList.contains("p") ? " not there" : " rows");
      tip.append(rows);
    }
    if (line) {
      const series = document.createElement("small");
      series.textContent = line;
      tip.append(series);
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, Math.min(x + 12, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 16 + box.height > innerHeight ? y - box.height - 8 : y + 16) + "px";
  };
  for (const figure of document.querySelectorAll("figure.coverage")) {
    const rects = [...figure.querySelectorAll("rect[data-from]")].map((rect) => ({
      rect, x: parseFloat(rect.getAttribute("x")), w: parseFloat(rect.getAttribute("width")),
    }));
    const time = figure.dataset.axis === "time";
    const [from, until] = time ? [Date.parse(figure.dataset.from), Date.parse(figure.dataset.until)] : [0, 100];
    const fine = (at) => new Date(at).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "");
    const label = (at) => fine(Math.round(at)).replace(/^(\S+ \S\S:\S\S):00$/, "$1");
    const ticks = [...figure.querySelectorAll(".tick")];
    const ulabel = figure.querySelector(".ulabel");
    const ulabelAt = ulabel ? parseFloat(ulabel.getAttribute("x")) : 0;
    let [a, b] = [0, 100];
    const draw = () => {
      const scale = 100 / (b - a);
      for (const { rect, x, w } of rects) {
        const left = Math.max(-1, Math.min(101, (x - a) * scale));
        const right = Math.max(-1, Math.min(101, (x + w - a) * scale));
        rect.setAttribute("x", left.toFixed(4) + "%");
        rect.setAttribute("width", Math.max(0, right - left).toFixed(4) + "%");
        rect.classList.toggle("out", right < 0 || left > 100);
      }
      let day = "";
      ticks.forEach((tick, i) => {
        const at = a + ((b - a) * i) / (ticks.length - 1);
        const [date, clock] = label(from + ((until - from) * at) / 100).split(" ");
        tick.textContent = date === day ? clock : date + " " + clock;
        day = date;
      });
      if (ulabel) ulabel.setAttribute("x", ((ulabelAt - a) * scale).toFixed(3) + "%");
      figure.dataset.zoomed = a > 0 || b < 100 ? "yes" : "no";
    };
    const zoom = (from, until) => {
      const width = Math.max(0.01, Math.min(100, until - from));
      a = Math.max(0, Math.min(100 - width, from));
      b = a + width;
      hide();
      draw();
    };
    const act = (what) => {
      const w = b - a, mid = (a + b) / 2;
      if (what === "in") zoom(mid - w / 4, mid + w / 4);
      else if (what === "out") zoom(mid - w, mid + w);
      else if (what === "left") zoom(a - w / 3, b - w / 3);
      else if (what === "right") zoom(a + w / 3, b + w / 3);
      else zoom(0, 100);
    };
    const bar = figure.querySelector(".zoom");
    bar.hidden = false;
    bar.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) act(button.dataset.zoom);
    });
    let drag = null;
    const at = (svg, event) => {
      const box = svg.getBoundingClientRect();
      return a + (Math.max(0, Math.min(1, (event.clientX - box.left) / box.width))) * (b - a);
    };
    const band = document.createElementNS(figure.querySelector("svg").namespaceURI, "rect");
    band.setAttribute("class", "band");
    band.setAttribute("y", "0");
    band.setAttribute("height", "100%");
    figure.addEventListener("pointerdown", (event) => {
      const svg = event.target.closest("svg");
      if (svg && event.button === 0) drag = { svg, start: at(svg, event) };
    });
    figure.addEventListener("pointermove", (event) => {
      const svg = event.target.closest("svg");
      if (drag) {
        hide();
        const now = at(drag.svg, event), scale = 100 / (b - a);
        band.setAttribute("x", (Math.min(drag.start, now) - a) * scale + "%");
        band.setAttribute("width", Math.abs(now - drag.start) * scale + "%");
        drag.svg.append(band);
        return;
      }
      const rect = svg && event.target.closest("rect[data-from]");
      if (rect) say(rect, event.clientX, event.clientY);
      else hide();
    });
    addEventListener("pointerup", (event) => {
      if (!drag) return;
      const now = at(drag.svg, event);
      band.remove();
      if (Math.abs(now - drag.start) > (b - a) / 100) zoom(Math.min(now, drag.start), Math.max(now, drag.start));
      drag = null;
    });
    figure.addEventListener("pointerleave", hide);
    figure.addEventListener("dblclick", (event) => { if (event.target.closest("svg")) act("all"); });
    for (const svg of figure.querySelectorAll("svg.lanes")) {
      let place = -1;
      svg.addEventListener("keydown", (event) => {
        const keys = { "+": "in", "=": "in", "-": "out", "0": "all", "[": "left", "]": "right" };
        if (keys[event.key]) { act(keys[event.key]); event.preventDefault(); return; }
        if (event.key === "Escape") { hide(); return; }
        if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
        const own = [...svg.querySelectorAll("rect[data-from]:not(.out):not(.u)")]
          .sort((p, q) => parseFloat(p.getAttribute("x")) - parseFloat(q.getAttribute("x")));
        if (!own.length) return;
        place = (place + (event.key === "ArrowRight" ? 1 : -1) + own.length) % own.length;
        const box = own[place].getBoundingClientRect();
        own.forEach((rect, i) => rect.classList.toggle("on", i === place));
        say(own[place], box.left + Math.min(box.width / 2, 200), box.bottom);
        event.preventDefault();
      });
      svg.addEventListener("blur", () => {
        hide();
        svg.querySelectorAll(".on").forEach((rect) => rect.classList.remove("on"));
      });
    }
  }
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details:not([open])")) { fold.open = true; fold.dataset.print = "yes"; }
  });
  addEventListener("afterprint", () => {
    for (const fold of document.querySelectorAll("details[data-print]")) { fold.open = false; delete fold.dataset.print; }
  });
})();
