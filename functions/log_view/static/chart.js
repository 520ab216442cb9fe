// Draws a chart above its table, from the table's own cells, and folds the table away.

import { short, written } from "./numbers.js";

const HEIGHT = 280;
const HUES = 8;
const FONT = "12px -apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Noto Sans', 'Helvetica Neue', Arial, sans-serif";

// What an axis may count by: whole numbers, and times that a clock has
const STEPS = {
  count: Array.from({ length: 15 }, (_, at) => [1, 2, 5].map((step) => step * 10 ** at)).flat(),
  ms: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5],
};

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const made = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// The table's columns as series; a cell without a number is a gap.
function read(table) {
  const rows = [...table.tBodies[0].rows];
  const number = (cell) => {
    const value = cell.querySelector("data")?.value;
    return value === undefined ? null : Number(value);
  };
  return {
    labels: rows.map((row) => row.cells[0].textContent.trim()),
    marks: rows.map((row) => row.cells[0].textContent.trim().replace(/^\w{3} (?=\d{1,2} )/, "").replace(/(?<=\d \w{3}) \d{4}$/, "")),
    series: [...table.tHead.rows[0].cells].slice(1).map((head, index) => ({
      label: head.textContent.trim(),
      hue: (index % HUES) + 1,
      shown: true,
      values: rows.map((row) => number(row.cells[index + 1])),
    })),
  };
}

// What uPlot draws: bars from the top of the stack down, so that each lies over the one that it is a part of.
// Where nothing is yet, there is no bar: one of no height would paint its edge over the axis.
function stacked(series, length) {
  const heights = new Array(length).fill(0);
  return series
    .map(({ shown, values }) => values.map((value, at) => (heights[at] += shown ? value ?? 0 : 0) || null))
    .reverse();
}

class Chart {
  constructor(place) {
    this.place = place;
    this.kind = place.dataset.kind;
    this.bars = place.dataset.shape === "bars";
    Object.assign(this, read(document.getElementById(place.dataset.table)));
    this.drawn = this.bars ? [...this.series].reverse() : this.series;
    this.at = null;
    this.tip = made("div", { className: "tip", hidden: true });
    this.tip.setAttribute("aria-hidden", "true");
    this.said = made("p", { className: "unseen", role: "status" });
    this.here = made("div", { className: "here", hidden: true });
    this.canvas = made("div", { tabIndex: 0, className: "plot" });
    this.canvas.setAttribute("role", "group");
    this.canvas.setAttribute("aria-roledescription", "chart");
    const title = place.closest("section").querySelector("h2").textContent;
    this.canvas.setAttribute("aria-label", `${title}. The arrow keys go through it.`);
    place.append(this.canvas, this.legend(), this.tip, this.said);
    this.plot = new uPlot(this.options(), this.data(), this.canvas);
    this.plot.under.append(this.here);
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("blur", () => this.point(null));
    new ResizeObserver(() => this.fit()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot.redraw(false));
  }

  data() {
    const drawn = this.bars
      ? stacked(this.series, this.labels.length)
      : this.series.map(({ shown, values }) => (shown ? values : values.map(() => null)));
    return [this.labels.map((_, at) => at), ...drawn];
  }

