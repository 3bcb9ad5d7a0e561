// Charts of the columns of a table on the same page: data-table, data-columns, data-label.
"use strict";

const COLOURS = ["#1b81d6", "#d8453a", "#8a8f98"];
let charts = [];

function drawCharts() {
  charts.forEach((chart) => chart.destroy());
  const stroke = getComputedStyle(document.body).color;
  const name = (_, instants, _axis, _space, step) =>
    instants.map((seconds) => {
      const [date, time] = new Date(seconds * 1000).toISOString().split("T");
      return step >= 86400 || time.startsWith("00:00") ? date.slice(5) : time.slice(0, 5);
    });
  const axis = { stroke, grid: { stroke: "#8885", width: 1 }, ticks: { stroke: "#8885", width: 1 } };
  charts = [...document.querySelectorAll("[data-columns]")].map((place) => {
    const table = document.getElementById(place.dataset.table);
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows];
    const columns = place.dataset.columns.split(" ").map(Number);
    const read = (n) => rows.map(({ cells }) => (cells[n].dataset.value === "" ? null : Number(cells[n].dataset.value)));
    const series = columns.map((n, i) => ({ label: names[n], stroke: COLOURS[i], width: 2, points: { show: true, size: 5 } }));
    const options = {
      width: place.clientWidth,
      height: 240,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
      series: [{ label: names[0], value: "{YYYY}-{MM}-{DD} {HH}:{mm} UTC" }, ...series],
      axes: [{ ...axis, values: name }, { ...axis, label: place.dataset.label, size: 60 }],
    };
    return new uPlot(options, [read(0), ...columns.map(read)], place);
  });
}

let resized = 0;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(drawCharts, 100);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
document.addEventListener("htmx:afterSettle", drawCharts);
document.addEventListener("DOMContentLoaded", drawCharts);
