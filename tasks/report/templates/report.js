"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  const state = { pairs: "pairs", map: Object.keys(data.planes)[0], video: "", page: 0, find: "", order: "name" };

  // --- charts -------------------------------------------------------------------------------

  const rowsOf = (columns) => {
    const names = Object.keys(columns);
    return names.length ? columns[names[0]].map((_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]]))) : [];
  };

  function specOf(key, keep = (rows) => rows) {
    const spec = structuredClone(data.charts[key]);
    for (const name in spec.datasets) spec.datasets[name] = keep(rowsOf(spec.datasets[name]));
    return spec;
  }

  const views = {};

  async function draw(id, spec, options = {}) {
    const place = one(`#chart-${id}`);
    if (!place || !spec) return;
    const theme = root.dataset.theme, config = structuredClone(data.themes[theme]);
    if (innerWidth < 640) config.legend.columns = 2;
    (await views[id])?.finalize();
    views[id] = vegaEmbed(place, spec, { actions: false, renderer: "svg", config, tooltip: { theme }, ...options });
    await views[id];
  }

  const drawers = {
    pairs: () => draw("pairs", data.charts[state.pairs] && specOf(state.pairs)),
    radius: () => draw("radius", data.charts.radius && specOf("radius")),
    beside: () => draw("beside", data.charts.beside && specOf("beside")),
    map: () => draw("map", data.planes[state.map] && specOf(data.planes[state.map],
      (rows) => rows.filter((row) => !state.video || row.name === state.video)),
      { renderer: "canvas", tooltip: hover }),
    timeline: drawTimeline,
  };

  // --- the timeline, some videos at a time ------------------------------------------------------

  const orders = {
    name: () => 0,
    chosen: (a, b) => b.chosen - a.chosen,
    empty: (a, b) => (b.empty_to_s - b.empty_from_s) - (a.empty_to_s - a.empty_from_s),
  };

  function drawTimeline() {
    if (!data.charts.timeline) return;
    const find = state.find.toLowerCase();
    const names = Object.values(data.charts.timeline.datasets).filter((set) => set.length_s).map(rowsOf)[0]
      .filter((row) => (!state.video || row.name === state.video) && row.name.toLowerCase().includes(find))
      .sort(orders[state.order]).map((row) => row.name);
    const pages = Math.max(1, Math.ceil(names.length / data.timelinePage));
    state.page = Math.min(state.page, pages - 1);
    const shown = names.slice(state.page * data.timelinePage, (state.page + 1) * data.timelinePage);
    const place = new Map(shown.map((name, i) => [name, i]));
    const spec = specOf("timeline", (rows) => rows.filter((row) => place.has(row.name)).sort((a, b) => place.get(a.name) - place.get(b.name)));
    for (const layer of spec.layer) layer.encoding.y.sort = shown;
    spec.height = data.axesHeight + data.videoHeight * shown.length;
    one("#timeline-page").textContent = names.length
      ? `${(state.page * data.timelinePage + 1).toLocaleString("en")} to ${(state.page * data.timelinePage + shown.length).toLocaleString("en")} of ${names.length.toLocaleString("en")}`
      : "no such video";
    one("#timeline-before").disabled = state.page === 0;
    one("#timeline-after").disabled = state.page >= pages - 1;
    return shown.length ? draw("timeline", spec) : one("#chart-timeline").replaceChildren();
  }

  // --- hovering over the map ----------------------------------------------------------------------

  const card = one("#hover");
  const line = (text, tag = "div") => Object.assign(document.createElement(tag), { textContent: text });

  function hover(_, event, __, value) {
    card.hidden = !value || value.row === undefined;
    if (card.hidden) return;
    const own = one(`img[data-row="${value.row}"]`), nearest = one(`#pick-${value.pick}`);
    const picture = own || nearest;
    card.replaceChildren();
    if (picture) card.append(Object.assign(document.createElement("img"), { src: picture.src, alt: "" }));
    const where = `${value.name}, ${value.time_s.toFixed(2)} s`;
    if (value.chosen) card.append(line(`chosen as number ${value.pick + 1}`, "b"), line(where));
    else {
      if (picture && !own) card.append(line(`Pictured: number ${value.pick + 1}, the nearest chosen`, "b"));
      card.append(line(where));
      if (value.pick >= 0) card.append(line(`${value.distance.toFixed(3)} from number ${value.pick + 1}`));
    }
    const room = card.getBoundingClientRect();
    card.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - room.width - 4))}px`;
    card.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - room.height - 4))}px`;
  }
  addEventListener("scroll", () => { card.hidden = true; }, { passive: true });

  // --- the contact sheet ------------------------------------------------------------------------

  const picks = all("#sheet > li");
  const shownPicks = () => picks.filter((item) => !item.hidden);

  function filterVideo(video) {
    state.video = video;
    state.page = 0;
    for (const item of picks) item.hidden = video !== "" && item.dataset.video !== video;
    const count = one("#sheet-count");
    if (count) count.textContent = `${shownPicks().length.toLocaleString("en")} of ${picks.length.toLocaleString("en")} shown`;
    drawers.map();
    drawers.timeline();
  }

  const sheet = one("#sheet");

  function orderPicks(order) {
    picks.sort((a, b) => a.dataset[order] - b.dataset[order]);
    sheet.append(...picks);
  }

  one("#sheet-order")?.addEventListener("change", (event) => orderPicks(event.target.value));

  const dialog = one("#large");
  let current = null;

  function open(item) {
    current = item;
    const small = one("img", item), large = one("img", dialog), file = item.dataset.file;
    large.alt = small ? small.alt : "";
    large.hidden = !small && !file;
    if (small) large.src = small.src;
    if (file) {  // beside the page, when the whole output folder is there
      const whole = new Image();
      whole.onload = () => { if (current === item) { large.src = whole.src; large.hidden = false; } };
      whole.src = file.split("/").map(encodeURIComponent).join("/");
    }
    one("#large-text").textContent = item.dataset.text;
    one("#large-file").textContent = file || "";
    const items = shownPicks();
    one("#large-before").disabled = items[0] === item;
    one("#large-after").disabled = items.at(-1) === item;
    if (!dialog.open) dialog.showModal();
  }

  function step(by) {
    const items = shownPicks(), next = items[items.indexOf(current) + by];
    if (next) open(next);
  }

  if (dialog) {
    for (const item of picks) one("button", item).addEventListener("click", () => open(item));
    one("#large-before").addEventListener("click", () => step(-1));
    one("#large-after").addEventListener("click", () => step(1));
    one("#large-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => one("button", current).focus());
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
  }

  // --- controls ---------------------------------------------------------------------------------

  function group(attribute, chosen) {
    const buttons = all(`button[${attribute}]`);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        chosen(button.getAttribute(attribute));
      });
    }
  }
  group("data-pairs", (key) => { state.pairs = key; drawers.pairs(); });
  group("data-plane", (name) => { state.map = name; drawers.map(); });

  const on = (selector, event, act) => one(selector)?.addEventListener(event, act);
  on("#video", "change", (event) => filterVideo(event.target.value));
  on("#timeline-find", "input", (event) => { state.find = event.target.value; state.page = 0; drawTimeline(); });
  on("#timeline-order", "change", (event) => { state.order = event.target.value; state.page = 0; drawTimeline(); });
  on("#timeline-before", "click", () => { state.page -= 1; drawTimeline(); });
  on("#timeline-after", "click", () => { state.page += 1; drawTimeline(); });

  const drawAll = () => Promise.all(Object.values(drawers).map((drawer) => drawer()));
  const setTheme = (name) => {
    root.dataset.theme = name;
    one("#theme").textContent = name === "dark" ? "Light" : "Dark";
    return drawAll();
  };
  on("#theme", "click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  let before = null;
  addEventListener("beforeprint", () => { before = root.dataset.theme; if (before === "dark") setTheme("light"); });
  addEventListener("afterprint", () => { if (before === "dark") setTheme("dark"); });

  setTheme(root.dataset.theme).then(() => { root.dataset.drawn = "true"; });
})();