  options() {
    const axis = { font: FONT, stroke: () => css("--quiet"), ticks: { show: false } };
    const look = this.bars
      ? { paths: uPlot.paths.bars({ size: [0.72, 40] }), points: { show: false } }
      : { width: 2, points: { size: 5, show: this.labels.length < 100 }, spanGaps: false };
    const hue = ({ hue }) => () => css(`--s${hue}`);
    return {
      width: this.place.clientWidth,
      height: HEIGHT,
      padding: [10, 4, 0, 0],
      legend: { show: false },
      cursor: { y: false, x: !this.bars, points: { show: !this.bars }, drag: { x: false, y: false, setScale: false } },
      scales: {
        x: { time: false, range: () => [-0.5, this.labels.length - 0.5] },
        y: { range: (_, __, top) => [0, top > 0 ? uPlot.rangeNum(0, top, { min: { pad: 0 }, max: { pad: 0.05 } })[1] : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 28, gap: 8, splits: (plot) => this.places(plot), values: (_, places) => places.map((at) => this.marks[at]) },
        { ...axis, grid: { stroke: () => css("--line"), width: 1 }, size: (plot, marks) => this.room(plot, marks), gap: 8, space: 48, values: (_, marks) => marks.map((mark) => short(this.kind, mark)),
          ...(this.kind in STEPS && { incrs: STEPS[this.kind] }) },
      ],
      series: [{}, ...this.drawn.map((one) => ({
        ...look,
        label: one.label,
        stroke: this.bars ? () => css("--page") : hue(one),
        width: this.bars ? 1 : 2,
        fill: this.bars ? hue(one) : undefined,
      }))],
      hooks: { setCursor: [(plot) => this.point(plot.cursor.left >= 0 ? plot.cursor.idx : null)] },
    };
  }

  // Fill the place's width; bars that are too narrow for it have no gaps between their parts
  fit() {
    const width = this.place.clientWidth;
    if (this.bars) for (const series of this.plot.series.slice(1)) series.width = width / this.labels.length > 16 ? 1 : 0;
    this.plot.setSize({ width, height: HEIGHT });
  }

  // As many of the labels as fit side by side
  places(plot) {
    plot.ctx.font = FONT;
    const widest = Math.max(...this.marks.map((mark) => plot.ctx.measureText(mark).width)) + 20;
    const step = Math.max(1, Math.ceil((widest * this.labels.length) / (plot.bbox.width / devicePixelRatio)));
    return this.labels.map((_, at) => at).filter((at) => at % step === Math.floor(step / 2) % step);
  }

  room(plot, marks) {
    plot.ctx.font = FONT;
    return 10 + Math.max(24, ...(marks ?? []).map((mark) => plot.ctx.measureText(mark).width));
  }

  legend() {
    const list = made("ul", { className: "legend" });
    if (this.series.length < 2) list.hidden = true;
    for (const one of this.series) {
      const button = made("button", { type: "button" }, made("i", { className: `swatch s${one.hue}` }), one.label);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        one.shown = !one.shown;
        button.setAttribute("aria-pressed", String(one.shown));
        this.plot.setData(this.data());
      });
      list.append(made("li", {}, button));
    }
    return list;
  }

  key(event) {
    const last = this.labels.length - 1;
    const to = {
      ArrowLeft: Math.max(0, (this.at ?? last + 1) - 1), ArrowRight: Math.min(last, (this.at ?? -1) + 1),
      Home: 0, End: last, Escape: null,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.point(to);
    this.said.textContent = to === null ? "" : this.tip.innerText.replaceAll("\n", ", ");
  }

  // Show what stands at one place of the x axis; null shows nothing
  point(at) {
    this.at = at ?? null;
    this.tip.hidden = this.here.hidden = this.at === null;
    if (this.at === null) return;
    const rows = this.series.filter(({ shown, values }) => shown && values[at] !== null && (values[at] || !this.bars || this.series.length < 4));
    const line = (one) => made("span", {}, made("i", { className: `swatch s${one.hue}` }), made("em", {}, one.label), made("data", {}, written(this.kind, one.values[at])));
    const all = rows.reduce((sum, { values }) => sum + values[at], 0);
    this.tip.replaceChildren(made("b", {}, this.labels[at]), ...rows.map(line));
    if (this.bars && this.series.length > 1)
      this.tip.append(made("span", { className: "sum" }, made("em", {}, "In all"), made("data", {}, written(this.kind, all))));
    this.put(at);
  }

  put(at) {
    const { plot, tip, here } = this;
    const middle = plot.valToPos(at, "x");
    const wide = plot.over.clientWidth / this.labels.length;
    Object.assign(here.style, { left: `${middle - wide / 2}px`, width: `${wide}px` });
    here.hidden = !this.bars;
    const x = plot.over.offsetLeft + middle;
    const right = x + wide / 2 + 12;
    const left = right + tip.offsetWidth > this.place.clientWidth ? Math.max(0, x - wide / 2 - 12 - tip.offsetWidth) : right;
    tip.style.transform = `translate(${left}px, 12px)`;
  }
}

for (const place of document.querySelectorAll(".chart")) {
  const chart = new Chart(place);
  const numbers = place.parentElement.querySelector(".numbers");
  numbers.classList.add("folded");
  numbers.open = false;
  if (!chart.labels.length) place.hidden = true;
}
