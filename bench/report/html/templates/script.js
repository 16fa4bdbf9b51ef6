"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const parsed = (id) => JSON.parse($(`#${id}`).textContent);
  const shown = (elements) => elements.forEach((element) => element && (element.hidden = false));

  // The theme: as the system has it until somebody chooses. A page from a file may have no storage.
  const remembered = {
    get: () => { try { return localStorage.getItem("kdbench-theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("kdbench-theme", theme); } catch { /* nothing to keep it in */ } },
  };
  const button = $("#theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const tellTheme = () => button.setAttribute("aria-pressed", String(isDark()));
  if (remembered.get()) document.documentElement.dataset.theme = remembered.get() === "dark" ? "dark" : "light";
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remembered.set(document.documentElement.dataset.theme);
    tellTheme();
  });
  dark.addEventListener("change", tellTheme);
  tellTheme();
  shown([button, $("#filter"), $("#downloads"), ...all(".chart [data-svg]")]);

  // Columns.
  $("#columns")?.addEventListener("change", (event) => {
    for (const cell of all(`[data-column="${event.target.value}"]`)) cell.hidden = !event.target.checked;
  });

  // What is folded away, and large, is made when it is opened.
  for (const later of all("details[data-later]")) {
    later.addEventListener("toggle", () => later.append($(`#${later.dataset.later}`).content.cloneNode(true)), { once: true });
  }

  // Tooltips of notes and sources: with the mouse or the focus; they stay while the mouse is on them; Escape ends them.
  const tip = $("#tip");
  let leaving;
  const showTip = (anchor) => {
    clearTimeout(leaving);
    const said = $(`#${anchor.getAttribute("aria-describedby")}`);
    tip.textContent = said.textContent.trim();
    (anchor.closest("dialog") ?? document.body).append(tip);
    tip.hidden = false;
    const place = anchor.getBoundingClientRect();
    const below = place.bottom + tip.offsetHeight + 8 < innerHeight || place.top < tip.offsetHeight + 8;
    tip.style.left = `${Math.max(8, Math.min(place.left, innerWidth - tip.offsetWidth - 24)) + scrollX}px`;
    tip.style.top = `${(below ? place.bottom + 4 : place.top - tip.offsetHeight - 4) + scrollY}px`;
  };
  const hideTip = () => { leaving = setTimeout(() => { tip.hidden = true; }, 150); };
  for (const [begin, end] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
    document.addEventListener(begin, (event) => {
      const anchor = event.target.closest?.("a[aria-describedby]");
      if (anchor) showTip(anchor);
      else if (event.target.closest?.("#tip")) clearTimeout(leaving);
    });
    document.addEventListener(end, (event) => {
      if (event.target.closest?.("a[aria-describedby], #tip")) hideTip();
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

  // The filter of assumptions, or of tables.
  const narrow = () => {
    const text = $("#filter-text").value.trim().toLowerCase();
    const boxes = all("#filter input[type=checkbox]");
    const kinds = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const items = all(".statements > li");
    for (const item of items) {
      item.hidden = !item.textContent.toLowerCase().includes(text) || (boxes.length > 0 && !kinds.has(item.dataset.kind));
    }
    $("#filter-count").textContent = `${items.filter((item) => !item.hidden).length} of ${items.length}`;
  };
  if ($("#filter")) {
    $("#filter").addEventListener("input", narrow);
    narrow();
  }

  // Charts: the libraries are text until the first chart is about to be seen.
  const views = new Map();
  let libraries;
  const load = () => (libraries ??= (() => {
    for (const library of all("script.library")) {
      const script = document.createElement("script");
      script.textContent = library.textContent;
      document.head.append(script);
    }
  })() ?? true);
  const draw = async (name, element, spec) => {
    load();
    element.setAttribute("aria-busy", "true");
    const options = { actions: false, renderer: "svg", ast: true, defaultStyle: false, tooltip: { theme: "custom" } };
    const { view } = await vegaEmbed(element, spec, options);
    views.set(name, view);
    element.removeAttribute("aria-busy");
    performance.mark(`chart ${name}`);
  };
  let specs;
  const specOf = (name) => (specs ??= parsed("charts"))[name];
  let queue = Promise.resolve();
  const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 1));
  const drawn = new Set();
  const drawSoon = (figure) => {
    const name = figure.dataset.chart;
    if (drawn.has(name) || figure.hidden) return;
    drawn.add(name);
    queue = queue.then(() => new Promise((done) => idle(done, { timeout: 500 })))
      .then(() => draw(name, $(".drawing", figure), specOf(name)));
  };
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) drawSoon(entry.target);
  }, { rootMargin: "400px" });
  const figures = all("figure[data-chart]");
  addEventListener("load", () => figures.forEach((figure) => watcher.observe(figure)));
  addEventListener("beforeprint", () => figures.forEach(drawSoon));
  $("#forest")?.addEventListener("change", (event) => {
    for (const figure of all("#forest figure")) figure.hidden = figure.dataset.chart !== event.target.value;
    figures.forEach((figure) => { watcher.unobserve(figure); watcher.observe(figure); });
  });

  // The dialog of a cell.
  const dialog = $("#details");
  const open = async (key) => {
    const content = $("#details-content");
    content.replaceChildren($(`#${key}`).content.cloneNode(true));
    $("h2", content).id = "details-title";
    dialog.showModal();
    dialog.scrollTop = 0;
    const drawing = $("[data-curves]", content);
    if (drawing) await draw("curves", drawing, { ...parsed("curve-spec"), datasets: { curves: parsed("curves")[key] } });
  };
  document.addEventListener("click", (event) => {
    const cell = event.target.closest("td, [data-opens]");
    const opener = event.target.closest("a, input") ? null : cell?.closest("[data-opens]") ?? (cell && $("[data-opens]", cell));
    if (opener) open(opener.dataset.opens);
    if (event.target === dialog) dialog.close();
  });

  // Files.
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const types = { csv: "text/csv", json: "application/json", tex: "application/x-tex" };
  const withColours = (svg) => {
    const style = getComputedStyle(document.documentElement);
    return svg.replace(/var\((--[a-z]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
  };
  document.addEventListener("click", async (event) => {
    const { file, svg } = event.target.dataset ?? {};
    if (file) {
      const { name, files } = parsed("exports");
      save(`${name}.${file}`, types[file], files[file]);
    }
    if (svg) {
      const figure = $(`figure[data-chart="${svg}"]`);
      if (figure && !views.has(svg)) {
        drawn.add(svg);
        await draw(svg, $(".drawing", figure), specOf(svg));
      }
      save(`${parsed("exports").name}-${svg}.svg`, "image/svg+xml", withColours(await views.get(svg).toSVG()));
    }
  });
  $("#print")?.addEventListener("click", () => print());

  performance.mark("interactive");
})();
