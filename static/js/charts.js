// Charts. <div class="chart" data-chart-url="….json"> (or data-chart="#id" of a json_script) is drawn from
// {data, layout, events}: Plotly's own figure, where any string that is a token name ("--c1") becomes its colour.
// Plotly is fetched once, and only by pages that have a chart. SVG traces only: WebGL traces need eval.
(() => {
  "use strict";
  const drawn = new Map(); // element -> its figure as it came, so that a new theme can redraw it
  let plotly = null;

  function loadPlotly() {
    plotly ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = document.querySelector('meta[name="plotly-src"]').content;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => reject(new Error("plotly.min.js did not load"));
      document.head.append(script);
    });
    return plotly;
  }

  const probe = document.createElement("span");
  probe.hidden = true;
  function colour(token) {
    if (!probe.isConnected) document.body.append(probe);
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color; // resolves light-dark()
  }
  function themed(value) {
    if (typeof value === "string") return value.startsWith("--") ? colour(value) : value;
    if (Array.isArray(value)) return typeof value[0] === "number" && typeof value.at(-1) !== "string" ? value : value.map(themed);
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v)]));
    return value;
  }

  function axis(given = {}) {
    return { automargin: true, zeroline: false, gridcolor: "--line", linecolor: "--line", tickcolor: "--line", ...given,
      title: { standoff: 8, font: { size: 12 }, ...(given.title ?? {}) } };
  }
  // an event far to the right has its words on its left, where there is room for them
  function side(at, range) {
    const [first, last] = (range ?? []).map(Date.parse);
    const right = (Date.parse(at) - first) / (last - first) > 0.6;
    return right ? { xanchor: "right", xshift: -6 } : { xanchor: "left", xshift: 6 };
  }
  function layoutFor(figure, narrow) {
    const given = figure.layout ?? {};
    const named = (figure.data ?? []).filter((trace) => trace.name && trace.showlegend !== false).length;
    const events = figure.events ?? [];
    return themed({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "x unified", dragmode: false, bargap: 0.18,
      showlegend: !narrow && named > 1,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal", itemsizing: "constant" },
      ...given,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "--ink-2", ...(given.font ?? {}) },
      margin: { l: 8, r: 8, t: !narrow && named > 1 ? 34 : 12, b: 8, ...(given.margin ?? {}) },
      hoverlabel: { bgcolor: "--raised", bordercolor: "--line-2", font: { color: "--ink" }, ...(given.hoverlabel ?? {}) },
      xaxis: axis({ gridcolor: "rgba(0,0,0,0)", ...(given.xaxis ?? {}) }),
      yaxis: axis({ rangemode: "tozero", linecolor: "rgba(0,0,0,0)", ...(given.yaxis ?? {}) }),
      shapes: [...(given.shapes ?? []), ...events.map(({ at }) => (
        { type: "line", x0: at, x1: at, y0: 0, y1: 1, yref: "paper", line: { color: "--ink-3", width: 1, dash: "dot" } }))],
      annotations: [...(given.annotations ?? []), ...events.map(({ at, label }) => (
        { x: at, y: 1, yref: "paper", yanchor: "top", ...side(at, given.xaxis?.range), text: label, showarrow: false, bgcolor: "--card", borderpad: 3, font: { size: 11.5, color: "--ink-2" } }))],
    });
  }

  async function draw(element, figure) {
    const Plotly = await loadPlotly();
    const narrow = element.clientWidth < 560;
    await Plotly.react(element, themed(figure.data ?? []), layoutFor(figure, narrow), { displayModeBar: false, responsive: true });
    element.classList.remove("waiting");
    drawn.set(element, figure);
  }

  // draws the figure, or its words where there is nothing to draw yet
  async function show(element, figure) {
    const blank = !figure.data?.length;
    element.classList.toggle("blank", blank);
    if (!blank) {
      if (!drawn.has(element)) element.replaceChildren();
      return draw(element, figure);
    }
    element.classList.remove("waiting");
    if (drawn.delete(element)) window.Plotly.purge(element);
    element.textContent = figure.empty ?? "No data in this period yet";
  }

  async function figureOf(element) {
    if (element.dataset.chart) return JSON.parse(document.querySelector(element.dataset.chart).textContent);
    const reply = await fetch(element.dataset.chartUrl, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
    return reply.json();
  }

  async function start(element) {
    if (element.dataset.started) return;
    element.dataset.started = "yes";
    element.classList.add("waiting");
    try {
      await show(element, await figureOf(element));
    } catch (error) {
      element.classList.remove("waiting");
      element.classList.add("failed");
      element.textContent = `This chart could not be drawn: ${error.message}. Reload the page; the table below has the figures.`;
    }
  }

  // data-chart-every="10": fetch and redraw while the page is looked at
  function keepFresh(element, every_ms) {
    const timer = setInterval(async () => {
      if (!element.isConnected) { clearInterval(timer); drawn.delete(element); return; }
      if (document.hidden) return;
      try { await show(element, await figureOf(element)); } catch { /* keep what is drawn; the live line says it is stale */ }
    }, every_ms);
  }

  function scan(within) {
    for (const element of within.querySelectorAll(".chart[data-chart-url], .chart[data-chart]")) {
      const first = !element.dataset.started;
      start(element);
      const every = Number(element.dataset.chartEvery);
      if (first && every > 0) keepFresh(element, every * 1000);
    }
  }

  document.addEventListener("DOMContentLoaded", () => scan(document));
  document.addEventListener("htmx:load", (event) => scan(event.target));
  document.addEventListener("themechange", () => {
    for (const [element, figure] of drawn) element.isConnected ? draw(element, figure) : drawn.delete(element);
  });
})();
