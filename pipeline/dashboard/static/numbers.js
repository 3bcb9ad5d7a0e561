// Charts of the columns of a table on the same page: data-table, data-columns, data-label.
"use strict";
let charts = [];
function drawCharts() {
  charts.forEach((chart) => chart.destroy());
  const axis = { stroke: getComputedStyle(document.body).color, grid: { stroke: "#8885" }, ticks: { stroke: "#8885" } };
  const name = (seconds) => new Date(seconds * 1000).toISOString().slice(5, 16).replace(/T00:00|.*T(?!00:00)/, "");
  charts = [...document.querySelectorAll("[data-columns]")].map((place) => {
    const table = document.getElementById(place.dataset.table);
    const read = (n) => [...table.tBodies[0].rows].map(({ cells }) => JSON.parse(cells[n].dataset.value || "null"));
    const columns = place.dataset.columns.split(" ");
    const series = columns.map((n, i) => ({ label: table.tHead.rows[0].cells[n].textContent, stroke: ["#1b81d6", "#d8453a", "#8a8f98"][i], width: 2, points: { show: true } }));
    const options = {
      ...{ width: place.clientWidth, height: 240 },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
      series: [{ label: "From", value: "{YYYY}-{MM}-{DD} {HH}:{mm} UTC" }, ...series],
      axes: [{ ...axis, values: (_, at) => at.map(name) }, { ...axis, label: place.dataset.label, size: 60 }],
    };
    return new uPlot(options, [read(0), ...columns.map(read)], place);
  });
}
addEventListener("resize", drawCharts);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);
["htmx:afterSettle", "DOMContentLoaded"].forEach((name) => document.addEventListener(name, drawCharts));
